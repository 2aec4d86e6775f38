"""Logs of a fleet in Kubernetes, read from the pods of its workloads and jobs."""

import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from governor.kubernetes.client import POD, Body, Refused
from governor.kubernetes.job_manifests import JOB_LABEL
from governor.kubernetes.manifests import MANAGED_BY, MANAGED_BY_LABEL, WORKLOAD_LABEL
from governor.kubernetes.simulation_manifests import SIMULATION_LABEL

from tradefleet.cli.cluster_api import UserApi
from tradefleet.cli.cluster_pods import CONTAINER as GOVERNOR
from tradefleet.cli.cluster_pods import SELECTOR as GOVERNORS
from tradefleet.cli.fleet_target import LogQuery, tell
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.resources.common import GROUP
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.problems import suggestion

LOOK_S: Final = 1.0  # between two looks for pods that came later
WAITING_MAX: Final = 10_000  # lines that are read and not printed yet
OWNERS: Final = tuple(f"{GROUP}/{kind.lower()}" for kind in KINDS)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One run of a container."""

    namespace: str
    pod: str
    uid: str
    container: str
    restarts: int

    @property
    def path(self) -> str:
        return POD.path(self.namespace, self.pod, "log")


def names(api: UserApi, namespace: str | None) -> list[str]:
    """Return the names of what has pods: workloads, jobs and the Governor."""
    return sorted({_name_of(pod) for pod in _pods(api, namespace)})


def print_logs(api: UserApi, namespace: str, name: str, query: LogQuery) -> None:
    """Print the last lines of every container of what is called so, and with `follow` what comes, from new pods too.

    Raises Permanent when nothing is called so, or when its pods have no log yet.
    """
    streams = _streams(api, namespace, name)
    if not streams:
        known = sorted({known for pod in _pods(api, namespace) for known in _called(pod)})
        raise Permanent(
            f"no pod in namespace {namespace} is of {name!r}; {suggestion(name, known) or 'it has none of a fleet'}"
        )
    prefix = len(streams) > 1
    if query.follow:
        _Follower(api, namespace, name, query).run(streams)
    for each in streams:
        try:
            for line in api.lines(each.path, _parameters(each, query, follow=False), follow=False):
                query.print_line(line, f"{each.pod}/{each.container}: " if prefix else "")
        except Refused as error:  # such as of a container that has not started yet
            if not prefix:
                raise
            tell(str(error))
    sys.stdout.flush()


def _parameters(stream: _Stream, query: LogQuery, *, follow: bool) -> dict[str, str]:
    parameters = {"container": stream.container, "tailLines": str(query.tail), "follow": "true" if follow else "false"}
    return parameters if query.since_s is None else {**parameters, "sinceSeconds": str(int(query.since_s))}


class _Follower:
    """Prints what containers log as it comes, whichever pods they are in by then. It ends with Ctrl-C."""

    def __init__(self, api: UserApi, namespace: str, name: str, query: LogQuery) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._query = query
        self._lines: queue.Queue[tuple[_Stream, str]] = queue.Queue(WAITING_MAX)
        self._followed: set[_Stream] = set()
        self._pods: set[str] = set()

    def run(self, streams: list[_Stream]) -> None:
        """Never return. Raises Permanent when the pods can be listed no more."""
        is_first = True
        while True:
            for each in streams:
                if each not in self._followed:
                    self._followed.add(each)
                    self._pods.add(f"{each.pod}/{each.container}")
                    threading.Thread(target=self._read, args=(each, is_first), daemon=True).start()
            is_first = False
            self._print_for(LOOK_S)
            streams = _streams(self._api, self._namespace, self._name)

    def _read(self, stream: _Stream, is_first: bool) -> None:
        parameters = _parameters(stream, self._query, follow=True)
        if not is_first:
            parameters.pop("tailLines")  # all of what began while we watched
        try:
            for line in self._api.lines(stream.path, parameters, follow=True):
                self._lines.put((stream, line))
        except FleetError:
            self._followed.discard(stream)  # it has not begun yet: looked at again

    def _print_for(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                stream, line = self._lines.get(timeout=left_s)
            except queue.Empty:
                return
            prefix = f"{stream.pod}/{stream.container}: " if len(self._pods) > 1 else ""
            self._query.print_line(line, prefix)
            sys.stdout.flush()


# --- pods -------------------------------------------------------------------------------------------------------------


def _pods(api: UserApi, namespace: str | None) -> Iterator[Body]:
    for selector in (f"{MANAGED_BY_LABEL}={MANAGED_BY}", GOVERNORS):
        yield from api.list_in(POD, namespace, labelSelector=selector)


def _name_of(pod: Body) -> str:
    labels = pod["metadata"].get("labels") or {}
    found = (labels.get(name) for name in (WORKLOAD_LABEL, JOB_LABEL, SIMULATION_LABEL))
    return str(next((each for each in found if each), GOVERNOR))


def _called(pod: Body) -> set[str]:
    """Return by which names a pod's logs may be asked for: its own, its workload's, that of its resource."""
    labels = pod["metadata"].get("labels") or {}
    return {pod["metadata"]["name"], _name_of(pod), *(labels[each] for each in OWNERS if each in labels)}


def _streams(api: UserApi, namespace: str, name: str) -> list[_Stream]:
    found = []
    for pod in _pods(api, namespace):
        if name not in _called(pod):
            continue
        metadata = pod["metadata"]
        statuses = {
            each["name"]: int(each.get("restartCount") or 0)
            for each in (pod.get("status") or {}).get("containerStatuses") or ()
        }
        for container in pod["spec"].get("containers") or ():
            own = str(container["name"])
            found.append(_Stream(metadata["namespace"], metadata["name"], metadata["uid"], own, statuses.get(own, 0)))
    return sorted(found, key=lambda each: (each.pod, each.container))
