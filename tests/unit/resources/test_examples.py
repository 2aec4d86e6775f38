from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import Permanent
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.findings import StrategyProblem
from tradefleet.resources.load import load
from tradefleet.resources.references import check_references
from workloads.strategy.registry import build_strategy

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def built(name: str, params: Mapping[str, ParameterValue]) -> Iterable[StrategyProblem]:
    try:
        build_strategy(name, params)
    except Permanent as error:
        yield StrategyProblem(message=str(error))


# What kustomize builds is tried in tests/cluster.
@pytest.mark.parametrize("folder", sorted(path.name for path in EXAMPLES.iterdir() if path.name != "gitops"))
def test_the_resources_of_an_example_fit_together(folder: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))  # where `tradefleet up` is run, modules of one's own are found
    resources = [each.resource for each in load([EXAMPLES / folder], recursive=True)]
    assert resources
    assert check_references(resources, strategy_check=built) == []


def test_the_quickstart_has_eight_bots_with_buy_and_hold_as_the_yardstick():
    resources = [each.resource for each in load([EXAMPLES / "quickstart"])]
    bots = [bot for each in resources if isinstance(each, BotSet) for bot in expand(each)]
    assert len(bots) == 8
    assert len({symbol for bot in bots for symbol in bot.spec.instruments}) >= 2
    strategies = {bot.spec.strategy.name for bot in bots}
    assert len(strategies) >= 3
    assert "buy-and-hold" in strategies


def test_the_quickstart_covers_a_day_of_made_up_minutes():
    resources = [each.resource for each in load([EXAMPLES / "quickstart"])]
    (dataset,) = (each for each in resources if isinstance(each, Dataset))
    assert dataset.spec.synthetic is not None
    assert dataset.spec.synthetic.bars >= 1440
