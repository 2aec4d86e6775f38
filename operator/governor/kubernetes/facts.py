"""From Deployments and Pods to what is known of a process. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from governor.workload import ProcessFacts, ProcessState
from tradefleet.runtime.loop import ExitStatus
from tradefleet.runtime.process import FINISHED

from .client import Body
from .manifests import CONTAINER

IMAGE_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
SETUP_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
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
        return _ended(ended, restarts)
    for condition in _conditions(pod):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            message = f"no node takes its pod: {_short(condition)}"
            return ProcessFacts(state=ProcessState.STARTING, reason="Unschedulable", message=message)
    if status.get("phase") == "Failed":
        message = f"its pod has failed: {status.get('reason', '')} {_short(status)}".rstrip()
        return ProcessFacts(state=ProcessState.BACKING_OFF, restarts=restarts, reason="PodFailed", message=message)
    return ProcessFacts(state=ProcessState.STARTING, restarts=restarts, message=_why_it_came_back(last))


def has_finished(pod: Body) -> bool:
    """Return whether the process in a pod has come to its own end, for which there is a last word."""
    container = _container_status(pod.get("status") or {})
    states = (container.get("state") or {}, container.get("lastState") or {})
    return any(
        ended.get("exitCode") == ExitStatus.ENDED and last_words(ended)[0] == FINISHED
        for ended in (state.get("terminated") or {} for state in states)
    )


def last_words(terminated: Values) -> tuple[str, str]:
    """Return why a container ended, reason and message: its own words where it left some."""
    try:
        words = json.loads(terminated.get("message") or "")
        return str(words["reason"]), str(words["message"])
    except (ValueError, KeyError, TypeError):
        pass
    if terminated.get("reason") == "OOMKilled":
        return "OutOfMemory", "it used more memory than it may: raise podTemplate.resources.limits.memory"
    code, signal = terminated.get("exitCode"), terminated.get("signal")
    how = f"was ended by signal {signal}" if signal else f"ended with status {code}"
    return "ProcessEnded", f"the process {how}: kubectl logs --previous shows its last lines"


def restarts_of(pod: Body) -> tuple[int, str]:
    """Return how often the container of a pod came back, and why the last time."""
    container = _container_status(pod.get("status") or {})
    last = (container.get("lastState") or {}).get("terminated") or {}
    return int(container.get("restartCount", 0)), last_words(last)[1] if last else ""


def _ended(terminated: Values, restarts: int) -> ProcessFacts:
    reason, message = last_words(terminated)
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


def _why_it_came_back(last: Values) -> str:
    if not last:
        return ""
    reason, message = last_words(last)
    return "" if reason == FINISHED else f"its process starts again: {message}"[:MESSAGE_LENGTH_MAX]


def _container_status(status: Values) -> Values:
    found = (each for each in status.get("containerStatuses") or () if each.get("name") == CONTAINER)
    return next(found, {})


def _conditions(body: Values) -> Iterable[Values]:
    return (body.get("status") or {}).get("conditions") or ()


def _short(values: Values) -> str:
    return str(values.get("message") or values.get("reason") or "")[:MESSAGE_LENGTH_MAX]
