"""The trials of Backtests as Indexed Jobs. What came of them stands in the database, so a Job may go at any time.

A Job is made once for a question, and after that only held or let run: its parallelism and suspend are patched when
they differ, and nothing else of it. One that was made from a template that does not start is made anew.
"""

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final

from governor.simulation import Asked, Simulation, SimulationFacts
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import Resource
from tradefleet.store.components import Component
from tradefleet.store.logins import workload_login

from .cache import Cache, Entry, Key
from .client import CONFIG_MAP, JOB, NETWORK_POLICY, POD, SECRET, AlreadyExists, Api, Body, Kind, NotFound, owners_of
from .drift import is_as_wanted, replacement
from .facts import last_words, pod_facts
from .manifests import CONTAINER, DIGEST_ANNOTATION, Child, Surroundings
from .secrets import Secrets
from .simulation_manifests import (
    INDEX_ANNOTATION,
    QUEUE_LABEL,
    SIMULATION_LABEL,
    children_of_simulation,
    indexes_in,
    simulation_name,
)

_LOG: Final = logging.getLogger(__name__)

NO_POD_AFTER_S: Final = 20.0  # a Job that runs has a pod by then, or cannot have one
MARKS_MAX: Final = 50_000
OBJECTS: Final[Sequence[Kind]] = (JOB, NETWORK_POLICY, CONFIG_MAP)


class ClusterSimulations:
    """Implements `governor.simulating.SimulationRunner`. Not for several threads.

    `owners` are the resources by the names of their jobs, `login` gives the URL of a simulation's own log-in, and
    `queue` the name of Kueue's LocalQueue, empty when we queue ourselves. What resources own that are `frozen` (UIDs),
    since they cannot be read, is left as it is.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        surroundings: Surroundings,
        *,
        secrets: Secrets,
        login: Callable[[str, Key], str],
        owners: Callable[[], Mapping[str, Resource]],
        frozen: Callable[[], AbstractSet[str]],
        slots: int,
        queue: Callable[[], str] = lambda: "",
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._cache = cache
        self._surroundings = surroundings
        self._secrets = secrets
        self._login = login
        self._owners = owners
        self._frozen = frozen
        self._slots = slots
        self._queue = queue
        self._wall_s = wall_s
        self._marks: dict[str, str] = {}  # which simulation a pod is of, by the pod's UID

    @property
    def slots(self) -> int:
        """How many pods may run at the same time; with Kueue, that is Kueue's to say."""
        return sys.maxsize if self._queue() else self._slots

    def role(self, simulation: Simulation) -> str:
        """Return the log-in that writes the results: each Backtest has its own."""
        return workload_login(self._surroundings.fleet, Component.BACKTEST, simulation.name)

    def tend(self, asked: Collection[Asked]) -> dict[str, SimulationFacts]:
        """Make, hold and remove Jobs as asked; return where each simulation is, by name."""
        owners = self._owners()
        here = {each.simulation.name: each for each in asked if each.simulation.name in owners}
        places = {_place(each.simulation) for each in here.values() if not self._is_taken_away(each)}
        facts = {}
        for name, each in here.items():
            try:
                facts[name] = self._tend(each, owners[name])
            except NotFound:
                facts[name] = SimulationFacts(slots=each.slots)  # the cache hears of it soon
            except Permanent as refusal:
                facts[name] = SimulationFacts(slots=each.slots, trouble=str(refusal))
        self._remove_others(places)
        return facts

    def _is_taken_away(self, asked: Asked) -> bool:
        """Return whether no Job should be there: one of Kueue's cannot be held by us, so a suspended one goes."""
        return asked.simulation.is_suspended and bool(self._queue())

    def _tend(self, asked: Asked, owner: Resource) -> SimulationFacts:
        simulation, queue = asked.simulation, self._queue()
        if self._is_taken_away(asked):
            return SimulationFacts()
        entry = self._cache.get(JOB, _place(simulation))
        if entry is None:
            if asked.slots:
                self._make(asked, owner, queue)
            return SimulationFacts(slots=asked.slots, is_queued_elsewhere=bool(queue))
        job = entry.body()
        if "deletionTimestamp" in job["metadata"]:
            return SimulationFacts(slots=asked.slots)
        wanted = self._wanted(asked, owner, queue)
        self._mend(wanted)
        facts = self._facts(asked, job)
        if facts.is_over:
            return facts
        if _is_another(wanted[-1].body, job, queue) or (
            facts.trouble and _is_of_another_template(wanted[-1].body, job)
        ):
            _LOG.info("%s: its Job is made anew", simulation.owner)
            self._api.delete(JOB, *_place(simulation), uid=entry.uid)
        elif not queue:
            self._hold(asked, job)
        return facts

    # --- bringing about -------------------------------------------------------------------------------------------

    def _wanted(self, asked: Asked, owner: Resource, queue: str) -> list[Child]:
        url = self._login(asked.simulation.name, _place(asked.simulation))
        return children_of_simulation(asked.simulation, owner, self._surroundings, url, slots=asked.slots, queue=queue)

    def _make(self, asked: Asked, owner: Resource, queue: str) -> None:
        for child in self._wanted(asked, owner, queue):
            if child.kind == SECRET:
                self._secrets.bring(child.body)
            elif child.kind != JOB:
                self._cache.offer(child.kind, self._api.apply(child.kind, child.body, is_ours=True))
            else:
                try:
                    self._cache.offer(JOB, self._api.create(JOB, child.body))
                except AlreadyExists:
                    _LOG.debug("%s: its Job is there; the cache hears of it soon", asked.simulation.owner)

    def _mend(self, wanted: Sequence[Child]) -> None:
        """Bring back what the pods stand on. Settings stay as they were: a run ends as it began."""
        for child in wanted:
            if child.kind == SECRET:
                self._secrets.bring(child.body)
                continue
            if child.kind == JOB:
                continue
            metadata = child.body["metadata"]
            entry = self._cache.get(child.kind, (metadata["namespace"], metadata["name"]))
            if entry is None or (child.kind == NETWORK_POLICY and not is_as_wanted(child.body, entry.body())):
                stored = self._api.apply(child.kind, child.body, is_ours=True)
                mended = replacement(child.body, stored) if child.kind == NETWORK_POLICY else None
                self._cache.offer(
                    child.kind, stored if mended is None else self._api.rewrite(child.kind, stored, mended)
                )

    def _hold(self, asked: Asked, job: Body) -> None:
        """Let as many pods run as are granted; of a Job nothing else may change."""
        wanted: Body = {"suspend": not asked.slots, **({"parallelism": asked.slots} if asked.slots else {})}
        spec = job["spec"]
        changes = {name: value for name, value in wanted.items() if spec.get(name) != value}
        if changes:
            metadata = job["metadata"]
            # Over whatever version is there: a controller writes the status of a Job that works all the time.
            self._cache.offer(JOB, self._api.merge(JOB, metadata["namespace"], metadata["name"], {"spec": changes}))

    def _remove_others(self, wanted: Collection[Key]) -> None:
        """Delete the objects of simulations that are done or not wanted."""
        frozen = self._frozen()
        for kind in OBJECTS:
            for key, entry in self._cache.all(kind):
                if key in wanted:
                    continue
                body = entry.body()
                metadata = body["metadata"]
                is_ours = SIMULATION_LABEL in (metadata.get("labels") or {})
                if not is_ours or not frozen.isdisjoint(owners_of(body)):
                    continue
                if "deletionTimestamp" not in metadata:
                    self._api.delete(kind, *key, uid=entry.uid)
                    if kind == JOB:
                        self._secrets.remove(key)

    # --- what is known --------------------------------------------------------------------------------------------

    def _facts(self, asked: Asked, job: Body) -> SimulationFacts:
        status: Mapping[str, Any] = job.get("status") or {}
        ended = {
            each["type"]: str(each.get("message") or each.get("reason") or "")
            for each in status.get("conditions") or ()
            if each.get("status") == "True" and each.get("type") in ("Complete", "Failed")
        }
        if ended:
            lost = self._lost(job)
            early = f"was not run: {ended['Failed']}" if "Failed" in ended else "has left no result"
            return SimulationFacts(slots=asked.slots, is_over=True, lost=lost, ended_early=early)
        queue = (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
        running = int(status.get("active") or 0)
        return SimulationFacts(
            running=running,
            slots=asked.slots,
            is_queued_elsewhere=bool(queue) and bool(job["spec"].get("suspend")),
            trouble=self._trouble(job, status, running),
        )

    def _trouble(self, job: Body, status: Mapping[str, Any], running: int) -> str:
        """Return what keeps the pods of a Job from their work; empty when one of them is at it."""
        if job["spec"].get("suspend"):
            return ""
        pods = [pod for pod in self._pods(job) if "deletionTimestamp" not in pod["metadata"]]
        if any((pod.get("status") or {}).get("phase") in ("Running", "Succeeded") for pod in pods):
            return ""
        told = [facts.message for facts in map(pod_facts, pods) if facts.reason]
        if told:
            return told[0]
        began = status.get("startTime")
        is_old = began is not None and self._wall_s() - datetime.fromisoformat(began).timestamp() > NO_POD_AFTER_S
        if is_old and not pods and not running and not status.get("succeeded") and not status.get("failed"):
            name = job["metadata"]["name"]
            return f"no pod was made for its Job: kubectl describe job {name} shows why (a quota, or an admission rule)"
        return ""

    def _lost(self, job: Body) -> dict[int, str]:
        """Return why indexes have failed, by what their last pods say."""
        failed = set(indexes_in((job.get("status") or {}).get("failedIndexes") or ""))
        said: dict[int, tuple[str, str]] = {}
        for pod in self._pods(job):
            metadata, status = pod["metadata"], pod.get("status") or {}
            index = int((metadata.get("annotations") or {}).get(INDEX_ANNOTATION, -1))
            if index not in failed or status.get("phase") != "Failed":
                continue
            made = str(metadata.get("creationTimestamp", ""))
            if made >= said.get(index, ("", ""))[0]:
                said[index] = (made, _why(pod))
        tries = f"its pods failed {job['spec'].get('backoffLimitPerIndex', 0) + 1} times"
        return {index: said[index][1] if index in said else tries for index in sorted(failed)}

    def _pods(self, job: Body) -> Iterator[Body]:
        """Yield the pods of this very Job: one of the same name may have had others."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        for key, entry in self._cache.all(POD):
            if key[0] != namespace or self._mark(entry) != name:
                continue
            body = entry.body()
            owners = {each.get("uid") for each in body["metadata"].get("ownerReferences") or ()}
            if job["metadata"]["uid"] in owners:
                yield body

    def _mark(self, pod: Entry) -> str:
        if pod.uid not in self._marks:
            if len(self._marks) > MARKS_MAX:
                self._marks.clear()
            labels = pod.body()["metadata"].get("labels") or {}
            self._marks[pod.uid] = str(labels.get(SIMULATION_LABEL, ""))
        return self._marks[pod.uid]


def _place(simulation: Simulation) -> Key:
    return simulation.owner.namespace, simulation_name(simulation)


def _is_another(wanted: Body, stored: Body, queue: str) -> bool:
    """Return whether a Job cannot become what is wanted: it is somebody else's, or of another queue or size."""
    owners = [[each.get("uid") for each in body["metadata"].get("ownerReferences") or ()] for body in (wanted, stored)]
    there = (stored["metadata"].get("labels") or {}).get(QUEUE_LABEL, "")
    is_resized = bool(queue) and wanted["spec"]["parallelism"] != stored["spec"].get("parallelism")
    is_resized = is_resized and bool(stored["spec"].get("suspend"))  # one that was admitted may have got fewer
    sizes = [body["spec"].get("completions") for body in (wanted, stored)]
    return owners[0] != owners[1] or there != queue or sizes[0] != sizes[1] or is_resized


def _is_of_another_template(wanted: Body, stored: Body) -> bool:
    noted = (stored["metadata"].get("annotations") or {}).get(DIGEST_ANNOTATION)
    return bool(noted != wanted["metadata"]["annotations"][DIGEST_ANNOTATION])


def _why(pod: Body) -> str:
    """Return why a pod has failed."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated")
        if container.get("name") != CONTAINER or ended is None:
            continue
        return last_words(ended, pod)[1]
    return str(status.get("message") or status.get("reason") or "its pod was taken away")
