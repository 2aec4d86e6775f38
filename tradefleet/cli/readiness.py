"""How far the resources of a fleet are from what their specs say."""

from collections.abc import Iterable, Sequence

from tradefleet.resources.common import ConditionStatus, ConditionType, Resource


def unready(resources: Iterable[Resource]) -> list[Resource]:
    """Return the resources that do not do yet what their present spec says."""
    found = []
    for each in resources:
        ready = each.status.condition(ConditionType.READY)
        is_current = each.status.observed_generation == each.metadata.generation
        if ready is None or ready.status is not ConditionStatus.TRUE or not is_current:
            found.append(each)
    return found


def stalled(resources: Iterable[Resource]) -> list[Resource]:
    """Return the resources for which somebody must act."""
    found = []
    for each in resources:
        condition = each.status.condition(ConditionType.STALLED)
        if condition is not None and condition.status is ConditionStatus.TRUE:
            found.append(each)
    return found


def explain(resources: Sequence[Resource]) -> str:
    """Return a line for each resource: what keeps it."""
    return "\n".join(
        f"{each.key}: {each.status.phase or 'Pending'}: {each.status.reason or 'has no status yet'}"
        for each in resources
    )
