"""What resources cannot know of strategies: whether one of a name is there, whether it takes these parameters."""

from collections.abc import Iterator, Mapping

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import FleetError, InvalidValue
from tradefleet.resources.findings import StrategyProblem
from workloads.strategy.parameters import parameters_of
from workloads.strategy.registry import StrategyNotFound, build_strategy, load_strategy


def strategy_problems(name: str, params: Mapping[str, ParameterValue]) -> Iterator[StrategyProblem]:
    """Yield what is wrong with a strategy's name and parameters: the `strategy_check` of `check_references`."""
    try:
        kind = load_strategy(name)
    except StrategyNotFound as error:
        yield StrategyProblem(message=str(error), remedy="`tradefleet strategy list` shows what is built in")
        return
    known = parameters_of(kind)
    clean = True
    for parameter, value in params.items():
        try:
            if parameter in known:
                known[parameter].check(name, value)
            else:
                build_strategy(name, {parameter: value})
        except InvalidValue as error:
            clean = False
            remedy = f"`tradefleet strategy describe {name}` lists parameters and ranges"
            yield StrategyProblem(message=str(error), remedy=remedy, parameter=parameter)
    if clean:
        try:
            build_strategy(name, params)
        except FleetError as error:  # parameters that are each right, and do not go together
            yield StrategyProblem(message=str(error), remedy="change one of the params")


def warmup_of(name: str, params: Mapping[str, ParameterValue]) -> int:
    """Return the bars that a strategy sees before its first decision, at least one. Raises as `build_strategy`."""
    return max(1, build_strategy(name, params).warmup)
