"""The brain: the resources of a fleet and what was observed, to what should run. Pure, and the same for every renderer.

It reads the whole state and decides anew each time. A resource that cannot run yet gets a verdict that says why, and
holds back nothing else. What an Exchange, a Feed and a bot mean to the machines is said in `tradefleet.resources`, for
the backtest as well, so that a fleet and its backtest cannot differ in it.
"""

from collections.abc import Collection

from governor.plan.backtests import plan_backtest
from governor.plan.bots import plan_bots
from governor.plan.data import plan_needs
from governor.plan.draft import AskedByJob, Draft, Observed, WarmUp
from governor.plan.markets import find_market, needs_of_replay
from governor.plan.memory import Memory
from governor.plan.orphans import explain_orphans
from governor.plan.policies import plan_halts
from governor.plan.recordings import plan_recorder
from governor.plan.workloads import exchange_workloads, feed_workload
from governor.workload import Plan
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange

__all__ = ["AskedByJob", "Memory", "Observed", "WarmUp", "plan"]


def plan(resources: Collection[Resource], observed: Observed, warm_up: WarmUp, memory: Memory | None = None) -> Plan:
    """Return what should run for these resources, BotSets expanded. Every resource has its uid.

    `memory` is that of the plan before; it spares work, and changes nothing of what is decided.
    """
    draft = Draft(resources, observed, warm_up, memory or Memory())
    draft.memory.begin()
    plan_halts(draft)
    plan_needs(draft)
    markets = {}
    for exchange in draft.all(Exchange):
        market = find_market(draft, exchange)
        if market is None:
            continue
        markets[exchange.key] = market
        if market.is_edited:
            draft.drifted.add(exchange.key)
        draft.workloads += exchange_workloads(market)
        if market.feed is not None:
            draft.workloads.append(feed_workload(market, market.feed, needs_of_replay(draft, market.feed)))
        plan_bots(draft, market)
    explain_orphans(draft)
    for dataset in draft.all(Dataset):
        plan_recorder(draft, dataset, markets)
    for backtest in draft.all(Backtest):
        plan_backtest(draft, backtest)
    return draft.plan()
