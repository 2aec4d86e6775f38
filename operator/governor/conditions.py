"""The part that all statuses share: phase, reason and conditions. Pure.

Times are UTC microseconds of the wall's clock; a condition keeps the time of its last change while it stays the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from governor.workload import Verdict
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.resources.common import Condition, ConditionStatus, ConditionType, Phase, Resource, Status

Extra = Mapping[ConditionType, tuple[str, str]]
"""Conditions that are True besides the usual ones, each with its reason and message."""

NOTHING: Final[Extra] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """A workload's process, as whoever runs it sees it. `is_failed` means that a person must act."""

    is_ready: bool
    is_failed: bool = False
    has_ended: bool = False  # of itself, at the end of its work
    restarts: int = 0
    reason: str = ""
    message: str = ""
    has_drifted: bool = False  # not as its resource asks for, until a person agrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Where a resource stands, before it is put into conditions."""

    phase: Phase
    is_ready: bool = False
    is_stalled: bool = False
    reason: str  # one word
    message: str = ""
    extra: Extra = field(default_factory=dict)


def plain_status(
    resource: Resource,
    *,
    phase: Phase,
    reason: str,
    message: str = "",
    is_ready: bool = False,
    is_stalled: bool = False,
    now_us: int,
) -> dict[str, Any]:
    """Return the fields that every status has, for kinds whose own fields come from elsewhere."""
    judged = Judgement(phase=phase, is_ready=is_ready, is_stalled=is_stalled, reason=reason, message=message)
    return status_fields(resource, judged, now_us=now_us)


def judged_by_verdict(verdict: Verdict, extra: Extra = NOTHING) -> Judgement:
    """Return where a resource stands that a verdict holds back."""
    phase = Phase.FAILED if verdict.stalled else Phase.PENDING
    return Judgement(
        phase=phase, is_stalled=verdict.stalled, reason=verdict.reason, message=verdict.message, extra=extra
    )


def judged_by_process(process: ProcessView | None, extra: Extra = NOTHING) -> Judgement | None:
    """Return why a process keeps its resource from being ready; None when it does not."""
    if process is None:
        return Judgement(phase=Phase.STARTING, reason="Starting", message="its process starts", extra=extra)
    if process.is_failed:
        reason, message = process.reason or "ProcessFailed", process.message
        return Judgement(phase=Phase.FAILED, is_stalled=True, reason=reason, message=message, extra=extra)
    if not process.is_ready:
        reason, message = process.reason or "Starting", process.message or "its process starts"
        return Judgement(phase=Phase.STARTING, reason=reason, message=message, extra=extra)
    return None


def status_fields(resource: Resource, judged: Judgement, *, now_us: int) -> dict[str, Any]:
    """Return observedGeneration, phase, reason and conditions."""
    generation = resource.metadata.generation
    reconciling = not judged.is_ready and not judged.is_stalled
    wanted: dict[ConditionType, tuple[ConditionStatus, str, str]] = {
        ConditionType.READY: (_truth(is_true=judged.is_ready), judged.reason, judged.message),
        ConditionType.RECONCILING: (_truth(is_true=reconciling), judged.reason, judged.message if reconciling else ""),
        ConditionType.STALLED: (
            _truth(is_true=judged.is_stalled),
            judged.reason,
            judged.message if judged.is_stalled else "",
        ),
    }
    for kind, (reason, message) in judged.extra.items():
        wanted[kind] = (ConditionStatus.TRUE, reason, message)
    for kind in (ConditionType.PAUSED, ConditionType.WARNING, ConditionType.CONFIG_DRIFT):
        if kind not in wanted and resource.status.condition(kind) is not None:
            wanted[kind] = (ConditionStatus.FALSE, "None", "")
    return {
        "observed_generation": generation,
        "phase": judged.phase,
        "reason": judged.message or None,
        "conditions": tuple(
            _condition(resource, kind, status, reason, message, now_us)
            for kind, (status, reason, message) in wanted.items()
        ),
    }


def says(status: Status, kind: ConditionType) -> bool:
    """Return whether a condition is True."""
    found = status.condition(kind)
    return found is not None and found.status is ConditionStatus.TRUE


def instant(time_us: int) -> str:
    """Return UTC microseconds as statuses show a time, to the second."""
    return datetime.fromtimestamp(time_us // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- parts ------------------------------------------------------------------------------------------------------------


def _condition(
    resource: Resource, kind: ConditionType, status: ConditionStatus, reason: str, message: str, now_us: int
) -> Condition:
    previous = resource.status.condition(kind)
    since = previous.last_transition_time if previous is not None and previous.status is status else None
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=resource.metadata.generation,
        last_transition_time=since or instant(now_us),
    )


def _truth(*, is_true: bool) -> ConditionStatus:
    return ConditionStatus.TRUE if is_true else ConditionStatus.FALSE
