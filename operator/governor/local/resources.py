"""The resources of a local fleet, kept in Postgres as an API server keeps them: uid, generation, finalizers, status."""

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from governor.annotations import FINALIZER, OWNER_ANNOTATION, is_owned
from governor.makers import makers, way_out
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.domain.times import format_time
from tradefleet.resources.common import GROUP, Resource, ResourceKey
from tradefleet.resources.feed import Feed
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.model import refused_changes
from tradefleet.resources.problems import InvalidResource, Problem
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.store.postgres.encoding import action_parameters
from tradefleet.store.postgres.upkeep_sql import RECORD_ACTION
from tradefleet.store.upkeep import Action

from . import resource_sql
from .home import now_us

CHANNEL: Final = "tradefleet_resources"  # a hint that some fleet's resources changed; never trusted
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 30_000

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

_LISTEN: Final = sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL))


class Change(NamedTuple):
    """What became of one applied resource: created, configured or unchanged."""

    key: ResourceKey
    verb: str


class Event(NamedTuple):
    """Something that was done to a resource, or befell it."""

    at_us: int
    actor: str
    action: str
    detail: str


class LocalResources:
    """The rows of one fleet; what is changed is noted as done by `actor`.

    A lost connection is opened again by the next call, which may raise Retryable.
    """

    def __init__(self, url: str, fleet: str, *, actor: str) -> None:
        self._url = url
        self._fleet = fleet
        self._actor = actor
        self._connection: Connection | None = None
        self._listens = False
        self._parsed: dict[tuple[str, int], Resource] = {}

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def listen(self) -> None:
        """Hear of changes from now on, over each connection to come: `fileno` becomes readable. Raises Retryable."""
        with self._errors() as connection:
            connection.execute(_LISTEN)
        self._listens = True

    def fileno(self) -> int:
        """Return the descriptor to wait on for a hint. Raises Retryable."""
        with self._errors() as connection:
            return connection.fileno()

    def take_hints(self) -> None:
        """Forget the hints that have come: who calls this looks at everything next. Raises Retryable."""
        with self._errors() as connection:
            for _ in connection.notifies(timeout=0):
                pass

    # --- reading --------------------------------------------------------------------------------------------------

    def all(self) -> list[Resource]:
        """Return every resource, sorted by kind as a fleet needs them, namespace and name."""
        with self._errors() as connection:
            rows = connection.execute(resource_sql.ALL, {"fleet": self._fleet}).fetchall()
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

        `owner` is the UID of the resource that makes them. Raises InvalidResource for a change that a kind does not
        allow, and what `check` raises.
        """
        with self._transaction() as connection:
            connection.execute(resource_sql.LOCK, {"fleet": self._fleet})
            there = {each.key: each for each in self.all()}
            problems: list[Problem] = []
            for each in wanted:
                problems += _refusals(there.get(each.key), each, owner)
            if problems:
                raise InvalidResource(problems)
            check([*({**there, **{each.key: each for each in wanted}}).values()])
            return [self._apply_one(connection, there.get(each.key), each, owner) for each in wanted]

    def _apply_one(self, connection: Connection, old: Resource | None, new: Resource, owner: str | None) -> Change:
        kept = {} if old is None else {k: v for k, v in old.metadata.annotations.items() if k.startswith(f"{GROUP}/")}
        if owner is not None:
            kept[OWNER_ANNOTATION] = owner
        annotations = {**new.metadata.annotations, **kept}
        values = {
            **self._place(new.key),
            "spec": json.dumps(new.body()["spec"]),
            "labels": json.dumps(new.metadata.labels),
            "annotations": json.dumps(annotations),
        }
        if old is None:
            more = {"uid": str(uuid.uuid4()), "finalizers": [FINALIZER], "now_us": now_us()}
            connection.execute(resource_sql.CREATE, {**values, **more})
            self._note(connection, new.key, "created")
            return Change(new.key, "created")
        same_spec = old.digest() == new.digest()
        if same_spec and old.metadata.labels == new.metadata.labels and old.metadata.annotations == annotations:
            return Change(new.key, "unchanged")
        connection.execute(resource_sql.CHANGE, {**values, "generations": 0 if same_spec else 1})
        self._note(connection, new.key, "configured")
        return Change(new.key, "configured")

    def change_spec(self, key: ResourceKey, changes: Mapping[str, object]) -> bool:
        """Set fields of a spec by their names in YAML; False when they are so already."""
        parameters = {**self._place(key), "changes": json.dumps(changes)}
        with self._transaction() as connection:
            is_changed = bool(connection.execute(resource_sql.CHANGE_SPEC, parameters).fetchall())
            if is_changed:
                self._note(connection, key, "configured", str(parameters["changes"]))
            return is_changed

    def annotate(self, key: ResourceKey, name: str, value: Callable[[str | None], str]) -> None:
        """Set an annotation to what `value` makes of the one before (None when there is none)."""
        place = self._place(key)
        with self._transaction() as connection:
            row = connection.execute(resource_sql.ANNOTATION, {**place, "annotation": name}).fetchone()
            if row is None:
                raise Permanent(f"{key}: is not there any more")
            annotations = json.dumps({name: value(row[0])})
            connection.execute(resource_sql.ANNOTATE, {**place, "annotations": annotations})
            self._note(connection, key, "annotated", annotations)

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before.

        Raises Permanent, and nothing is deleted, for what a resource that stays would make again at once.
        """
        asked = []
        with self._transaction() as connection:
            connection.execute(resource_sql.LOCK, {"fleet": self._fleet})
            made_by = makers(self.all())
            for key in sorted(keys):
                maker = made_by.get(key)
                if maker is not None and maker.key not in keys:
                    owner = f"{maker.kind} {maker.metadata.name}"
                    raise Permanent(f"{key}: belongs to {owner}, which would make it again: {way_out(key, maker)}")
            for key in sorted(keys):
                parameters = {**self._place(key), "now_us": now_us()}
                if connection.execute(resource_sql.DELETE, parameters).fetchall():
                    asked.append(key)
                    self._note(connection, key, "deletion asked for")
        return asked

    def remove(self, resource: Resource) -> None:
        """Remove a resource that was deleted and has nothing left to be wound down."""
        with self._transaction() as connection:
            connection.execute(resource_sql.REMOVE, {"fleet": self._fleet, "uid": resource.metadata.uid})
            self._note(connection, resource.key, "deleted")

    def is_gone(self, key: ResourceKey, uid: str) -> bool:
        """Return whether a resource is not there: of a local fleet nothing is out of sight."""
        return all((each.key, each.metadata.uid) != (key, uid) for each in self.all())

    def write_statuses(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        """Replace statuses, by UID."""
        if not statuses:
            return
        rows = [{"fleet": self._fleet, "uid": uid, "status": json.dumps(status)} for uid, status in statuses.items()]
        with self._errors() as connection, connection.cursor() as cursor:
            cursor.executemany(resource_sql.WRITE_STATUS, rows)

    def note(self, key: ResourceKey, action: str, detail: str) -> None:
        """Note what befell a resource."""
        with self._errors() as connection:
            self._note(connection, key, action, detail)

    def events(self, key: ResourceKey, *, limit: int) -> list[Event]:
        """Return the last events of a resource, the newest first."""
        parameters = {"fleet": self._fleet, "object": str(key), "limit": limit}
        with self._errors() as connection:
            rows = connection.execute(resource_sql.EVENTS, parameters).fetchall()
        return [Event(at_us, actor, action, detail.get("text", "")) for at_us, actor, action, detail in rows]

    def _note(self, connection: Connection, key: ResourceKey, action: str, detail: str = "") -> None:
        noted = Action(actor=self._actor, action=action, target=str(key), detail={"text": detail} if detail else {})
        connection.execute(RECORD_ACTION, action_parameters(self._fleet, noted))

    def _place(self, key: ResourceKey) -> dict[str, object]:
        return {"fleet": self._fleet, **key._asdict()}

    # --- connection -----------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._errors() as connection, connection.transaction():
            yield connection
            connection.execute(resource_sql.NOTIFY, {"channel": CHANNEL})

    @contextmanager
    def _errors(self) -> Iterator[Connection]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    application_name="resources",
                    options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
                )
                if self._listens:
                    self._connection.execute(_LISTEN)
            yield self._connection
        except psycopg.OperationalError as error:
            self.close()
            raise Retryable(f"database: {str(error).strip()}") from error


def _refusals(old: Resource | None, new: Resource, owner: str | None) -> Iterator[Problem]:
    """Yield why a change by `owner`, None for a person, may not be."""
    if old is None:
        return
    if owner is None and isinstance(old, Feed) and is_owned(old):
        yield Problem(
            resource=str(new.key),
            path=("metadata", "name"),
            message="was made by its Exchange, which would change it back",
            remedy="give your Feed another name: it takes the place of this one",
        )
    if old.metadata.deletion_timestamp is not None and not _changes_its_end(old, new):
        yield Problem(
            resource=str(new.key),
            path=("metadata", "name"),
            message="is being deleted",
            remedy="wait until it is gone (`tradefleet get` shows what it waits for), then apply again",
        )
    for broken in refused_changes(old.spec, new.spec):
        yield Problem(resource=str(new.key), path=("spec", *broken.path), message=broken.message)


def _changes_its_end(old: Resource, new: Resource) -> bool:
    """Return whether nothing changes but what becomes of a deleted bot's orders and position."""
    if not (isinstance(old, TradingBot) and isinstance(new, TradingBot)) or new.spec == old.spec:
        return False
    return new.spec.model_copy(update={"deletion_policy": old.spec.deletion_policy}) == old.spec
