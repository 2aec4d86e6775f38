"""From Deployments and Pods to what is known of a process. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from governor.workload import ProcessFacts, ProcessState
from tradefleet.domain.errors import MEMORY_REMEDY
from tradefleet.resources.common import GROUP
from tradefleet.runtime.loop import ExitStatus
from tradefleet.runtime.process import FINISHED

from .client import Body
from .manifests import CONTAINER

IMAGE_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
SETUP_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
SIGNAL_BASE: Final = 128  # a status above it tells of a signal
KILLED: Final = SIGNAL_BASE + 9
MESSAGE_LENGTH_MAX: Final = 1_000

Values = Mapping[str, Any]


def facts_of(deployment: Body | None, pods: Iterable[Body]) -> ProcessFacts:
    """Return what is known of a workload's process. `pods` are those of its Deployment, ending ones included."""
    running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if running:
        return pod_facts(max(running, key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))))
    for condition in _conditions(deployment or {}):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return _refused_pod(str(condition.get("message", "")))
    return ProcessFacts(state=ProcessState.STARTING)


def pod_facts(pod: Body) -> ProcessFacts:
    """Return what a pod says of the process in it."""
    status: Values = pod.get("status") or {}
    container = _container_status(status)
    restarts = int(container.get("restartCount", 0))
    if container.get("ready"):
        return ProcessFacts(state=ProcessState.READY, restarts=restarts)
    state: Values = container.get("state") or {}
    last: Values = (container.get("lastState") or {}).get("terminated") or {}
    ended: Values = state.get("terminated") or last
    waiting: Values = state.get("waiting") or {}
    reason = str(waiting.get("reason", ""))
    if reason in IMAGE_REASONS:
        message = f"its image cannot be pulled: {_short(waiting)}: mend podTemplate.image or imagePullSecrets"
        return ProcessFacts(state=ProcessState.REFUSED, restarts=restarts, reason="ImagePull", message=message)
    if reason in SETUP_REASONS:
        message = f"its container cannot be made: {_short(waiting)}"
        return ProcessFacts(state=ProcessState.REFUSED, restarts=restarts, reason="ContainerRefused", message=message)
    if ended and "running" not in state:
        return _ended(ended, pod, restarts)
    for condition in _conditions(pod):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            message = f"no node takes its pod: {_short(condition)}"
            return ProcessFacts(state=ProcessState.STARTING, reason="Unschedulable", message=message)
    if status.get("phase") == "Failed":
        message = f"its pod has failed: {status.get('reason', '')} {_short(status)}".rstrip()
        return ProcessFacts(state=ProcessState.BACKING_OFF, restarts=restarts, reason="PodFailed", message=message)
    return ProcessFacts(state=ProcessState.STARTING, restarts=restarts, message=_why_it_came_back(last, pod))


def has_finished(pod: Body) -> bool:
    """Return whether the process in a pod has come to its own end, for which there is a last word."""
    container = _container_status(pod.get("status") or {})
    states = (container.get("state") or {}, container.get("lastState") or {})
    return any(
        ended.get("exitCode") == ExitStatus.ENDED and last_words(ended, pod)[0] == FINISHED
        for ended in (state.get("terminated") or {} for state in states)
    )


def last_words(terminated: Values, pod: Body) -> tuple[str, str]:
    """Return why the container of a pod ended, reason and message: its own words where it left some."""
    try:
        words = json.loads(terminated.get("message") or "")
        return str(words["reason"]), str(words["message"])
    except (ValueError, KeyError, TypeError):
        pass
    if terminated.get("reason") == "OOMKilled":
        return "OutOfMemory", out_of_memory(pod)
    code, signal = terminated.get("exitCode"), terminated.get("signal")
    how = f"was ended by signal {signal}" if signal else f"ended with status {code}"
    if KILLED in (code, signal and SIGNAL_BASE + signal):
        how += ", as one is that has not answered for two minutes"
    return "ProcessEnded", f"the process {how}: kubectl logs --previous shows its last lines"


def out_of_memory(pod: Body) -> str:
    """Return in a sentence, with the remedy, that a pod was killed for the memory that it used."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    limits = ((each.get("resources") or {}).get("limits") or {} for each in containers if each["name"] == CONTAINER)
    limit = next(limits, {}).get("memory")
    bound = f"{limit}, its limit" if limit else "its node had left"
    labels = pod["metadata"].get("labels") or {}
    has_template = any(f"{GROUP}/{kind}" in labels for kind in ("tradingbot", "backtest"))
    remedy = MEMORY_REMEDY if has_template else "raise workloads.resources.limits.memory in the chart's values"
    return f"its pod was killed for using more memory than {bound}: {remedy}"


def restarts_of(pod: Body) -> tuple[int, str]:
    """Return how often the container of a pod came back, and why the last time."""
    container = _container_status(pod.get("status") or {})
    last = (container.get("lastState") or {}).get("terminated") or {}
    return int(container.get("restartCount", 0)), last_words(last, pod)[1] if last else ""


def _ended(terminated: Values, pod: Body, restarts: int) -> ProcessFacts:
    reason, message = last_words(terminated, pod)
    code = terminated.get("exitCode")
    if code == ExitStatus.ENDED:
        state = ProcessState.ENDED if reason == FINISHED else ProcessState.STARTING
        return ProcessFacts(state=state, restarts=restarts)
    is_refused = code in (ExitStatus.REFUSED, ExitStatus.SUPERSEDED) or reason == "OutOfMemory"
    state = ProcessState.REFUSED if is_refused else ProcessState.BACKING_OFF
    return ProcessFacts(state=state, restarts=restarts, reason=reason, message=message[:MESSAGE_LENGTH_MAX])


def _refused_pod(message: str) -> ProcessFacts:
    is_quota = "exceeded quota" in message
    reason = "QuotaExceeded" if is_quota else "PodRefused"
    remedy = ": raise the ResourceQuota or lower podTemplate.resources" if is_quota else ""
    text = f"its pod is refused: {message[:MESSAGE_LENGTH_MAX]}{remedy}"
    return ProcessFacts(state=ProcessState.REFUSED, reason=reason, message=text)


def _why_it_came_back(last: Values, pod: Body) -> str:
    if not last:
        return ""
    reason, message = last_words(last, pod)
    return "" if reason == FINISHED else f"its process starts again: {message}"[:MESSAGE_LENGTH_MAX]


def _container_status(status: Values) -> Values:
    found = (each for each in status.get("containerStatuses") or () if each.get("name") == CONTAINER)
    return next(found, {})


def _conditions(body: Values) -> Iterable[Values]:
    return (body.get("status") or {}).get("conditions") or ()


def _short(values: Values) -> str:
    return str(values.get("message") or values.get("reason") or "")[:MESSAGE_LENGTH_MAX]
