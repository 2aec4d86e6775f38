"""Work that ends by itself, as Jobs of the cluster. A result is kept in a ConfigMap, longer than the pod that found it.

Each question is a Job of its own, since a Job's template can never be changed. One that failed is asked again after a
while, later each time: its cause may have been mended.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from governor.job import Job, JobFacts
from tradefleet.domain.errors import FleetError
from tradefleet.resources.common import Resource

from .cache import Cache, Entry, Key
from .client import CONFIG_MAP, JOB, NETWORK_POLICY, POD, SECRET, Api, Body, key_of
from .drift import is_as_wanted, replacement
from .facts import out_of_memory, pod_facts
from .job_manifests import (
    JOB_LABEL,
    RESULT_KEY,
    RESULT_LABEL,
    children_of_job,
    job_changes,
    job_name,
    result_name,
    result_of,
)
from .manifests import CONTAINER, DIGEST_ANNOTATION, Child, Surroundings
from .secrets import Secrets

_LOG: Final = logging.getLogger(__name__)

RETRY_S: Final = 30.0
RETRY_S_MAX: Final = 600.0
PODS_MAX: Final = 50_000
READINGS_MAX: Final = 4  # Datasets that are read at the same time
STUCK_MAX: Final = 16  # so many pods that cannot start, for want of a volume or an image, hold up no other reading


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a question had no answer the last time, and when it is asked again."""

    digest: str
    error: str
    again_at_s: float
    wait_s: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job with the resource that it is for."""

    job: Job
    owner: Resource

    @property
    def place(self) -> Key:
        return self.owner.metadata.namespace, job_name(self.job, self.owner)

    @property
    def result_place(self) -> Key:
        return self.owner.metadata.namespace, result_name(self.job, self.owner)


class ClusterJobs:
    """Implements `governor.ports.JobRunner`. Not for several threads.

    `owners` are the resources by the names of their jobs, `login` gives the URL of a job's own log-in.
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
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._cache = cache
        self._surroundings = surroundings
        self._secrets = secrets
        self._login = login
        self._owners = owners
        self._clock_s = clock_s
        self._failures: dict[str, _Failure] = {}
        self._jobs_of_pods: dict[str, str] = {}  # by UID

    def tend(self, jobs: Collection[Job]) -> dict[str, JobFacts]:
        """Start what is wanted and not done, end what is not wanted any more; return where each job is, by name."""
        owners = self._owners()
        asked = {job.name: _Asked(job, owners[job.name]) for job in jobs if job.name in owners}
        self._failures = {name: each for name, each in self._failures.items() if _is_about(each, asked.get(name))}
        facts = {name: self._facts(each) for name, each in asked.items()}
        begun = [each for name, each in asked.items() if facts[name].is_running]
        stuck = sum(bool(self._trouble(each)) for each in begun)
        running = len(begun) - min(stuck, STUCK_MAX)
        for each in sorted(asked.values(), key=lambda one: (one.owner.metadata.creation_timestamp or "", one.job.name)):
            if running < READINGS_MAX and self._is_due(each, facts[each.job.name]):
                facts[each.job.name] = self._start(each)
                running += 1
        self._remove_others(asked.values(), facts)
        return facts

    # --- what is known --------------------------------------------------------------------------------------------

    def _facts(self, asked: _Asked) -> JobFacts:
        kept = self._kept(asked)
        if kept is not None:
            return JobFacts(result=kept)
        failure = self._failures.get(asked.job.name)
        error = "" if failure is None else failure.error
        if self._cache.get(JOB, asked.place) is None:
            return JobFacts(error=error)
        found = self._answer(asked)
        if found is None:
            self._mend(asked)
            return JobFacts(is_running=True, error=error or self._trouble(asked))
        if "result" in found:
            self._api_apply(result_of(asked.job, asked.owner, self._surroundings, found["result"]))
            self._failures.pop(asked.job.name, None)
            return JobFacts(result=found["result"])
        wait_s = RETRY_S if failure is None else min(failure.wait_s * 2, RETRY_S_MAX)
        error = str(found.get("error", ""))
        self._failures[asked.job.name] = _Failure(asked.job.digest, error, self._clock_s() + wait_s, wait_s)
        return JobFacts(error=error)

    def _kept(self, asked: _Asked) -> dict[str, Any] | None:
        """Return the result that is kept, if it answers this very question."""
        entry = self._cache.get(CONFIG_MAP, asked.result_place)
        if entry is None:
            return None
        body = entry.body()
        if (body["metadata"].get("annotations") or {}).get(DIGEST_ANNOTATION) != asked.job.digest:
            return None
        try:
            found = json.loads((body.get("data") or {})[RESULT_KEY])
        except (KeyError, ValueError):
            return None  # somebody's edit: it is worked out again
        return found if isinstance(found, dict) else None

    def _answer(self, asked: _Asked) -> Mapping[str, Any] | None:
        """Return what the pod of a job has told; None while it works."""
        for pod in self._pods(asked):
            for container in (pod.get("status") or {}).get("containerStatuses") or ():
                ended = (container.get("state") or {}).get("terminated")
                if container.get("name") == CONTAINER and ended is not None:
                    return _told(ended, pod)
        entry = self._cache.get(JOB, asked.place)
        conditions = [] if entry is None else (entry.body().get("status") or {}).get("conditions") or []
        for condition in conditions:
            if condition.get("type") == "Failed" and condition.get("status") == "True":
                return {"error": f"its Job has failed: {condition.get('message') or condition.get('reason')}"}
        return None

    def _trouble(self, asked: _Asked) -> str:
        """Return what keeps the pod of a job from starting; empty when nothing does."""
        return next((facts.message for facts in map(pod_facts, self._pods(asked)) if facts.reason), "")

    def _pods(self, asked: _Asked) -> Iterator[Body]:
        for key, entry in self._cache.all(POD):
            if key[0] == asked.place[0] and self._job_of(entry) == asked.place[1]:
                yield entry.body()

    def _job_of(self, pod: Entry) -> str:
        """Return the job that a pod's label names, empty for any other pod. Labels of ours do not change."""
        if pod.uid not in self._jobs_of_pods:
            if len(self._jobs_of_pods) > PODS_MAX:
                self._jobs_of_pods.clear()
            labels = pod.body()["metadata"].get("labels") or {}
            self._jobs_of_pods[pod.uid] = str(labels.get(JOB_LABEL, ""))
        return self._jobs_of_pods[pod.uid]

    # --- bringing about -------------------------------------------------------------------------------------------

    def _is_due(self, asked: _Asked, facts: JobFacts) -> bool:
        if facts.result is not None or facts.is_running:
            return False
        failure = self._failures.get(asked.job.name)
        return failure is None or self._clock_s() >= failure.again_at_s

    def _start(self, asked: _Asked) -> JobFacts:
        failure = self._failures.get(asked.job.name)
        error = "" if failure is None else failure.error
        old = self._cache.get(JOB, asked.place)
        if old is not None:  # it has failed: its place is needed
            self._api.delete(JOB, *asked.place, uid=old.uid)
            return JobFacts(error=error)
        try:
            for child in children_of_job(asked.job, asked.owner, self._surroundings, self._url_of(asked)):
                self._api_apply(child)
        except FleetError as refusal:
            wait_s = RETRY_S if failure is None else min(failure.wait_s * 2, RETRY_S_MAX)
            again_at_s = self._clock_s() + wait_s
            self._failures[asked.job.name] = _Failure(asked.job.digest, str(refusal), again_at_s, wait_s)
            return JobFacts(error=str(refusal))
        return JobFacts(is_running=True, error=error)

    def _url_of(self, asked: _Asked) -> str:
        """Return the URL of a job's own log-in; one that is isolated has none."""
        return "" if asked.job.isolated else self._login(asked.job.name, asked.place)

    def _mend(self, asked: _Asked) -> None:
        """Bring back what somebody took from a job that runs: its pod may not have started yet, and would never."""
        for child in children_of_job(asked.job, asked.owner, self._surroundings, self._url_of(asked)):
            if child.kind == SECRET:
                self._secrets.bring(child.body)
            elif child.kind == JOB:
                self._mend_job(child.body)
            elif self._is_amiss(child):
                self._api_apply(child)

    def _mend_job(self, wanted: Body) -> None:
        """Bring back what of a Job can change: whose it is, by what it is found, and that it is not held."""
        entry = self._cache.get(JOB, key_of(wanted))
        changes = {} if entry is None else job_changes(wanted, entry.body())
        if changes:
            self._cache.offer(JOB, self._api.merge(JOB, *key_of(wanted), changes))

    def _is_amiss(self, child: Child) -> bool:
        entry = self._cache.get(child.kind, key_of(child.body))
        return entry is None or (child.kind == NETWORK_POLICY and not is_as_wanted(child.body, entry.body()))

    def _api_apply(self, child: Child) -> None:
        if child.kind == SECRET:
            self._secrets.bring(child.body)
        else:
            stored = self._api.apply(child.kind, child.body, is_ours=True)
            mended = replacement(child.body, stored) if child.kind == NETWORK_POLICY else None
            if mended is not None:
                stored = self._api.rewrite(child.kind, stored, mended)
            self._cache.offer(child.kind, stored)

    def _remove_others(self, asked: Collection[_Asked], facts: Mapping[str, JobFacts]) -> None:
        """Delete the objects of jobs that are done or not wanted, and results that nobody asks for."""
        working = {each.place for each in asked if facts[each.job.name].result is None}
        results = {each.result_place for each in asked}
        kinds: Sequence[tuple[Any, str, Collection[Key]]] = (
            (JOB, JOB_LABEL, working),
            (NETWORK_POLICY, JOB_LABEL, working),
            (CONFIG_MAP, JOB_LABEL, working),
            (CONFIG_MAP, RESULT_LABEL, results),
        )
        cleared: set[Key] = set()
        for kind, label, wanted in kinds:
            for key, entry in self._cache.all(kind):
                if key in wanted:
                    continue
                metadata = entry.body()["metadata"]
                if label not in (metadata.get("labels") or {}):
                    continue
                if "deletionTimestamp" not in metadata:
                    if label == JOB_LABEL and key not in cleared:
                        self._secrets.remove(key)  # first: no list shows it, so what is left tells that it may be there
                        cleared.add(key)
                    self._api.delete(kind, *key, uid=entry.uid)


def _is_about(failure: _Failure, asked: _Asked | None) -> bool:
    return asked is not None and failure.digest == asked.job.digest


def _told(ended: Mapping[str, Any], pod: Body) -> Mapping[str, Any]:
    """Return the last message of a job's container, or why there is none."""
    try:
        found = json.loads(ended.get("message") or "")
    except ValueError:
        found = None
    if isinstance(found, dict) and found.keys() & {"result", "error"}:
        return found
    if ended.get("reason") == "OOMKilled":
        return {"error": out_of_memory(pod)}
    return {"error": f"its pod ended with status {ended.get('exitCode')}: kubectl logs shows its last lines"}
