"""Workloads as objects of a cluster: what is missing is made, what differs is mended, what nobody wants is deleted.

Level-based: each call compares what is there with what should be, whatever happened in between. What was compared once
is not compared again until one of the two changes, so a fleet at rest costs a look at versions and no write.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import msgspec

from governor.rollout import rolls_out
from governor.workload import ProcessFacts, ProcessState, Role, Workload
from tradefleet.domain.errors import FleetError, Permanent, Retryable
from tradefleet.resources.common import GROUP, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.pods import PodTemplate
from tradefleet.resources.trading_bot import TradingBot

from .cache import Cache, Entry, Key
from .client import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Api,
    Body,
    Conflict,
    Forbidden,
    Kind,
    NameTaken,
    NotFound,
    Refused,
    key_of,
    owners_of,
)
from .drift import is_as_wanted, replacement
from .facts import facts_of, has_finished, restarts_of
from .manifests import (
    DIGEST_ANNOTATION,
    ENDED_ANNOTATION,
    FLEET_LABEL,
    NAMESPACE_LABEL,
    WORKLOAD_LABEL,
    Child,
    Credentials,
    Surroundings,
    children_of,
    code_key,
    noted_template,
    object_key,
    pod_template_of,
)
from .namespaces import Namespaces
from .secrets import Secrets

_LOG: Final = logging.getLogger(__name__)

# Deployments first: of what nobody wants, the process ends before what it stands on goes.
WRITTEN: Final = (DEPLOYMENT, SERVICE, CONFIG_MAP, NETWORK_POLICY, SERVICE_ACCOUNT)
WATCHED: Final = (*WRITTEN, POD)
CODE_GONE: Final = (
    "the code that it runs is not there any more, neither in the ConfigMap of strategy.codeFrom nor in its own copy: "
    "bring it back, or agree to what is there now, as its ConfigDrift says"
)
MARKS_MAX: Final = 50_000
AT_ONCE: Final = 8  # workloads that are brought about at the same time

_BY_LABEL: Final = {f"{GROUP}/{kind.lower()}": kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One object that should be, without the object."""

    kind: Kind
    key: Key
    digest: str


@dataclass(frozen=True, slots=True)
class _Made:
    """The objects of a workload, and what they are made from: kept themselves they would fill the memory."""

    origin: tuple[object, ...]
    children: tuple[_Wanted, ...]
    make: Callable[[], Sequence[Child]]

    def bodies(self) -> Iterator[tuple[_Wanted, Body]]:
        """Yield the objects, made again."""
        for child, made in zip(self.children, self.make(), strict=True):
            yield child, made.body


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the labels of an object say it belongs to."""

    workload: str
    owner: ResourceKey | None


class ClusterRenderer:
    """Keeps one Deployment with all that belongs to it for each workload. Not for several threads.

    `owner_of` finds the resource of a workload, `credentials` what it alone may know, which `prepare` may make for many
    at once. `frozen` are the UIDs of resources that cannot be read at present: what they own stays as it is. `listed`
    are the namespaces that must have been listed before anything may be taken for missing.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        surroundings: Surroundings,
        *,
        secrets: Secrets,
        credentials: Callable[[Workload], Credentials],
        owner_of: Callable[[ResourceKey], Resource | None],
        frozen: Callable[[], AbstractSet[str]],
        namespaces: Namespaces,
        listed: Collection[str],
        prepare: Callable[[Collection[Workload]], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._cache = cache
        self._surroundings = surroundings
        self._secrets = secrets
        self._credentials = credentials
        self._prepare = prepare
        self._owner_of = owner_of
        self._frozen = frozen
        self._namespaces = namespaces
        self._listed = listed
        self._barred: set[str] = set()  # namespaces in which something could not be made
        self._workloads: dict[str, Workload] = {}
        self._made: dict[str, _Made] = {}
        self._in_sync: dict[tuple[str, Key], tuple[int, str]] = {}  # version and digest that were found to agree
        self._problems: dict[str, ProcessFacts] = {}
        self._without_code: set[str] = set()  # workloads whose modules are nowhere any more
        self._marks: dict[str, _Mark] = {}  # by UID: labels of ours do not change
        self._known: dict[str, tuple[tuple[object, ...], ProcessFacts]] = {}
        self._restarts: dict[str, tuple[int, int]] = {}  # version and count, by the UID of a pod
        self._ends: list[tuple[Workload, str]] = []
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="renderer")

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown()

    # --- bringing about -------------------------------------------------------------------------------------------

    def tend(self, workloads: Collection[Workload]) -> None:
        """Bring what is there closer to `workloads`. Raises Retryable when the API server cannot be relied on."""
        if not self._cache.is_filled(WATCHED, self._listed):
            raise Retryable("the objects of the cluster have not been listed yet")
        self._secrets.begin_round()
        self._namespaces.look(self._barred)  # nothing can be made in one that ends
        self._barred.clear()
        workloads = [each for each in workloads if not self._is_left_out(each)]
        self._workloads = {each.name: each for each in workloads}
        self._made = {name: made for name, made in self._made.items() if name in self._workloads}
        self._problems = {name: facts for name, facts in self._problems.items() if name in self._workloads}
        self._known = {name: known for name, known in self._known.items() if name in self._workloads}
        if len(self._marks) > MARKS_MAX:
            self._marks.clear()
        pods = self._pods()
        wanted: set[tuple[str, Key]] = set()
        self._prepare(workloads)
        for workload in workloads:
            owner = self._owner_of(workload.owner)
            if owner is None:
                continue  # gone since the plan was made; what it owned goes with it
            made = self._made[workload.name] = self._make(workload, owner, pods)
            wanted |= {(child.kind.kind, child.key) for child in made.children}
        # At rest that is nobody, and costs no thread a thought.
        list(self._pool.map(self._bring, [name for name in self._made if not self._is_in_sync(name)]))
        self._remove_others(wanted)
        self._note_restarts(pods)

    def look_after_secrets(self) -> None:
        """Look at some of the Secrets, which no watch tells of, and mend what somebody changed."""
        self._secrets.begin_round()
        for made in self._made.values():
            for child in made.children:
                if child.kind == SECRET and self._secrets.is_due(child.key):
                    self._secrets.bring(next(body for wanted, body in made.bodies() if wanted == child))

    def _is_left_out(self, workload: Workload) -> bool:
        """Return whether a workload has no part in the end of its namespace.

        A bot has none: its gateway cancels and sells. In a lockstep run it has, since everybody waits for it.
        """
        if self._home_of(workload) == workload.owner.namespace:
            return False
        is_bots = workload.role in (Role.BOT, Role.HOST) and not workload.settings.get("run")
        return is_bots or workload.role is Role.RECORDER

    def _home_of(self, workload: Workload) -> str:
        return self._namespaces.home_of(workload.owner.namespace)

    def _key(self, workload: Workload) -> Key:
        return object_key(workload.name, workload.owner, self._home_of(workload))

    def _make(self, workload: Workload, owner: Resource, pods: Mapping[Key, list[Entry]]) -> _Made:
        workload = self._with_kept_code(workload)
        credentials = self._credentials(workload)
        has_ended = workload.role is Role.FEED and self._has_ended(workload, pods)
        template = self._template(workload, owner)
        home = self._home_of(workload)
        origin = (workload.digest, owner.metadata.uid, template, credentials, has_ended, home)
        made = self._made.get(workload.name)
        if made is not None and made.origin == origin:
            return made
        make = partial(
            children_of,
            workload,
            owner,
            self._surroundings,
            credentials,
            has_ended=has_ended,
            home=home,
            template=template,
        )
        return _Made(origin, tuple(_wanted(child.kind, child.body) for child in make()), make)

    def _with_kept_code(self, workload: Workload) -> Workload:
        """Return a workload with the modules that were kept for it, when they are not at hand any more."""
        self._without_code.discard(workload.name)
        if not workload.code.files_digest or workload.code.files is not None:
            return workload
        homes = (self._home_of(workload), workload.owner.namespace)
        entry = next(filter(None, (self._cache.get(CONFIG_MAP, code_key(workload, home)) for home in homes)), None)
        if entry is None:
            self._without_code.add(workload.name)
            return workload
        return replace(workload, code=replace(workload.code, files=entry.body().get("data") or {}))

    def _template(self, workload: Workload, owner: Resource) -> PodTemplate:
        """Return the podTemplate that counts: the one before, as long as a change waits for a person's word."""
        wanted = pod_template_of(owner)
        if not isinstance(owner, TradingBot) or rolls_out(owner):
            return wanted
        entry = self._cache.get(DEPLOYMENT, self._key(workload))
        noted = None if entry is None else noted_template(entry.body())
        return wanted if noted is None else noted

    def _has_drifted(self, workload: Workload) -> bool:
        owner = self._owner_of(workload.owner) if workload.role is Role.BOT else None
        return owner is not None and self._template(workload, owner) != pod_template_of(owner)

    def _has_ended(self, workload: Workload, pods: Mapping[Key, list[Entry]]) -> bool:
        """Return whether this very workload has come to its own end: it was noted, or a pod says so."""
        key = self._key(workload)
        entry = self._cache.get(DEPLOYMENT, key)
        if entry is not None and _annotations(entry.body()).get(ENDED_ANNOTATION) == workload.digest:
            return True
        bodies = [each.body() for each in pods.get(key, ())]
        return any(has_finished(pod) and _annotations(pod).get(DIGEST_ANNOTATION) == workload.digest for pod in bodies)

    def _is_in_sync(self, name: str) -> bool:
        """Return whether all objects of a workload were found to be as they should, and are as they were then."""
        return name not in self._problems and all(self._agrees(child) for child in self._made[name].children)

    def _agrees(self, child: _Wanted) -> bool:
        known = self._in_sync.get((child.kind.kind, child.key))
        if known is None or known[1] != child.digest:
            return False
        if child.kind == SECRET:  # no watch tells of them
            return not self._secrets.is_due(child.key)
        entry = self._cache.get(child.kind, child.key)
        return entry is not None and entry.version == known[0]

    def _bring(self, name: str) -> None:
        """Bring about the objects of one workload. What stands in its way holds up no other one."""
        if name in self._without_code:
            self._problems[name] = ProcessFacts(state=ProcessState.REFUSED, reason="CodeGone", message=CODE_GONE)
            return
        try:
            for child, body in self._made[name].bodies():
                if child.kind == SECRET:
                    self._secrets.bring(body)
                    self._in_sync[child.kind.kind, child.key] = (0, child.digest)
                elif not self._bring_one(child, body):
                    break  # what follows stands on it
            else:
                self._problems.pop(name, None)
        except Conflict as error:
            _LOG.info("%s: changed while it was written, again next time: %s", name, error)
        except FleetError as error:
            if isinstance(error, Forbidden):
                self._barred.add(self._workloads[name].owner.namespace)
            state = ProcessState.REFUSED if isinstance(error, Permanent) else ProcessState.STARTING
            reason = "Refused" if isinstance(error, Refused) else type(error).__name__
            self._problems[name] = ProcessFacts(state=state, reason=reason, message=str(error))

    def _bring_one(self, child: _Wanted, wanted: Body) -> bool:
        """Make or mend one object; False when it has to go first."""
        place = child.kind.kind, child.key
        entry = self._cache.get(*_place(child))
        if entry is not None and self._in_sync.get(place) == (entry.version, child.digest):
            return True
        stored = self._look(child) if entry is None else entry.body()
        if stored is not None:
            if "deletionTimestamp" in stored["metadata"]:
                return False
            self._check_ours(child, wanted, stored)
            if not _has_same_owner(wanted, stored):
                # Of a resource of the same name that was deleted: nothing of it may be taken over.
                self._api.delete(child.kind, *child.key, uid=stored["metadata"]["uid"])
                return False
            if is_as_wanted(wanted, stored):
                self._agree(child, stored)
                return True
        try:
            stored = self._api.apply(child.kind, wanted, is_ours=True)
            mended = replacement(wanted, stored)
            if mended is not None:
                stored = self._api.rewrite(child.kind, stored, mended)
        except Refused as error:
            if stored is None or "immutable" not in str(error):
                raise
            self._api.delete(child.kind, *child.key, uid=stored["metadata"]["uid"])
            return False
        if not is_as_wanted(wanted, stored):
            # A newer API server may fill in what we do not know. To write it for ever would not help.
            _LOG.warning("%s %s/%s: the API server keeps another form of it", child.kind.kind, *child.key)
        self._agree(child, stored)
        return True

    def _look(self, child: _Wanted) -> Body | None:
        """Return an object that the cache does not know: somebody else's, or one whose news is on its way."""
        try:
            return self._api.get(child.kind, *child.key)
        except NotFound:
            return None

    def _check_ours(self, child: _Wanted, wanted: Body, stored: Body) -> None:
        labels = stored["metadata"].get("labels") or {}
        if any(labels.get(name) == wanted["metadata"]["labels"][name] for name in (FLEET_LABEL, WORKLOAD_LABEL)):
            return
        if any(owners_of(wanted)) and _has_same_owner(wanted, stored):
            return  # ours, and somebody has taken its labels away
        place = f"{child.kind.kind} {child.key[0]}/{child.key[1]}"
        raise NameTaken(f"{place} is there already, and not ours: rename it or delete it")

    def _agree(self, child: _Wanted, stored: Body) -> None:
        self._cache.offer(child.kind, stored)
        version = int(stored["metadata"]["resourceVersion"])
        self._in_sync[child.kind.kind, child.key] = (version, child.digest)

    def _remove_others(self, wanted: Collection[tuple[str, Key]]) -> None:
        """Delete what is ours and not wanted: of a workload that is over, or that has another name or kind now.

        Its Secret goes first, which no list shows: what is left of a workload tells that there may be one.
        """
        cleared: set[Key] = set()
        frozen = self._frozen()
        for kind in WRITTEN:
            for key, entry in self._cache.all(kind):
                if (kind.kind, key) in wanted:
                    continue
                body = entry.body()
                is_ours = WORKLOAD_LABEL in (body["metadata"].get("labels") or {})
                if not is_ours or "deletionTimestamp" in body["metadata"] or not frozen.isdisjoint(owners_of(body)):
                    continue
                self._in_sync.pop((kind.kind, key), None)
                try:
                    if key not in cleared and (SECRET.kind, key) not in wanted:
                        self._secrets.remove(key)  # while there is something by which it is found
                        self._in_sync.pop((SECRET.kind, key), None)
                        cleared.add(key)
                    self._api.delete(kind, *key, uid=entry.uid)
                except Forbidden as error:  # in one namespace, which concerns no other
                    _LOG.warning("%s %s/%s cannot be deleted: %s", kind.kind, *key, error)

    # --- what others ask ------------------------------------------------------------------------------------------

    def facts(self) -> Mapping[str, ProcessFacts]:
        """Return what is known of each process, by the workload's name."""
        pods = self._pods()
        found = {name: self._problems.get(name) or self._facts(each, pods) for name, each in self._workloads.items()}
        drifted = [name for name, each in self._workloads.items() if self._has_drifted(each)]
        return found | {name: replace(found[name], has_drifted=True) for name in drifted}

    def _facts(self, workload: Workload, pods: Mapping[Key, list[Entry]]) -> ProcessFacts:
        key = self._key(workload)
        deployment = self._cache.get(DEPLOYMENT, key)
        mine = pods.get(key, [])
        versions = (
            workload.digest,
            deployment and (deployment.uid, deployment.version),
            *((pod.uid, pod.version) for pod in mine),
        )
        known = self._known.get(workload.name)
        if known is not None and known[0] == versions:
            return known[1]
        body = None if deployment is None else deployment.body()
        if body is not None and _annotations(body).get(ENDED_ANNOTATION) == workload.digest:
            facts = ProcessFacts(state=ProcessState.ENDED)
        else:
            # A pod of before an edit is on its way out, whatever it answers.
            bodies = (each.body() for each in mine)
            facts = facts_of(
                body, [pod for pod in bodies if _annotations(pod).get(DIGEST_ANNOTATION) == workload.digest]
            )
        self._known[workload.name] = (versions, facts)
        return facts

    def owners(self) -> Collection[ResourceKey]:
        """Return the resources of which a process runs, or may be started: those with a Deployment or a pod."""
        marks = (self._mark(key, entry) for kind in (DEPLOYMENT, POD) for key, entry in self._cache.all(kind))
        return {mark.owner for mark in marks if mark.owner is not None}

    def take_ends(self) -> Sequence[tuple[Workload, str]]:
        """Return the ends that nobody had asked for, since the last call, each with its reason."""
        ends, self._ends = self._ends, []
        return ends

    def _note_restarts(self, pods: Mapping[Key, list[Entry]]) -> None:
        counts: dict[str, tuple[int, int]] = {}
        for workload in self._workloads.values():
            for entry in pods.get(self._key(workload), ()):
                known = self._restarts.get(entry.uid)
                if known is not None and known[0] == entry.version:
                    counts[entry.uid] = known
                    continue
                count, message = restarts_of(entry.body())
                counts[entry.uid] = (entry.version, count)
                if known is not None and count > known[1] and message:
                    self._ends.append((workload, message))
        self._restarts = counts

    # --- pods -----------------------------------------------------------------------------------------------------

    def _pods(self) -> dict[Key, list[Entry]]:
        """Return the pods of each workload, by namespace and its objects' name."""
        found: dict[Key, list[Entry]] = {}
        for key, entry in self._cache.all(POD):
            found.setdefault((key[0], self._mark(key, entry).workload), []).append(entry)
        return found

    def _mark(self, key: Key, entry: Entry) -> _Mark:
        mark = self._marks.get(entry.uid)
        if mark is None:
            labels = entry.body()["metadata"].get("labels") or {}
            namespace = labels.get(NAMESPACE_LABEL, key[0])
            owner = next(
                (ResourceKey(_BY_LABEL[name], namespace, value) for name, value in labels.items() if name in _BY_LABEL),
                None,
            )
            mark = self._marks[entry.uid] = _Mark(labels.get(WORKLOAD_LABEL, ""), owner)
        return mark


def _wanted(kind: Kind, body: Body) -> _Wanted:
    return _Wanted(kind, key_of(body), hashlib.sha256(msgspec.json.encode(body)).hexdigest()[:16])


def _place(child: _Wanted) -> tuple[Kind, Key]:
    return child.kind, child.key


def _annotations(body: Body) -> Mapping[str, str]:
    found: Mapping[str, str] = body["metadata"].get("annotations") or {}
    return found


def _has_same_owner(wanted: Body, stored: Body) -> bool:
    return set(owners_of(wanted)) <= set(owners_of(stored))


def selector(fleet: str) -> str:
    """Return the label selector of all that belongs to a fleet's workloads.

    A label of our own: the standard one of who manages an object is rewritten by tools that mean well.
    """
    return f"{FLEET_LABEL}={fleet}"
