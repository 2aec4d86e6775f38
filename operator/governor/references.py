"""What resources name of other people's: ConfigMaps with code or candles, Secrets with the URLs of databases. Pure.

Whoever runs the fleet looks at what `references` asks for, and says what was found. Only what decides is kept of a
Secret: whether an entry is there, whether it has changed, and which hosts it leads to.
"""

import base64
import hashlib
import json
import urllib.parse
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.trading_bot import CodeSource, TradingBot

DIGEST_LENGTH: Final = 16
DATABASE_PORTS: Final = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433}


class ReferenceKind(StrEnum):
    """What may be named."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - the name of a kind


class Reference(NamedTuple):
    """The name of an object that is none of ours."""

    kind: ReferenceKind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in namespace {self.namespace}"


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """What is known of one entry of a Secret: a hash by which a change is seen, and the hosts in it if it is a URL."""

    digest: str
    hosts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Referenced:
    """An object as it was found. `files` are a ConfigMap's texts, `binary` its other keys, `entries` a Secret's."""

    digest: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    binary: tuple[str, ...] = ()
    entries: Mapping[str, SecretEntry] = field(default_factory=dict)


Found = Mapping[Reference, Referenced | None]
"""What was found of each reference; None where there is nothing of that name."""


def code_reference(namespace: str, source: CodeSource) -> Reference:
    """Return the ConfigMap that holds the code of a strategy."""
    return Reference(ReferenceKind.CONFIG_MAP, namespace, source.config_map_ref.name)


def references(resources: Iterable[Resource]) -> set[Reference]:
    """Return all that resources name of other people's."""
    found: set[Reference] = set()
    for each in resources:
        namespace = each.metadata.namespace
        match each:
            case TradingBot() | Backtest() if each.spec.strategy is not None:
                if each.spec.strategy.code_from is not None:
                    found.add(code_reference(namespace, each.spec.strategy.code_from))
            case Dataset():
                found |= dataset_references(each)
            case _:
                pass
    return found


def dataset_references(dataset: Dataset) -> set[Reference]:
    """Return what a Dataset names of other people's."""
    namespace, volume = dataset.metadata.namespace, dataset.spec.volume
    secrets = (each.url_from.secret_key_ref for each in dataset.spec.sql)
    found = {Reference(ReferenceKind.SECRET, namespace, each.name) for each in secrets if each is not None}
    if volume is not None and volume.config_map_ref is not None:
        found.add(Reference(ReferenceKind.CONFIG_MAP, namespace, volume.config_map_ref.name))
    return found


def found_config_map(body: Mapping[str, Any]) -> Referenced:
    """Return what matters of a ConfigMap."""
    files, binary = dict(body.get("data") or {}), dict(body.get("binaryData") or {})
    return Referenced(digest=digest_of([files, binary]), files=files, binary=tuple(sorted(binary)))


def found_secret(body: Mapping[str, Any]) -> Referenced:
    """Return what may be known of a Secret. Its values are not kept."""
    entries = {}
    for key, value in (body.get("data") or {}).items():
        try:
            text = base64.b64decode(value).decode()
        except ValueError:
            text = ""
        # With the object's own UID, so that two Secrets of the same content cannot be told to be alike.
        digest = digest_of([body["metadata"].get("uid"), key, value])
        entries[key] = SecretEntry(digest, _hosts(text))
    return Referenced(digest=digest_of(sorted(each.digest for each in entries.values())), entries=entries)


def digest_of(values: object) -> str:
    """Return a short hash of JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGEST_LENGTH]


def listed(names: Collection[str]) -> str:
    """Return names for a message."""
    return ", ".join(sorted(names)) or "nothing"


def _hosts(url: str) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports in a database's URL, none when it is not one. Shows nothing of it."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = DATABASE_PORTS.get(parts.scheme.partition("+")[0], 0)
        places = [urllib.parse.urlsplit(f"//{each}") for each in parts.netloc.rpartition("@")[2].split(",")]
        found = [(each.hostname, each.port or port) for each in places]
    except ValueError:
        return ()
    return tuple((host, port) for host, port in found if host and port)
