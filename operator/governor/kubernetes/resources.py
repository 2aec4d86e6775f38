"""The resources of a fleet in an API server: read, given our finalizer, shown with a status, and let go.

One that cannot be read says so in its own status and disturbs no other: what was known of it last goes on, and what it
owns is left as it is.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from governor.annotations import FINALIZER, OWNER_ANNOTATION
from governor.conditions import instant
from governor.workload import unique_name
from tradefleet.domain.errors import FleetError, Retryable
from tradefleet.resources.common import API_VERSION, ConditionStatus, ConditionType, Phase, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.model import refused_changes
from tradefleet.resources.problems import InvalidResource, Problem

from .cache import Cache, Entry
from .client import Api, Body, Conflict, Forbidden, Kind, NotFound, Refused, custom
from .events import Events
from .namespaces import Namespaces

_LOG: Final = logging.getLogger(__name__)

CUSTOM: Final[Mapping[str, Kind]] = {name: custom(name, kind.names.plural) for name, kind in KINDS.items()}
ORDER: Final = tuple(KINDS)
AT_ONCE: Final = 8
FIGURES_EVERY_S: Final = 8.0  # how often a status is written of which nothing but figures has changed
FIGURES: Final = frozenset(
    {
        *("equity", "vsHold", "drawdownPercent", "realizedProfit", "fees", "position", "fills", "openOrders"),
        *("lastBarTime", "lastBarAge", "bars", "marketTime", "lastReconciledTime"),
        *("completed", "failed", "progress", "bestParams", "quoteAsset", "datasetHash", "ledgerHash", "synthetic"),
    }
)

WITH_JOBS: Final = frozenset({"Dataset", "Backtest", "TradingBot"})  # of a bot, one that looks at its own strategy

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one applied resource."""

    key: ResourceKey
    verb: str


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A resource as it was at `version`, and a mark of all of it but its version and status."""

    uid: str
    version: int
    mark: str
    resource: Resource


class ClusterResources:
    """Implements `governor.ports.Resources` over an API server. Not for several threads.

    `dismiss` takes away what a resource has outside of the cluster, before the resource itself goes.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        events: Events,
        *,
        namespaces: Collection[str],
        dismiss: Callable[[ResourceKey], None] = lambda _: None,
        stages: Namespaces | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._api = api
        self._cache = cache
        self._events = events
        self._namespaces = namespaces
        self._dismiss = dismiss
        self._stages = stages
        self._deleted: set[str] = set()  # by UID, what is known to be deleted
        self._clock_s = clock_s
        self._wall_us = wall_us
        self._parsed: dict[ResourceKey, _Parsed] = {}
        self._admitted: set[str] = set()  # by UID
        self._unreadable: dict[str, str] = {}  # by UID, what was shown as the reason
        self._by_uid: dict[str, ResourceKey] = {}
        self._shown_s: dict[str, float] = {}  # when a status was written last, by UID
        self._has_waiting = False  # a figure that was not due yet
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="resources")

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown()

    # --- reading --------------------------------------------------------------------------------------------------

    def all(self) -> list[Resource]:
        """Return every resource that bears our finalizer, which those that are new get first."""
        if not self._cache.is_filled(CUSTOM.values(), self._namespaces):
            raise Retryable("the resources of the cluster have not been listed yet")
        there: dict[ResourceKey, Entry] = {}
        for name, kind in CUSTOM.items():
            for (namespace, own), entry in self._cache.all(kind):
                if namespace in self._namespaces:  # the watches see our own namespace, too
                    there[ResourceKey(name, namespace, own)] = entry
        self._by_uid = {entry.uid: key for key, entry in there.items()}
        self._parsed = {key: each for key, each in self._parsed.items() if there.get(key, _NONE).uid == each.uid}
        self._unreadable = {uid: why for uid, why in self._unreadable.items() if uid in self._by_uid}
        self._shown_s = {uid: at_s for uid, at_s in self._shown_s.items() if uid in self._by_uid}
        for key, entry in there.items():
            self._parse(key, entry)
        self._end_with_namespaces()
        self._add_finalizers(there)
        # One that was admitted stays, whatever somebody did to its finalizers: to leave it out would end what it runs.
        held = {each.uid for each in self._parsed.values() if FINALIZER in each.resource.metadata.finalizers}
        self._admitted = held | (self._admitted & self._by_uid.keys())
        found = [each.resource for each in self._parsed.values() if each.uid in self._admitted]
        return sorted(found, key=lambda each: (ORDER.index(each.kind), each.key))

    def _end_with_namespaces(self) -> None:
        """Take all in a namespace that is being deleted for deleted: Kubernetes comes to one kind after the other.

        A Feed that is deleted before the bots are would go, and they could not sell.
        """
        if self._stages is None:
            return
        deleted = {
            each.uid: key.namespace
            for key, each in self._parsed.items()
            if each.resource.metadata.deletion_timestamp is not None
        }
        anew = {namespace for uid, namespace in deleted.items() if uid not in self._deleted}
        self._deleted = set(deleted)
        self._stages.look(set(deleted.values()), anew=anew)
        for key, each in self._parsed.items():
            ended = self._stages.ended(key.namespace)
            if ended and each.resource.metadata.deletion_timestamp is None:
                metadata = each.resource.metadata.model_copy(update={"deletion_timestamp": ended})
                resource = each.resource.model_copy(update={"metadata": metadata})
                self._parsed[key] = _Parsed(each.uid, each.version, each.mark, resource)

    def get(self, key: ResourceKey) -> Resource | None:
        """Return a resource as `all` returned it last."""
        parsed = self._parsed.get(key)
        return None if parsed is None else parsed.resource

    def is_calm(self) -> bool:
        """Return whether nothing is on its way to somewhere else: no resource starts, waits or ends, all is shown."""
        return not self._has_waiting and not any(
            each.resource.metadata.deletion_timestamp is not None or _is_moving(each.resource)
            for each in self._parsed.values()
        )

    def by_job(self) -> dict[str, Resource]:
        """Return the resources that may have jobs as `all` returned them last, by the names that those have."""
        return {
            unique_name(key.kind.lower(), key): each.resource
            for key, each in self._parsed.items()
            if key.kind in WITH_JOBS
        }

    def unreadable(self) -> AbstractSet[str]:
        """Return the UIDs of the resources that cannot be read."""
        return self._unreadable.keys()

    def _parse(self, key: ResourceKey, entry: Entry) -> None:
        known = self._parsed.get(key)
        if known is not None and known.version == entry.version and entry.uid not in self._unreadable:
            return
        body = entry.body()
        status = body.pop("status", None) or {}
        version = body["metadata"].pop("resourceVersion", "")
        mark = hashlib.sha256(msgspec.json.encode([body["metadata"], body.get("spec")])).hexdigest()
        if known is not None and known.mark == mark and entry.uid not in self._unreadable:
            self._parsed[key] = _Parsed(entry.uid, entry.version, mark, _with_status(known.resource, status, version))
            return
        try:
            resource = KINDS[key.kind].parse({**body, "metadata": {**body["metadata"], "resourceVersion": version}})
        except InvalidResource as error:
            self._cannot_read(key, entry, status, str(error))
            if known is not None:  # go on with what was known of it, but know of its end
                self._parsed[key] = _Parsed(
                    entry.uid, entry.version, mark, _ending_like(known.resource, body["metadata"])
                )
            return
        self._unreadable.pop(entry.uid, None)
        self._parsed[key] = _Parsed(entry.uid, entry.version, mark, _with_status(resource, status, version))

    def _cannot_read(self, key: ResourceKey, entry: Entry, status: Values, why: str) -> None:
        if self._unreadable.get(entry.uid) == why:
            return
        _LOG.error("%s cannot be read: %s", key, why)
        generation = entry.body()["metadata"].get("generation")
        shown = _stalled(status, why, generation, instant(self._wall_us()))
        self._unreadable[entry.uid] = why if self._write_status(key, entry, shown) is None else ""

    def _add_finalizers(self, there: Mapping[ResourceKey, Entry]) -> None:
        """Put our finalizer on what is new, before anything of it trades."""
        bare = [
            (key, there[key])
            for key, each in self._parsed.items()
            if FINALIZER not in each.resource.metadata.finalizers
            and each.resource.metadata.deletion_timestamp is None
            and each.uid not in self._unreadable
        ]
        for error in self._pool.map(lambda each: self._add_finalizer(*each), bare):
            if error is not None:
                raise error

    def _add_finalizer(self, key: ResourceKey, entry: Entry) -> Retryable | None:
        metadata = entry.body()["metadata"]
        finalizers = [*(metadata.get("finalizers") or ()), FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        kind = CUSTOM[key.kind]
        try:
            body = self._api.merge(kind, key.namespace, key.name, patch)
        except (NotFound, Conflict):
            return None  # there is news of it on its way
        except Refused as error:
            _LOG.error("%s: %s", key, error)
            return None
        except Retryable as error:
            return error
        self._cache.offer(kind, body)
        fresh = self._cache.get(kind, (key.namespace, key.name))
        if fresh is not None and fresh.uid == entry.uid:
            self._parse(key, fresh)
        return None

    # --- status ---------------------------------------------------------------------------------------------------

    def write_statuses(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        """Show statuses, by UID. What is only a figure waits a little, so that many bars make few writes."""
        wanted = []
        self._has_waiting = False
        for uid, status in statuses.items():
            key = self._by_uid.get(uid)
            entry = None if key is None else self._cache.get(CUSTOM[key.kind], (key.namespace, key.name))
            if key is None or entry is None or entry.uid != uid or uid in self._unreadable:
                continue
            old = entry.body().get("status") or {}
            if old == status:
                continue
            if self._is_due(uid, old, status):
                wanted.append((key, entry, status))
            else:
                self._has_waiting = True
        errors = [error for error in self._pool.map(lambda each: self._write_status(*each), wanted) if error]
        for error in errors:
            if isinstance(error, Retryable) and not isinstance(error, Conflict):
                raise error

    def _is_due(self, uid: str, old: Values, new: Values) -> bool:
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        if not changed <= FIGURES:
            return True
        return bool(changed) and self._clock_s() - self._shown_s.get(uid, -FIGURES_EVERY_S) >= FIGURES_EVERY_S

    def _write_status(self, key: ResourceKey, entry: Entry, status: Values) -> FleetError | None:
        """Write one status over the version that it was made from; return what stood in the way."""
        old = entry.body().get("status") or {}
        changes = merge_patch(old, status)
        if not changes:
            return None
        kind = CUSTOM[key.kind]
        patch: Body = {"metadata": {"resourceVersion": str(entry.version)}, "status": changes}
        try:
            body = self._api.merge(kind, key.namespace, key.name, patch, subresource="status")
        except NotFound:
            return None
        except FleetError as error:
            if not isinstance(error, Retryable):
                _LOG.error("%s: its status cannot be written: %s", key, error)
            return error
        self._cache.offer(kind, body)
        self._shown_s[entry.uid] = self._clock_s()
        self._tell_of(key, entry.uid, old, status)
        return None

    def _tell_of(self, key: ResourceKey, uid: str, old: Values, new: Values) -> None:
        """Write an event when a resource stands elsewhere than before."""
        before, now = (_condition(status, ConditionType.READY) for status in (old, new))
        if (before.get("status"), before.get("reason")) == (now.get("status"), now.get("reason")):
            return
        is_warning = _condition(new, ConditionType.STALLED).get("status") == "True"
        note = str(now.get("message") or new.get("phase") or "")
        self._events.tell(key, uid, reason=str(now.get("reason") or "Changed"), note=note, is_warning=is_warning)

    # --- changing -------------------------------------------------------------------------------------------------

    def apply(self, wanted: Sequence[Resource], *, owner: str | None = None) -> list[Change]:
        """Create or change what the resource owns whose UID is `owner`. Raises InvalidResource for what may not be."""
        problems: list[Problem] = []
        owner_key = self._by_uid.get(owner or "")
        for each in wanted:
            problems += self._refusals(each, owner, owner_key)
        if problems:
            error = InvalidResource(problems)
            if owner_key is not None and owner is not None:
                self._events.tell(owner_key, owner, reason=f"{wanted[0].kind}Refused", note=str(error), is_warning=True)
            raise error
        return list(self._pool.map(lambda each: self._apply_one(each, owner, owner_key), wanted))

    def _refusals(self, new: Resource, owner: str | None, owner_key: ResourceKey | None) -> Iterable[Problem]:
        old = self.get(new.key)
        if old is None:
            return
        if owner is not None and old.metadata.annotations.get(OWNER_ANNOTATION) != owner:
            kind = "resource" if owner_key is None else owner_key.kind
            message = f"is there already and was not made by this {kind}"
            remedy = f"delete it, or give the {kind} another name"
            yield Problem(resource=str(new.key), path=("metadata", "name"), message=message, remedy=remedy)
        for broken in refused_changes(old.spec, new.spec):
            yield Problem(resource=str(new.key), path=("spec", *broken.path), message=broken.message)

    def _apply_one(self, new: Resource, owner: str | None, owner_key: ResourceKey | None) -> Change:
        old = self.get(new.key)
        annotations = {**new.metadata.annotations, **({OWNER_ANNOTATION: owner} if owner is not None else {})}
        if old is not None and old.digest() == new.digest() and _has(old, new.metadata.labels, annotations):
            return Change(new.key, "unchanged")
        metadata: Body = {
            "namespace": new.key.namespace,
            "name": new.key.name,
            "labels": dict(new.metadata.labels),
            "annotations": annotations,
        }
        if owner is not None and owner_key is not None:
            metadata["ownerReferences"] = [
                {
                    "apiVersion": API_VERSION,
                    "kind": owner_key.kind,
                    "name": owner_key.name,
                    "uid": owner,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        kind = CUSTOM[new.kind]
        body = {"apiVersion": API_VERSION, "kind": new.kind, "metadata": metadata, "spec": new.body()["spec"]}
        self._cache.offer(kind, self._api.apply(kind, body, is_ours=True))
        return Change(new.key, "created" if old is None else "configured")

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""
        asked = []
        for key in sorted(keys):
            kind = CUSTOM[key.kind]
            entry = self._cache.get(kind, (key.namespace, key.name))
            if entry is None or "deletionTimestamp" in entry.body()["metadata"]:
                continue
            body = self._api.delete(kind, key.namespace, key.name, uid=entry.uid)
            if body is not None:
                self._cache.offer(kind, body)
            asked.append(key)
        return asked

    def remove(self, resource: Resource) -> None:
        """Take our finalizer off a resource that was wound down."""
        kind, place = CUSTOM[resource.kind], (resource.key.namespace, resource.key.name)
        entry = self._cache.get(kind, place)
        if entry is None or entry.uid != resource.metadata.uid:
            return
        metadata = entry.body()["metadata"]
        if FINALIZER not in (metadata.get("finalizers") or ()):
            return  # it has been let go; its namespace, which ends, has not come to it yet
        self._dismiss(resource.key)
        finalizers = [each for each in metadata.get("finalizers") or () if each != FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
        try:
            body = self._api.merge(kind, *place, patch)
        except (NotFound, Conflict):
            return  # gone, or looked at again next time
        is_gone = not finalizers and "deletionTimestamp" in body["metadata"]
        self._cache.offer(kind, body, is_gone=is_gone)

    def is_gone(self, key: ResourceKey, uid: str) -> bool:
        """Return whether a resource is not there: the API server is asked, for one may be out of sight or unreadable.

        In a namespace that is not looked after any more everything is out of sight. Raises Retryable.
        """
        if key.namespace not in self._namespaces or self._by_uid.get(uid) == key:
            return False
        try:
            return bool(self._api.get(CUSTOM[key.kind], key.namespace, key.name)["metadata"]["uid"] != uid)
        except NotFound:
            return True
        except Forbidden:
            return False  # out of sight, and no other namespace waits for the right to look

    def note(self, key: ResourceKey, action: str, detail: str) -> None:
        """Write an event about what befell a resource."""
        entry = self._cache.get(CUSTOM[key.kind], (key.namespace, key.name))
        if entry is not None:
            reason = "".join(word.capitalize() for word in action.split())
            self._events.tell(key, entry.uid, reason=reason, note=detail, is_warning=True)


# --- parts ------------------------------------------------------------------------------------------------------------

_NONE: Final = Entry("", 0, b"{}")


def _is_moving(resource: Resource) -> bool:
    found = resource.status.condition(ConditionType.RECONCILING)
    return found is None or found.status is ConditionStatus.TRUE


def _with_status(resource: Resource, status: Values, version: str) -> Resource:
    shown = type(resource.status).model_validate(dict(status), by_alias=True) if status else type(resource.status)()
    metadata = resource.metadata.model_copy(update={"resource_version": version})
    return resource.model_copy(update={"status": shown, "metadata": metadata})


def _ending_like(resource: Resource, metadata: Values) -> Resource:
    """Return the last readable form of a resource, with what is known of its end and what was noted on it."""
    update = {
        "deletion_timestamp": metadata.get("deletionTimestamp"),
        "finalizers": tuple(metadata.get("finalizers") or ()),
        "annotations": dict(metadata.get("annotations") or {}),
    }
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update=update)})


def _has(old: Resource, labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    pairs = ((old.metadata.labels, labels), (old.metadata.annotations, annotations))
    return all(there.get(name) == value for there, noted in pairs for name, value in noted.items())


def _stalled(status: Values, why: str, generation: int | None, now: str) -> dict[str, Any]:
    """Return a status that says of a resource that it cannot be read."""
    says = {ConditionType.READY: "False", ConditionType.RECONCILING: "False", ConditionType.STALLED: "True"}
    conditions = []
    for kind, value in says.items():
        before = _condition(status, kind)
        since = before.get("lastTransitionTime") if before.get("status") == value else None
        conditions.append(
            {
                "type": str(kind),
                "status": value,
                "reason": "InvalidSpec",
                "message": why if kind is not ConditionType.RECONCILING else "",
                "lastTransitionTime": since or now,
                **({} if generation is None else {"observedGeneration": generation}),
            }
        )
    shown = {**status, "phase": str(Phase.FAILED), "reason": why, "conditions": conditions}
    return shown if generation is None else {**shown, "observedGeneration": generation}


def _condition(status: Values, kind: ConditionType) -> Values:
    found = (each for each in status.get("conditions") or () if isinstance(each, Mapping) and each.get("type") == kind)
    return next(found, {})


def merge_patch(old: Values, new: Values) -> dict[str, Any]:
    """Return the JSON merge patch from `old` to `new` (RFC 7396)."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            inner = merge_patch(before, value)
            if inner:
                patch[name] = inner
        elif before != value:
            patch[name] = value
    return patch
