"""The trials of a Backtest: how many its search asks for, and which parameters each of them has.

The names of parameters go in their order as text, since an API server keeps none; the last one changes fastest.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from tradefleet.domain.bots import ParameterValue
from tradefleet.resources.backtest import Backtest, SearchMethod, SearchRange

# What decides how it is run, or what becomes of it, and not what is asked: a change of it asks nothing new.
NO_PART_OF_THE_QUESTION: Final = ("suspend", "parallelism", "historyLimit")


def question_of(backtest: Backtest) -> str:
    """Return a hash of what is asked: the spec without what only says how it is run."""
    # Without defaults: an API server fills them in, and a later release may add some.
    given = backtest.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    spec = {name: each for name, each in given.items() if name not in NO_PART_OF_THE_QUESTION}
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:16]


def unsupported(backtest: Backtest) -> str:
    """Return what this release cannot do of what is asked, with the remedy; empty when it can do all of it."""
    spec = backtest.spec
    if spec.search is not None and spec.search.method is not SearchMethod.GRID:
        return f"search.method {spec.search.method} is not supported yet: use grid, with the values to try in space"
    if spec.walk_forward is not None:
        return "walkForward is not supported yet: take it out, and give from and to of the stretch to test on"
    if spec.promote is not None:
        return "promote is not supported yet: take it out, and apply the winner's parameters as a TradingBot"
    return ""


def trial_count(backtest: Backtest) -> int:
    """Return how many trials there are: one for each combination of a grid, or one run as the spec stands."""
    count = 1
    for each in () if backtest.spec.search is None else backtest.spec.search.space.values():
        count *= each.count
    return count


def trial_parameters(backtest: Backtest, number: int) -> dict[str, ParameterValue]:
    """Return the parameters that trial `number` sets beside those of the strategy."""
    assert 0 <= number < trial_count(backtest), f"{backtest.key} has no trial {number}"
    found: dict[str, ParameterValue] = {}
    for name, choices in sorted(_space(backtest).items(), reverse=True):
        number, place = divmod(number, choices.count)
        found[name] = choices.value(place)
    return dict(sorted(found.items()))


def trial_of(backtest: Backtest, number: int) -> Backtest:
    """Return trial `number` as a Backtest of one run: the parameters stand in its strategy."""
    if backtest.spec.strategy is None or backtest.spec.search is None:
        return backtest
    params = {**backtest.spec.strategy.params, **trial_parameters(backtest, number)}
    strategy = backtest.spec.strategy.model_copy(update={"params": params})
    spec = backtest.spec.model_copy(update={"strategy": strategy, "search": None})
    return backtest.model_copy(update={"spec": spec})


def parameters_text(parameters: Mapping[str, ParameterValue]) -> str:
    """Return parameters as people read them, as in `fast=10 slow=50`."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _space(backtest: Backtest) -> Mapping[str, SearchRange]:
    return {} if backtest.spec.search is None else backtest.spec.search.space
