"""Resources → a backtest's plan: all TradingBots of the files together, or what one Backtest asks for.

What does not fit together is found before anything is read, with file, line and field of everything that is wrong.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from tradefleet.domain.bots import BotConfig
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet, expand_places
from tradefleet.resources.common import Metadata, Resource, ResourceKey
from tradefleet.resources.dataset import Dataset, GapPolicy
from tradefleet.resources.derived_feed import derived_feeds, path_in_exchange
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.findings import Finding, Severity
from tradefleet.resources.load import Loaded
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Problem, suggestion
from tradefleet.resources.references import check_references
from tradefleet.resources.replay_plan import Range, Surroundings, dataset_settings, feed_settings, invalid, range_of
from tradefleet.resources.risk_policy import RiskPolicy
from tradefleet.resources.to_domain import (
    ExchangeTerms,
    Series,
    bot_config,
    dataset_series,
    exchange_terms,
    played_series,
    with_backtest_uid,
)
from tradefleet.resources.trading_bot import BotSettings, TradingBot, TradingBotSpec
from workloads.backtest.given_data import (
    Wish,
    data_series,
    given_feeds,
    given_replay,
    given_series,
    standing_feed,
    with_given_data,
)
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.strategies import strategy_problems, warmup_of
from workloads.exchange.settings import ExchangeSettings
from workloads.feeds import replay as feeds
from workloads.feeds.settings import ReplaySettings

ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(slots=True)
class _Files:
    """The resources of the files, by kind, and where each of them, and what others stand for, is written.

    `made_of` says of a bot of a set or a derived Feed who makes it, and where in its maker a field of it is written.
    """

    loaded: Sequence[Loaded]
    made_of: dict[ResourceKey, tuple[ResourceKey, Callable[[FieldPath], FieldPath]]] = field(default_factory=dict)

    def of(self, kind: type[ResourceT]) -> list[ResourceT]:
        """Return the resources of one kind."""
        return [each.resource for each in self.loaded if isinstance(each.resource, kind)]

    @property
    def folders(self) -> dict[str, Path]:
        """Where the relative paths of each resource start."""
        folders = {str(each.resource.key): each.folder for each in self.loaded}
        return {**folders, **{str(feed.key): folders[str(exchange.key)] for exchange, feed in self._derived()}}

    def _derived(self) -> list[tuple[Exchange, Feed]]:
        return list(derived_feeds([each.resource for each in self.loaded]))

    @property
    def has_bots(self) -> bool:
        """Whether there are bots, each for itself or in sets."""
        return any(isinstance(each.resource, (TradingBot, BotSet)) for each in self.loaded)

    def bots(self) -> list[TradingBot]:
        """Return all TradingBots, those of the sets included."""
        found = self.of(TradingBot)
        for bot_set in self.of(BotSet):
            for _, bot in expand_places(bot_set):
                self.made_of[bot.key] = (bot_set.key, lambda path: ("spec", "template", *path))
                found.append(bot)
        return found

    def feeds(self, exchange: Exchange) -> list[Feed]:
        """Return the Feeds that play history for `exchange`: those of the files, or the one that it stands for."""
        derived = self._derived()
        self.made_of |= {feed.key: (owner.key, path_in_exchange) for owner, feed in derived}
        there = [*self.of(Feed), *(feed for _, feed in derived)]
        return [feed for feed in there if feed.plays and feed.exchange_key == exchange.key]

    def located(self, problems: Iterable[Problem]) -> InvalidResource:
        """Return the problems as an error that names their files and lines."""
        by_key = {str(each.resource.key): each for each in self.loaded}
        made_of = {str(key): (str(owner), path_in) for key, (owner, path_in) in self.made_of.items()}
        placed = []
        for problem in problems:
            owner, path_in = made_of.get(problem.resource, (problem.resource, _as_it_is))
            loaded = by_key.get(owner)
            if loaded is not None and problem.place is None:
                problem = replace(problem, place=loaded.place(path_in(problem.path)))  # noqa: PLW2901 - the same one
            placed.append(problem)
        return InvalidResource(placed)


def _as_it_is(path: FieldPath) -> FieldPath:
    return path


def plan_backtest(loaded: Sequence[Loaded], wish: Wish) -> BacktestPlan:
    """Return the plan for the resources of some files. Raises InvalidResource with everything that is wrong."""
    files = _Files(loaded)
    try:
        chosen = _chosen_backtest(files, wish)
        return _plan_bots(files, wish) if chosen is None else _plan_backtest(files, chosen, wish)
    except InvalidResource as error:
        raise files.located(error.problems) from error


def _chosen_backtest(files: _Files, wish: Wish) -> Backtest | None:
    """Return the Backtest to run; None when the files' bots are to be run as they are."""
    there = {each.metadata.name: each for each in files.of(Backtest)}
    if wish.backtest is not None:
        if wish.backtest not in there:
            message = f"there is no Backtest {wish.backtest} in the files"
            remedy = suggestion(wish.backtest, there) or "they have none: leave --backtest out to run their bots"
            raise InvalidResource([Problem(message=message, remedy=remedy)])
        return there[wish.backtest]
    if files.has_bots or not there:
        return None
    if len(there) > 1:
        message = f"the files have {len(there)} Backtests and no bots: {', '.join(there)}"
        raise InvalidResource([Problem(message=message, remedy="choose one with --backtest NAME")])
    return next(iter(there.values()))


# --- the bots of the files -------------------------------------------------------------------------------------------


def _plan_bots(files: _Files, wish: Wish) -> BacktestPlan:
    if not files.has_bots:
        kinds = ", ".join(sorted({each.resource.kind for each in files.loaded})) or "nothing"
        message = f"there is no TradingBot, BotSet or Backtest in the files, only {kinds}"
        raise InvalidResource([Problem(message=message, remedy="name a file with bots as well")])
    resources: list[Resource] = [each.resource for each in files.loaded if not isinstance(each.resource, Backtest)]
    if wish.data:
        resources = with_given_data(resources, given_feeds(files.of(Exchange), files.bots(), wish))
    _check(resources)
    bots = files.bots()
    datasets = files.of(Dataset)
    markets = []
    for exchange in files.of(Exchange):
        own = [bot for bot in bots if bot.exchange_key == exchange.key]
        if not own:
            continue
        terms = exchange_terms(exchange)
        series, replays = (
            given_replay(own, wish) if wish.data else _feed_replays(files, exchange, terms, datasets, wish)
        )
        used = () if wish.data else _datasets_of(exchange, files)
        markets.append(_market(exchange, terms, own, series, replays, used))
    count = len(bots)
    return BacktestPlan(
        title=f"{count} bot{'' if count == 1 else 's'}", markets=tuple(markets), notes=tuple(_notes(files))
    )


def _notes(files: _Files) -> list[str]:
    policies = [str(each.key) for each in files.of(RiskPolicy)]
    return [f"{', '.join(policies)}: limits over groups of bots are not part of a backtest"] if policies else []


def _feed_replays(
    files: _Files, exchange: Exchange, terms: ExchangeTerms, datasets: Sequence[Dataset], wish: Wish
) -> tuple[set[Series], list[feeds.Replay]]:
    """Return what the replaying feeds of `exchange` bring. Raises InvalidResource when there is none."""
    here = {each.metadata.name: each for each in datasets if each.key.namespace == exchange.key.namespace}
    found = files.feeds(exchange)
    if not found:
        message = f"no Feed replays history for {exchange.key}, and a backtest needs some"
        remedy = "add a Feed with replay to the files or a replay to the Exchange's spec.simulator, or give --data FILE"
        raise invalid(exchange, (), message, remedy)
    surroundings = _surroundings(files, terms)
    series: set[Series] = set()
    replays = []
    for feed in found:
        series |= played_series(feed, here)
        replays.append(_open(feed_settings(feed, here, surroundings), wish))
    return series, replays


def _datasets_of(exchange: Exchange, files: _Files) -> list[Dataset]:
    """Return the Datasets that the replaying feeds of `exchange` play."""
    names = {
        reference.name
        for feed in files.feeds(exchange)
        if feed.spec.replay is not None
        for reference in feed.spec.replay.dataset_refs
    }
    here = [each for each in files.of(Dataset) if each.key.namespace == exchange.key.namespace]
    return [each for each in here if each.metadata.name in names]


def _surroundings(files: _Files, terms: ExchangeTerms) -> Surroundings:
    ticks = {symbol: instrument.tick for symbol, instrument in terms.instruments.items()}
    return Surroundings(folders=files.folders, ticks=ticks)


def _open(values: dict[str, object], wish: Wish) -> feeds.Replay:
    """Return the replay that `values` describe, within the range that the user asked for."""
    settings = msgspec.convert(values, ReplaySettings)
    within = {}
    if wish.from_us is not None:
        within["from_us"] = wish.from_us
    if wish.to_us is not None:
        within["to_us"] = wish.to_us
    return msgspec.structs.replace(settings, **within).open()


# --- one Backtest ----------------------------------------------------------------------------------------------------


def _plan_backtest(files: _Files, backtest: Backtest, wish: Wish) -> BacktestPlan:
    spec = backtest.spec
    for name in ("search", "walk_forward", "promote"):
        if getattr(spec, name) is not None:
            path = ("spec", {"walk_forward": "walkForward"}.get(name, name))
            message = "is for the fleet's research jobs: `tradefleet backtest` makes one run, as the spec stands"
            raise invalid(backtest, path, message, "take it out, or give the parameters to try as bots of a BotSet")
    here = backtest.key.namespace
    datasets = {each.metadata.name: each for each in files.of(Dataset) if each.key.namespace == here}
    exchanges = {each.metadata.name: each for each in files.of(Exchange) if each.key.namespace == here}
    ignored: list[FieldPath] = [("spec", "botRefs")]  # checked below, on the data that they will see
    if wish.data:
        datasets = {}
        ignored.append(("spec", "datasetRef"))
    _check([*datasets.values(), *exchanges.values(), backtest], only=backtest.key, ignoring=ignored)
    dataset = datasets.get(spec.dataset_ref.name)
    held = data_series(wish) if dataset is None else dataset_series(dataset)
    bots = _tested_bots(files, backtest, held)
    used = [exchange for exchange in exchanges.values() if any(bot.exchange_key == exchange.key for bot in bots)]
    series = given_series(bots, wish) if dataset is None else set(held)
    listed = {(symbol, length) for symbol, length in series if any(symbol in bot.spec.instruments for bot in bots)}
    standing = [standing_feed(exchange, listed) for exchange in used]
    _check(with_given_data([*exchanges.values(), *bots], standing))
    markets = []
    for exchange in used:
        terms = exchange_terms(exchange, costs=spec.costs)
        own = [bot for bot in bots if bot.exchange_key == exchange.key]
        if dataset is None:
            own_series, replays = given_replay(own, wish)
        else:
            symbols = {symbol for bot in own for symbol in bot.spec.instruments}
            own_series = {(symbol, length) for symbol, length in series if symbol in symbols}
            values = dataset_settings(
                dataset, _surroundings(files, terms), symbols=sorted(symbols), within=_within(range_of(spec), wish)
            )
            replays = [msgspec.convert(values, ReplaySettings).open()]
        markets.append(_market(exchange, terms, own, own_series, replays, () if dataset is None else (dataset,)))
    return BacktestPlan(title=f"Backtest {backtest.metadata.name}", markets=tuple(markets), notes=tuple(_notes(files)))


def _within(own: Range, wish: Wish) -> Range:
    """Return the range of the Backtest, or what the user asked for in its place."""
    return (
        own[0] if wish.from_us is None else wish.from_us,
        own[1] if wish.to_us is None else wish.to_us,
    )


def _tested_bots(files: _Files, backtest: Backtest, held: Iterable[Series]) -> list[TradingBot]:
    """Return the bots that `backtest` names, or the one that its strategy makes; `held` is what the data has."""
    spec = backtest.spec
    if spec.strategy is None:
        there = {bot.metadata.name: bot for bot in files.bots() if bot.key.namespace == backtest.key.namespace}
        for index, reference in enumerate(spec.bot_refs):
            if reference.name not in there:
                path = ("spec", "botRefs", index, "name")
                message = f"there is no TradingBot {reference.name} in {backtest.key.namespace}"
                raise invalid(backtest, path, message, suggestion(reference.name, there))
        return [there[reference.name] for reference in spec.bot_refs]
    assert spec.exchange_ref is not None, "a rule of the model makes sure of it"
    symbols = spec.instruments or tuple(sorted({symbol for symbol, _ in held}))
    given = {"interval", "wallet", "sizing", "risk", "seed"} & set(BotSettings.model_fields)
    bot_spec = TradingBotSpec(
        **{name: getattr(spec, name) for name in given},
        exchange_ref=spec.exchange_ref,
        strategy=spec.strategy,
        instruments=symbols,
    )
    bot = TradingBot(
        metadata=Metadata(name=backtest.metadata.name, namespace=backtest.metadata.namespace), spec=bot_spec
    )
    files.made_of[bot.key] = (backtest.key, _as_it_is)  # what is wrong with the bot is written in the Backtest
    return [bot]


# --- parts of both ---------------------------------------------------------------------------------------------------


def _check(
    resources: Sequence[Resource], *, only: ResourceKey | None = None, ignoring: Iterable[FieldPath] = ()
) -> None:
    """Raise InvalidResource with the errors of `check_references`, `only` those of one resource where it is named."""
    problems = [
        _problem(finding)
        for finding in check_references(resources, strategy_check=strategy_problems)
        if finding.severity is Severity.ERROR
        and (only is None or finding.key == only)
        and not any(finding.path[: len(path)] == path for path in ignoring)
    ]
    if problems:
        raise InvalidResource(problems)


def _problem(finding: Finding) -> Problem:
    return Problem(resource=str(finding.key), path=finding.path, message=finding.message, remedy=finding.remedy)


def _market(
    exchange: Exchange,
    terms: ExchangeTerms,
    bots: Sequence[TradingBot],
    series: Iterable[Series],
    replays: Sequence[feeds.Replay],
    datasets: Iterable[Dataset],
) -> MarketPlan:
    settings = msgspec.convert(terms.settings(series), ExchangeSettings)
    return MarketPlan(
        settings=settings,
        bots=tuple(_config(bot, exchange) for bot in sorted(bots, key=lambda bot: bot.key)),
        replays=tuple(replays),
        refuses_gaps=any(dataset.spec.gap_policy is GapPolicy.FAIL for dataset in datasets),
    )


def _config(bot: TradingBot, exchange: Exchange) -> BotConfig:
    if not bot.spec.wallet:
        raise invalid(bot, ("spec", "wallet"), "is empty: a backtest plays with the money of the wallet", "add one")
    warmup_bars = warmup_of(bot.spec.strategy.name, bot.spec.strategy.params)
    return bot_config(with_backtest_uid(bot), exchange, warmup_bars=warmup_bars)
