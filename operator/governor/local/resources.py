"""The resources of a local fleet, kept in Postgres as an API server keeps them: uid, generation, finalizers, status."""

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.resources.common import GROUP, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.model import refused_changes
from tradefleet.resources.problems import InvalidResource, Problem
from workloads.feeds.times import format_time

from .home import now_us

CHANNEL: Final = "tradefleet_resources"  # a hint that some fleet's resources changed; never trusted
FINALIZER: Final = f"{GROUP}/wind-down"
OWNER_ANNOTATION: Final = f"{GROUP}/owner"  # UID of the BotSet that made a bot
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 30_000

_COLUMNS: Final = (
    "kind, namespace, name, uid, generation, resource_version, spec, status, labels, annotations, finalizers, "
    "created_us, deleted_us"
)

Row = tuple[Any, ...]


class Change(NamedTuple):
    """What became of one applied resource: created, configured or unchanged."""

    key: ResourceKey
    verb: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource with the version of its row, by which a parsed one is recognised."""

    resource: Resource
    version: int


class LocalResources:
    """The rows of one fleet. A lost connection is opened again by the next call, which may raise Retryable."""

    def __init__(self, url: str, fleet: str) -> None:
        self._url = url
        self._fleet = fleet
        self._connection: psycopg.Connection[Row] | None = None
        self._parsed: dict[tuple[str, int], Resource] = {}

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def listen(self) -> None:
        """Make `connection` hear of changes."""
        with self._errors() as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))

    @property
    def connection(self) -> psycopg.Connection[Row]:
        """The open connection, in autocommit."""
        with self._errors() as connection:
            return connection

    # --- reading --------------------------------------------------------------------------------------------------

    def all(self) -> list[Resource]:
        """Return every resource, sorted by kind as a fleet needs them, namespace and name."""
        with self._errors() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM tradefleet.resource WHERE fleet = %s",  # noqa: S608 - constants
                (self._fleet,),
            ).fetchall()
        found = [self._resource(row) for row in rows]
        alive = {(each.metadata.uid or "", int(each.metadata.resource_version or 0)) for each in found}
        self._parsed = {key: value for key, value in self._parsed.items() if key in alive}
        order = list(KINDS)
        return sorted(found, key=lambda each: (order.index(each.kind), each.key))

    def _resource(self, row: Row) -> Resource:
        """Return a row as a resource. Its spec is parsed once for each version; status and annotations each time."""
        kind, namespace, name, uid, generation, version, spec, status, labels, annotations = row[:10]
        finalizers, created_us, deleted_us = row[10:]
        parsed = self._parsed.get((uid, version))
        if parsed is None:
            metadata: dict[str, Any] = {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "generation": generation,
                "resourceVersion": str(version),
                "labels": labels,
                "annotations": annotations,
                "finalizers": list(finalizers),
                "creationTimestamp": format_time(created_us),
            }
            if deleted_us is not None:
                metadata["deletionTimestamp"] = format_time(deleted_us)
            body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
            parsed = self._parsed[uid, version] = KINDS[kind].parse(body)
        if not status:
            return parsed
        return parsed.model_copy(update={"status": type(parsed.status).model_validate(status, by_alias=True)})

    # --- writing --------------------------------------------------------------------------------------------------

    def apply(
        self,
        wanted: Sequence[Resource],
        *,
        check: Callable[[Sequence[Resource]], None] = lambda _: None,
        owner: str | None = None,
    ) -> list[Change]:
        """Create or change resources: all of them, or none when one cannot be. `check` sees the whole fleet to be.

        Raises InvalidResource for a change that a kind does not allow, and what `check` raises.
        """
        with self._transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"tradefleet/{self._fleet}",))
            there = {each.key: each for each in self.all()}
            problems: list[Problem] = []
            for each in wanted:
                problems += _refusals(there.get(each.key), each)
            if problems:
                raise InvalidResource(problems)
            check([*({**there, **{each.key: each for each in wanted}}).values()])
            return [self._apply_one(connection, there.get(each.key), each, owner) for each in wanted]

    def _apply_one(
        self, connection: psycopg.Connection[Row], old: Resource | None, new: Resource, owner: str | None
    ) -> Change:
        spec = json.dumps(new.body()["spec"])
        labels = json.dumps(new.metadata.labels)
        kept = {} if old is None else {k: v for k, v in old.metadata.annotations.items() if k.startswith(f"{GROUP}/")}
        if owner is not None:
            kept[OWNER_ANNOTATION] = owner
        annotations = {**new.metadata.annotations, **kept}
        place = (self._fleet, new.kind, new.metadata.namespace, new.metadata.name)
        if old is None:
            connection.execute(
                "INSERT INTO tradefleet.resource (fleet, kind, namespace, name, uid, generation, resource_version, "
                "spec, labels, annotations, finalizers, created_us) VALUES (%s, %s, %s, %s, %s, 1, 1, %s, %s, %s, %s, %s)",
                (*place, str(uuid.uuid4()), spec, labels, json.dumps(annotations), [FINALIZER], now_us()),
            )
            return Change(new.key, "created")
        same_spec = old.digest() == new.digest()
        if same_spec and old.metadata.labels == new.metadata.labels and old.metadata.annotations == annotations:
            return Change(new.key, "unchanged")
        connection.execute(
            "UPDATE tradefleet.resource SET spec = %s, labels = %s, annotations = %s, generation = generation + %s, "
            "resource_version = resource_version + 1 WHERE fleet = %s AND kind = %s AND namespace = %s AND name = %s",
            (spec, labels, json.dumps(annotations), 0 if same_spec else 1, *place),
        )
        return Change(new.key, "configured")

    def change_spec(self, key: ResourceKey, changes: Mapping[str, object]) -> bool:
        """Set fields of a spec by their names in YAML; False when they are so already."""
        with self._transaction() as connection:
            done = connection.execute(
                "UPDATE tradefleet.resource SET spec = spec || %s, generation = generation + 1, "
                "resource_version = resource_version + 1 WHERE fleet = %s AND kind = %s AND namespace = %s AND name = %s "
                "AND NOT spec @> %s RETURNING uid",
                (json.dumps(changes), self._fleet, *key, json.dumps(changes)),
            ).fetchall()
        return bool(done)

    def annotate(self, key: ResourceKey, name: str, value: Callable[[str | None], str]) -> None:
        """Set an annotation to what `value` makes of the one before (None when there is none)."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT annotations ->> %s FROM tradefleet.resource "
                "WHERE fleet = %s AND kind = %s AND namespace = %s AND name = %s FOR UPDATE",
                (name, self._fleet, *key),
            ).fetchone()
            if row is None:
                raise Permanent(f"{key}: is not there any more")
            connection.execute(
                "UPDATE tradefleet.resource SET annotations = annotations || %s, resource_version = resource_version + 1 "
                "WHERE fleet = %s AND kind = %s AND namespace = %s AND name = %s",
                (json.dumps({name: value(row[0])}), self._fleet, *key),
            )

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""
        asked = []
        with self._transaction() as connection:
            for key in sorted(keys):
                rows = connection.execute(
                    "UPDATE tradefleet.resource SET deleted_us = %s, resource_version = resource_version + 1 "
                    "WHERE fleet = %s AND kind = %s AND namespace = %s AND name = %s AND deleted_us IS NULL RETURNING uid",
                    (now_us(), self._fleet, *key),
                ).fetchall()
                if rows:
                    asked.append(key)
        return asked

    def remove(self, uid: str) -> None:
        """Remove a resource that was deleted and has nothing left to be wound down."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM tradefleet.resource WHERE fleet = %s AND uid = %s", (self._fleet, uid))

    def write_statuses(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        """Replace statuses, by UID."""
        if not statuses:
            return
        with self._errors() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE tradefleet.resource SET status = %s WHERE fleet = %s AND uid = %s",
                [(json.dumps(status), self._fleet, uid) for uid, status in statuses.items()],
            )

    # --- connection -----------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Row]]:
        with self._errors() as connection, connection.transaction():
            yield connection
            connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))

    @contextmanager
    def _errors(self) -> Iterator[psycopg.Connection[Row]]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    application_name="resources",
                    options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
                )
            yield self._connection
        except psycopg.OperationalError as error:
            self.close()
            raise Retryable(f"database: {str(error).strip()}") from error


def _refusals(old: Resource | None, new: Resource) -> Iterator[Problem]:
    """Yield why a change may not be."""
    if old is None:
        return
    if old.metadata.deletion_timestamp is not None:
        yield Problem(
            resource=str(new.key),
            path=("metadata", "name"),
            message="is being deleted",
            remedy="wait until it is gone (`tradefleet get` shows what it waits for), then apply again",
        )
    for broken in refused_changes(old.spec, new.spec):
        yield Problem(resource=str(new.key), path=("spec", *broken.path), message=broken.message)
