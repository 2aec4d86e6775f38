"""The status that a RiskPolicy shows: whom it chooses, whom it halts, and what of it is not enforced. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

from governor.conditions import Extra, Judgement, instant, status_fields
from governor.plan.policies import chooses
from tradefleet.domain.ids import BotKey, policy_scope
from tradefleet.resources.common import ConditionType, Phase, Resource
from tradefleet.resources.risk_policy import RiskPolicy, RiskPolicyStatus, RiskState

NAMES_MAX: Final = 10  # of bots, in a line that a person reads


def policy_status(
    policy: RiskPolicy, resources: Collection[Resource], halted: Collection[str], *, now_us: int
) -> RiskPolicyStatus:
    """Return a policy's status; `halted` are the scopes of the halt switches that are on."""
    chosen = sorted(each.key.full_name for each in resources if chooses(policy, each))
    stopped = [bot for bot in chosen if policy_scope(BotKey(bot)) in halted] if policy.spec.halt else []
    state = RiskState.HALTED if policy.spec.halt else RiskState.NORMAL
    before = policy.status
    return RiskPolicyStatus(
        **status_fields(policy, _judge(policy, chosen, stopped), now_us=now_us),
        state=state,
        bots=len(chosen),
        halted_bots=len(stopped),
        state_since=before.state_since if before.state is state and before.state_since else instant(now_us),
    )


def _judge(policy: RiskPolicy, chosen: Sequence[str], stopped: Sequence[str]) -> Judgement:
    ignored = _not_enforced(policy)
    extra: Extra = {ConditionType.WARNING: ("NotEnforced", ignored)} if ignored else {}
    if policy.metadata.deletion_timestamp is not None:
        return Judgement(phase=Phase.STOPPING, reason="Deleting", message="is being deleted", extra=extra)
    if policy.spec.suspend:
        return Judgement(phase=Phase.STOPPED, is_ready=True, reason="Suspended", message="suspended", extra=extra)
    if not policy.spec.halt:
        return Judgement(phase=Phase.RUNNING, is_ready=True, reason="Watching", message=ignored, extra=extra)
    if len(stopped) < len(chosen):
        message = f"{len(stopped)} of {len(chosen)} TradingBots are halted"
        return Judgement(phase=Phase.STARTING, reason="Halting", message=message, extra=extra)
    message = f"halts {_named(stopped)}" if stopped else "halts every TradingBot with these labels: there is none"
    return Judgement(
        phase=Phase.RUNNING,
        is_ready=True,
        reason="Halted",
        message=f"{message}; {ignored}" if ignored else message,
        extra=extra,
    )


def _not_enforced(policy: RiskPolicy) -> str:
    """Return which of a policy's rules bind nobody yet, and what does in their place; empty when there are none."""
    if policy.spec.suspend:
        return ""
    given = policy.spec.limits.model_dump(by_alias=True, exclude_none=True)
    fields = [f"limits.{name}" for name in given] + (["crisis"] if policy.spec.crisis is not None else [])
    if not fields:
        return ""
    return f"not enforced yet: {', '.join(fields)}: what limits bots is each one's risk and the limits of its Exchange"


def _named(bots: Sequence[str]) -> str:
    names = ", ".join(bot.partition("/")[2] for bot in bots[:NAMES_MAX])
    more = len(bots) - NAMES_MAX
    return names + (f" and {more} more" if more > 0 else "")
