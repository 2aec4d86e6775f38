"""From files to a fleet: what can be wrong is found, with file, line and field, before anything is changed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from governor.annotations import is_owned
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.derived_feed import derived_feed, path_in_exchange
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed, Replay
from tradefleet.resources.findings import Finding, Severity
from tradefleet.resources.load import Loaded
from tradefleet.resources.market_data import FileSource
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Problem
from tradefleet.resources.references import check_references
from tradefleet.resources.replay_plan import Surroundings, dataset_settings, feed_settings
from tradefleet.resources.trading_bot import TradingBot
from workloads.backtest.strategies import strategy_problems
from workloads.feeds.checking import check_source
from workloads.feeds.findings import Severity as DataSeverity
from workloads.feeds.settings import FileSettings, SqlSettings

PROBLEMS_MAX: Final = 20  # of one file of candles: who has more needs no longer list

Tell = Callable[[str], None]


def with_absolute_paths(loaded: Sequence[Loaded]) -> list[Loaded]:
    """Return the resources with file paths that mean the same wherever they are read from."""
    return [replace(each, resource=_absolute(each.resource, each.folder)) for each in loaded]


def _absolute(resource: Resource, folder: Path) -> Resource:
    def files(given: Iterable[FileSource]) -> tuple[FileSource, ...]:
        return tuple(each.model_copy(update={"path": str(folder / Path(each.path).expanduser())}) for each in given)

    def replayed(given: Replay) -> Replay:
        return given.model_copy(update={"files": files(given.files)})

    match resource:
        case Dataset():
            spec: Any = resource.spec.model_copy(update={"files": files(resource.spec.files)})
        case Feed() if resource.spec.replay is not None:
            spec = resource.spec.model_copy(update={"replay": replayed(resource.spec.replay)})
        case Exchange() if resource.spec.simulator is not None and resource.spec.simulator.replay is not None:
            market = {"replay": replayed(resource.spec.simulator.replay)}
            spec = resource.spec.model_copy(update={"simulator": resource.spec.simulator.model_copy(update=market)})
        case _:
            return resource
    return resource.model_copy(update={"spec": spec})


def has_foreign_strategy(resource: Resource) -> bool:
    """Return whether a resource names a user's own class, which must be imported from somewhere."""
    match resource:
        case TradingBot(spec=spec):
            return not spec.strategy.is_built_in
        case BotSet(spec=spec):
            return any(not each.is_built_in for each in spec.matrix.strategies)
        case Backtest(spec=spec):
            return spec.strategy is not None and not spec.strategy.is_built_in
        case _:
            return False


class FleetCheck:
    """Checks a whole fleet as it would be. What was wrong before, and is not of these files, stays out of the way."""

    def __init__(self, loaded: Sequence[Loaded]) -> None:
        self._loaded = {each.resource.key: each for each in loaded}
        self._there: list[Resource] = []

    def remember(self, there: Sequence[Resource]) -> None:
        """Take the resources as they are now."""
        self._there = [each for each in there if not is_owned(each)]

    def __call__(self, fleet: Sequence[Resource], *, ignoring: Callable[[Finding], bool] = lambda _: False) -> None:
        """Raise InvalidResource with everything that does not fit together, but what `ignoring` says."""
        mine = [each for each in fleet if not is_owned(each)]
        before = {(each.key, each.message) for each in check_references(self._there, strategy_check=strategy_problems)}
        found = [
            each
            for each in check_references(mine, strategy_check=strategy_problems)
            if each.severity is Severity.ERROR
            and not ignoring(each)
            and (each.key in self._loaded or (each.key, each.message) not in before)
        ]
        if found:
            raise InvalidResource([self._problem(each) for each in found])

    def _problem(self, finding: Finding) -> Problem:
        return self.located(
            Problem(resource=str(finding.key), path=finding.path, message=finding.message, remedy=finding.remedy),
            finding.key,
        )

    def located(self, problem: Problem, key: ResourceKey) -> Problem:
        """Return a problem with its file and line."""
        loaded = self._loaded.get(key)
        if loaded is None or problem.place is not None:
            return problem
        return replace(problem, place=loaded.place(problem.path))


def located(error: InvalidResource, loaded: Sequence[Loaded]) -> InvalidResource:
    """Return the error with the file and line of each problem that has none."""
    by_key = {str(each.resource.key): each for each in loaded}
    return InvalidResource(
        replace(problem, place=by_key[problem.resource].place(problem.path))
        if problem.place is None and problem.resource in by_key
        else problem
        for problem in error.problems
    )


def check_data(loaded: Sequence[Loaded], tell: Tell) -> None:
    """Read every file of candles that the resources name, whole. Raises InvalidResource with what is wrong in them."""
    problems: list[Problem] = []
    for each in loaded:
        for path, settings in _sources(each.resource):
            if settings["type"] == "file":
                problems += _problems_of_file(each, (*path, "path"), settings, tell)
            elif settings["type"] == "sql":
                problems += _problems_of_query(each, path, settings)
    if problems:
        raise InvalidResource(problems)


def _sources(resource: Resource) -> list[tuple[FieldPath, dict[str, Any]]]:
    """Return what a resource reads, each with its place in the resource."""
    match resource:
        case Dataset(spec=spec) if spec.exchange_ref is None:
            values: Any = dataset_settings(resource, Surroundings())["sources"]
            places: list[FieldPath] = [("spec", "files", index) for index in range(len(spec.files))]
            places += [("spec", "sql", index) for index in range(len(spec.sql))]
        case Feed(spec=spec) if spec.replay is not None and spec.replay.files:
            values = feed_settings(resource, {}, Surroundings())["sources"]
            places = [("spec", "replay", "files", index) for index in range(len(spec.replay.files))]
        case Exchange():
            derived = derived_feed(resource)
            return [] if derived is None else [(path_in_exchange(path), each) for path, each in _sources(derived)]
        case _:
            return []
    return list(zip(places, values, strict=False))  # synthetic sources follow, and there is nothing to read in them


def _problems_of_file(loaded: Loaded, path: FieldPath, settings: dict[str, Any], tell: Tell) -> list[Problem]:
    tell(f"reading {settings['path']}")
    try:
        checked = check_source(msgspec.convert(settings, FileSettings).open())
        broken = [str(each) for each in checked.findings.kept if each.severity is DataSeverity.ERROR]
    except FleetError as error:
        broken = [str(error)]
    key, place = str(loaded.resource.key), loaded.place(path)
    return [Problem(resource=key, path=path, message=message, place=place) for message in broken[:PROBLEMS_MAX]]


def _problems_of_query(loaded: Loaded, path: FieldPath, settings: dict[str, Any]) -> list[Problem]:
    try:
        msgspec.convert(settings, SqlSettings).open()
    except Permanent as error:
        return [Problem(resource=str(loaded.resource.key), path=path, message=str(error), place=loaded.place(path))]
    return []
