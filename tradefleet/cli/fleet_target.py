"""Which fleet a command works on, and which of its resources."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import DEFAULT_NAMESPACE, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS, find_kind
from tradefleet.resources.problems import suggestion

if TYPE_CHECKING:
    from governor.local.fleet import LocalFleet
    from governor.local.resources import LocalResources

ResourceT = TypeVar("ResourceT", bound=Resource)

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="The fleet's data folder. Default: TRADEFLEET_HOME, else ~/.local/share/tradefleet/default.",
    ),
]
Namespace = Annotated[
    str, typer.Option("-n", "--namespace", metavar="NAME", help="Namespace of the names that are given.")
]


class NotFound(Permanent):
    """A resource that was named is not there."""


def local_fleet(folder: Path | None) -> "LocalFleet":
    """Return the fleet of a data folder, running or not."""
    from governor.local.fleet import LocalFleet  # noqa: PLC0415 - imported by who runs it
    from governor.local.home import Home, default_folder  # noqa: PLC0415

    return LocalFleet(Home(folder if folder is not None else default_folder()))


@contextmanager
def open_resources(fleet: "LocalFleet") -> "Iterator[LocalResources]":
    """Yield the resources of a running fleet. Raises Permanent when it is stopped."""
    resources = fleet.resources()
    try:
        yield resources
    finally:
        resources.close()


def kind_called(word: str) -> type[Resource]:
    """Return the kind that a user calls `word`. Raises NotFound."""
    kind = find_kind(word)
    if kind is None:
        known = [f"{each.names.plural} ({each.names.short})" for each in KINDS.values()]
        raise NotFound(f"there is no kind {word!r}; {suggestion(word, known)}")
    return kind


def named(resources: Sequence[Resource], words: Sequence[str], namespace: str) -> list[Resource]:
    """Return the resources that words such as `tb alpha beta`, or `tb/alpha ex/simulator`, name. Raises NotFound."""
    found = []
    for kind, name in _pairs(words):
        place, _, bare = name.rpartition("/")
        key = ResourceKey(kind.__name__, place or namespace, bare)
        one = next((each for each in resources if each.key == key), None)
        if one is None:
            names = [
                each.metadata.name
                for each in resources
                if each.kind == key.kind and each.key.namespace == key.namespace
            ]
            raise NotFound(f"there is no {key}; {suggestion(bare, names) or f'the fleet has no {kind.names.plural}'}")
        found.append(one)
    return found


def _pairs(words: Sequence[str]) -> Iterator[tuple[type[Resource], str]]:
    if words and "/" not in words[0]:
        kind = kind_called(words[0])
        if not words[1:]:
            raise NotFound(f"name one or more {kind.names.plural} as well: {kind.names.short} NAME")
        yield from ((kind, name) for name in words[1:])
        return
    for word in words:
        kind_word, _, name = word.partition("/")
        if not name:
            raise NotFound(f"{word!r}: write KIND/NAME, such as tb/alpha")
        yield kind_called(kind_word), name


def bots_named(
    resources: Sequence[Resource], names: Sequence[str], namespace: str, *, all_bots: bool
) -> list[Resource]:
    """Return the TradingBots of these names, or all of them. Raises NotFound, also when none is named."""
    if all_bots:
        return [each for each in resources if each.kind == "TradingBot"]
    if not names:
        raise NotFound("name one or more bots, or --all")
    plain = [name.removeprefix("tb/").removeprefix("tradingbot/").removeprefix("tradingbots/") for name in names]
    return named(resources, ["tb", *plain], namespace)


def tell(text: str) -> None:
    """Say what is going on, beside the output."""
    sys.stderr.write(f"{text}\n")


DEFAULT = DEFAULT_NAMESPACE
