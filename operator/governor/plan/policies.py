"""RiskPolicies: which halt switches they hold on. A bot that comes to match is among them before it may trade."""

from governor.plan.draft import Draft
from governor.workload import PolicyHalt
from tradefleet.domain.ids import BotKey, policy_scope
from tradefleet.resources.common import Resource
from tradefleet.resources.risk_policy import RiskPolicy
from tradefleet.resources.trading_bot import TradingBot

REASON = "its halt is true: set it to false to let them trade"


def plan_halts(draft: Draft) -> None:
    """Plan the switches of all bots that a policy halts; who halts a bot together with others is named with them."""
    halting = [each for each in draft.all(RiskPolicy) if each.spec.halt and each.metadata.deletion_timestamp is None]
    for bot in draft.all(TradingBot):
        names = [f"{each.kind} {each.key.full_name}" for each in halting if chooses(each, bot)]
        if names:
            scope = policy_scope(BotKey(bot.key.full_name))
            draft.halts.append(PolicyHalt(scope=scope, reason=REASON, set_by=", ".join(names)))


def chooses(policy: RiskPolicy, each: Resource) -> bool:
    """Return whether a policy is for this resource: a TradingBot of its namespace with the labels of its selector."""
    return (
        isinstance(each, TradingBot)
        and each.key.namespace == policy.key.namespace
        and policy.spec.selector.matches(each.metadata.labels)
    )
