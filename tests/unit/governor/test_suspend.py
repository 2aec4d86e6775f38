"""`suspend` on each kind that has it: nothing of it runs, it is Ready and says so, and goes on afterwards."""

from typing import Any

import pytest
from governor.observation import Seen
from governor.plan import Observed, plan
from governor.reporting import statuses_of
from governor.tasks import jobs_of, simulations_of

from tests.unit.governor import fleets
from tradefleet.resources.common import Resource
from tradefleet.resources.kinds import KINDS

BACKTEST = {
    "datasetRef": {"name": "market"},
    "exchangeRef": {"name": "simulator"},
    "strategy": {"name": "buy-and-hold"},
    "wallet": {"USD": "10000"},
}
BOTS = {
    "matrix": {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD"]},
    "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
}


def made(kind: str, *, suspend: bool) -> Resource:
    match kind:
        case "Exchange":
            return fleets.exchange(suspend=suspend)
        case "Feed":
            return fleets.feed(speed="max", suspend=suspend)
        case "Dataset":
            return fleets.dataset(suspend=suspend)
        case "Backtest":
            return fleets.stored("Backtest", "test", {**BACKTEST, "suspend": suspend})
        case "BotSet":
            return fleets.stored("BotSet", "many", {**BOTS, "suspend": suspend})
        case _:
            return fleets.policy(suspend=suspend, limits={"maxExposure": 1})


SUSPENDED = sorted(
    name for name, kind in KINDS.items() if "suspend" in kind.model_fields["spec"].annotation.model_fields
)


def fleet(kind: str, *, suspend: bool) -> list[Resource]:
    there = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), fleets.bot("alpha")]
    one = made(kind, suspend=suspend)
    return [*(each for each in there if each.key != one.key), one]


def running(resources: list[Resource]) -> set[Any]:
    """Return who has a process, a job or simulations."""
    planned = plan(resources, Observed(references={}), fleets.warm_up)
    jobs = jobs_of(resources, planned.verdicts, needs=planned.needs)
    simulations = simulations_of(resources, planned.verdicts, {}, planned.needs, planned.code)
    working = [*jobs, *(each for each in simulations if not each.is_suspended)]
    return {(each.owner.kind, each.owner.name) for each in planned.workloads} | {each.name for each in working}


def test_every_kind_but_a_bot_can_be_suspended():
    assert sorted(KINDS.keys() - {"TradingBot"}) == SUSPENDED


@pytest.mark.parametrize("kind", SUSPENDED)
def test_what_is_suspended_says_so_and_is_ready(kind: str):
    resources = fleet(kind, suspend=True)
    planned = plan(resources, Observed(references={}), fleets.warm_up)
    statuses = statuses_of(resources, planned, Seen(), {}, frozenset(), {}, now_us=0)

    _, shown = statuses[made(kind, suspend=True).metadata.uid or ""]
    ready = next(each for each in shown["conditions"] if each["type"] == "Ready")
    assert (shown["phase"], ready["status"], ready["reason"]) == ("Stopped", "True", "Suspended")


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("Exchange", {("Exchange", "simulator"), ("Feed", "replay"), ("TradingBot", "alpha")}),
        ("Feed", {("Feed", "replay"), ("TradingBot", "alpha")}),
        ("Dataset", {"dataset-default-market"}),
        ("Backtest", {"backtest-default-test"}),
    ],
)
def test_what_is_suspended_does_not_run_and_goes_on_afterwards(kind: str, ends: set[Any]):
    before, after = running(fleet(kind, suspend=False)), running(fleet(kind, suspend=True))

    assert before - after == ends
    assert after <= before
