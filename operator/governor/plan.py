"""The brain: the resources of a fleet and what was observed, to what should run. Pure, and the same for every renderer.

It reads the whole state and decides anew each time. A resource that cannot run yet gets a verdict that says why, and
holds back nothing else.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from governor.workload import Command, LockstepRun, Plan, Role, Verdict, Workload
from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import BotCommand, BotConfig, ParameterValue, RunState, config_values
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import AccountId
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, Participant, bot_participant
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import SIMULATOR, Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.machines import bot_config, bps_to_ppm, machine_instruments
from tradefleet.resources.market_data import FileSource, SqlSource
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.resources.values import instant_us

WarmUp = Callable[[str, Mapping[str, ParameterValue]], int]
"""Returns how many bars a strategy of that name and parameters wants before it trades; raises FleetError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What exists. `runs` holds the participants of lockstep runs that were created; `flatten` the count of requests
    to flatten per bot UID; `wound_down` the UIDs of deleted bots whose gateway has nothing open any more.
    """

    runs: Mapping[str, frozenset[Participant]] = field(default_factory=dict)
    flatten: Mapping[str, int] = field(default_factory=dict)
    wound_down: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Market:
    """An exchange with the feed that plays its market and the bots that trade on it."""

    exchange: Exchange
    feed: Feed | None
    bots: list[TradingBot]
    intervals: dict[str, list[int]]  # per symbol: bars that the feed brings

    @property
    def key(self) -> str:
        return _name_of(self.exchange)

    @property
    def account(self) -> AccountId:
        return AccountId(f"{self.key}:{self.exchange.spec.account}")

    @property
    def run(self) -> str | None:
        """The lockstep run, named by the feed's UID: a feed that is made again is another run."""
        feed = self.feed
        if feed is None or feed.spec.replay is None or not feed.spec.replay.is_lockstep:
            return None
        return feed.metadata.uid


class _Planner:
    def __init__(self, resources: Collection[Resource], observed: Observed, warm_up: WarmUp) -> None:
        self._by_key = {resource.key: resource for resource in resources}
        self._observed = observed
        self._warm_up = warm_up
        self.runs: list[LockstepRun] = []
        self.commands: list[Command] = []
        self.workloads: list[Workload] = []
        self.verdicts: dict[ResourceKey, Verdict] = {}

    def _say(self, resource: Resource, reason: str, message: str, *, stalled: bool) -> None:
        self.verdicts[resource.key] = Verdict(key=resource.key, stalled=stalled, reason=reason, message=message)

    def _all(self, kind: type[Resource]) -> list[Any]:
        return [self._by_key[key] for key in sorted(self._by_key) if isinstance(self._by_key[key], kind)]

    # --- markets --------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Go through every exchange, then say of the bots and feeds without one why they wait."""
        bots: list[TradingBot] = self._all(TradingBot)
        feeds: list[Feed] = self._all(Feed)
        for exchange in self._all(Exchange):
            if exchange.spec.venue != SIMULATOR:
                self._say(
                    exchange,
                    "VenueNotSupported",
                    f"venue {exchange.spec.venue} cannot be traded on yet: this release knows venue: simulator",
                    stalled=True,
                )
                continue
            mine = [feed for feed in feeds if _refers(feed, feed.spec.exchange_ref, exchange)]
            self._market(exchange, mine, [bot for bot in bots if _refers(bot, bot.spec.exchange_ref, exchange)])
        exchanges = {_name_of(exchange) for exchange in self._all(Exchange)}
        owners: list[TradingBot | Feed] = [*bots, *feeds]
        for owner in owners:
            reference = owner.spec.exchange_ref
            if reference is not None and f"{owner.metadata.namespace}/{reference.name}" not in exchanges:
                self._say(
                    owner,
                    "ExchangeNotFound",
                    f"waits for Exchange {reference.name} in namespace {owner.metadata.namespace}: apply it",
                    stalled=False,
                )

    def _market(self, exchange: Exchange, feeds: list[Feed], bots: list[TradingBot]) -> None:
        playing = [feed for feed in feeds if feed.spec.replay is not None and not feed.spec.suspend]
        for extra in playing[1:]:
            self._say(
                extra,
                "ExchangeHasFeed",
                f"Exchange {exchange.metadata.name} is already played by Feed {playing[0].metadata.name}: suspend one",
                stalled=True,
            )
        feed = playing[0] if playing else None
        if exchange.spec.suspend:
            return
        market = _Market(exchange=exchange, feed=feed, bots=bots, intervals={})
        series = self._series(feed) if feed is not None else set()
        if series is None:
            return  # the feed's datasets are not there; the verdict says so
        for symbol in [each.symbol for each in exchange.spec.instruments]:
            own = {interval for name, interval in series if name == symbol} if feed is not None else set()
            wanted = {bot.spec.interval_us for bot in bots if symbol in bot.spec.instruments}
            asked = {parse_interval(interval) for interval in feed.spec.intervals} if feed is not None else set()
            market.intervals[symbol] = sorted((asked or own) | (wanted if own else set()))
        self._fill(market)

    def _series(self, feed: Feed) -> set[tuple[str, int]] | None:
        """Return the (symbol, interval) pairs that the feed's data has; None when a Dataset is missing."""
        replay = feed.spec.replay
        assert replay is not None
        found = {(each.instrument, parse_interval(each.interval)) for each in replay.files}
        for reference in replay.dataset_refs:
            dataset = self._by_key.get(ResourceKey("Dataset", feed.key.namespace, reference.name))
            if not isinstance(dataset, Dataset):
                message = f"waits for Dataset {reference.name} in namespace {feed.key.namespace}: apply it"
                self._say(feed, "DatasetNotFound", message, stalled=False)
                return None
            found |= {(symbol, parse_interval(interval)) for symbol, interval in dataset.spec.series}
        if feed.spec.instruments:
            found = {(symbol, interval) for symbol, interval in found if symbol in feed.spec.instruments}
        return found

    # --- workloads ------------------------------------------------------------------------------------------------

    def _fill(self, market: _Market) -> None:
        settings = _exchange_settings(market)
        configs = self._configs(market)
        run = market.run
        if run is not None:
            configs = self._in_run(market, run, configs)
        base = {"exchange": settings, "generation": market.exchange.metadata.generation or 1, "run": run}
        port, token = f"venue-{_dns(market.exchange)}", f"venue-{_dns(market.exchange)}"
        owner = market.exchange.key
        generation = market.exchange.metadata.generation or 1
        self.workloads.append(
            Workload(
                name=f"venue-{_dns(market.exchange)}",
                role=Role.VENUE,
                owner=owner,
                generation=generation,
                settings=base,
                port_name=port,
                token_name=token,
            )
        )
        self.workloads.append(
            Workload(
                name=f"gateway-{_dns(market.exchange)}",
                role=Role.GATEWAY,
                owner=owner,
                generation=generation,
                settings=base,
                peer_port_name=port,
                token_name=token,
            )
        )
        if market.feed is not None:
            self._feed(market, market.feed, run)
        for bot, config in configs:
            self._bot(market, bot, config, settings, run)

    def _configs(self, market: _Market) -> list[tuple[TradingBot, BotConfig]]:
        """Return the bots that can run, in key order; the others get their verdict."""
        found: list[tuple[TradingBot, BotConfig]] = []
        for bot in sorted(market.bots, key=_name_of):
            if bot.spec.mode != market.exchange.spec.mode:
                message = (
                    f"mode is {bot.spec.mode} here and {market.exchange.spec.mode} on Exchange "
                    f"{market.exchange.metadata.name}: live needs mode: live in both"
                )
                self._say(bot, "ModeMismatch", message, stalled=True)
                continue
            missing = [symbol for symbol in bot.spec.instruments if not market.intervals.get(symbol)]
            if market.feed is not None and missing:
                message = f"no data of {', '.join(missing)} in Feed {market.feed.metadata.name}: add it to its datasets"
                self._say(bot, "NoData", message, stalled=True)
                continue
            try:
                warmup_bars = self._warm_up(bot.spec.strategy.name, bot.spec.strategy.params)
                found.append((bot, bot_config(bot, market.exchange, warmup_bars=warmup_bars)))
            except FleetError as error:
                self._say(bot, "InvalidSpec", str(error), stalled=True)
        return found

    def _in_run(
        self, market: _Market, run: str, configs: list[tuple[TradingBot, BotConfig]]
    ) -> list[tuple[TradingBot, BotConfig]]:
        """Keep the bots that take part in a lockstep run, and ask for the run if it does not exist."""
        assert market.feed is not None
        participants = self._observed.runs.get(run)
        if participants is None:
            named = [bot_participant(config.key, config.uid) for _, config in configs]
            self.runs.append(
                LockstepRun(run=run, feed=_name_of(market.feed), participants=(FEED, VENUE, GATEWAY, *named))
            )
            return configs
        kept = []
        for bot, config in configs:
            if bot_participant(config.key, config.uid) in participants:
                kept.append((bot, config))
                continue
            message = (
                f"the lockstep run of Feed {market.feed.metadata.name} began without this bot: delete and apply the "
                "Feed to play it again with all bots, or set its speed to max"
            )
            self._say(bot, "RunHasBegun", message, stalled=True)
        return kept

    def _feed(self, market: _Market, feed: Feed, run: str | None) -> None:
        replay = feed.spec.replay
        assert replay is not None
        ticks = {each.symbol: each.tick_size for each in market.exchange.spec.instruments}
        sources = [_file_settings(each) for each in replay.files]
        for reference in replay.dataset_refs:
            dataset = self._by_key[ResourceKey("Dataset", feed.key.namespace, reference.name)]
            assert isinstance(dataset, Dataset)
            sources += dataset_sources(dataset, ticks)
        intervals = sorted({interval for each in market.intervals.values() for interval in each})
        symbols = sorted(symbol for symbol, each in market.intervals.items() if each)
        self.workloads.append(
            Workload(
                name=f"feed-{_dns(feed)}",
                role=Role.FEED,
                owner=feed.key,
                generation=feed.metadata.generation or 1,
                settings={
                    "feed": _name_of(feed),
                    "exchange": market.key,
                    "generation": feed.metadata.generation or 1,
                    "replay": {
                        "sources": sources,
                        "symbols": symbols,
                        "intervals_us": intervals,
                        "from_us": None if replay.start is None else instant_us(replay.start),
                        "to_us": None if replay.end is None else instant_us(replay.end),
                    },
                    "speed": replay.speed,
                    "run": run,
                },
            )
        )

    def _bot(
        self, market: _Market, bot: TradingBot, config: BotConfig, settings: dict[str, Any], run: str | None
    ) -> None:
        uid = str(config.uid)
        deleting = bot.metadata.deletion_timestamp is not None
        self.commands.append(
            Command(
                account=market.account,
                command=BotCommand(
                    config=config,
                    state=RunState(bot.spec.state),
                    flatten_no=self._observed.flatten.get(uid, 0),
                    deleting=deleting,
                ),
            )
        )
        if deleting and uid in self._observed.wound_down:
            return
        self.workloads.append(
            Workload(
                name=f"bot-{_dns(bot)}",
                role=Role.BOT,
                owner=bot.key,
                generation=config.generation,
                settings={"bots": [config_values(config)], "exchange": settings, "run": run},
            )
        )


def plan(resources: Collection[Resource], observed: Observed, warm_up: WarmUp) -> Plan:
    """Return what should run for these resources, BotSets expanded. Every resource has its uid."""
    planner = _Planner(resources, observed, warm_up)
    planner.plan()
    return Plan(
        runs=tuple(planner.runs),
        commands=tuple(planner.commands),
        workloads=tuple(planner.workloads),
        verdicts=planner.verdicts,
    )


def expand_sets(resources: Collection[Resource]) -> list[TradingBot]:
    """Return the bots that the BotSets among the resources stand for."""
    return [bot for each in resources if isinstance(each, BotSet) for bot in expand(each)]


def dataset_sources(dataset: Dataset, ticks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a Dataset's sources as settings of a feed; `ticks` has the tick of made-up instruments."""
    spec = dataset.spec
    sources = [_file_settings(each) for each in spec.files]
    sources += [_sql_settings(each) for each in spec.sql]
    if spec.synthetic is not None:
        made_up = spec.synthetic
        for symbol, interval in spec.series:
            sources.append(
                {
                    "type": "synthetic",
                    "seed": made_up.seed,
                    "symbol": symbol,
                    "interval_us": parse_interval(interval),
                    "start_us": instant_us(made_up.start),
                    "bars": made_up.bars,
                    "start_price": str(made_up.start_prices.get(symbol, "100")),
                    "tick": str(ticks.get(symbol) or "0.01"),
                    "annual_volatility": str(made_up.annual_volatility_percent / 100),
                    "annual_drift": str(made_up.annual_drift_percent / 100),
                }
            )
    return sources


def _file_settings(source: FileSource) -> dict[str, Any]:
    return {
        "type": "file",
        "path": source.path,
        "symbol": source.instrument,
        "interval_us": parse_interval(source.interval),
        "format": str(source.file_format),
        "columns": _columns(source),
        "time_unit": str(source.time_unit),
    }


def _sql_settings(source: SqlSource) -> dict[str, Any]:
    return {
        "type": "sql",
        "url_env": source.url_from.env,
        "query": source.query,
        "symbol": source.instrument,
        "interval_us": parse_interval(source.interval),
        "columns": _columns(source),
        "time_unit": str(source.time_unit),
    }


def _columns(source: FileSource | SqlSource) -> dict[str, str]:
    return source.columns.model_dump(exclude_unset=True)


def _exchange_settings(market: _Market) -> dict[str, Any]:
    spec = market.exchange.spec
    simulator = spec.simulator
    slippage = simulator.slippage_bps if simulator is not None else None
    participation = simulator.participation if simulator is not None else None
    instruments = machine_instruments(market.exchange)
    return {
        "exchange": market.key,
        "account": market.account,
        "instruments": [
            {
                "symbol": each.symbol,
                "base": each.base,
                "quote": each.quote,
                "tick": str(each.tick),
                "lot": str(each.lot),
                "min_notional": str(each.min_notional),
                "base_scale": each.base_scale,
                "quote_scale": each.quote_scale,
                "intervals_us": market.intervals.get(symbol, []),
            }
            for symbol, each in instruments.items()
        ],
        "maker_ppm": bps_to_ppm(spec.fees.maker_bps),
        "taker_ppm": bps_to_ppm(spec.fees.taker_bps),
        "slippage_ppm": 0 if slippage is None else bps_to_ppm(slippage),
        "participation_ppm": None if participation is None else int(participation * 1_000_000),
        "market": str(simulator.market) if simulator is not None else "replay",
        "limits": {
            "max_open_orders": spec.limits.max_open_orders,
            "max_orders_per_second": spec.limits.max_orders_per_second,
        },
    }


def _name_of(resource: Resource) -> str:
    return f"{resource.metadata.namespace}/{resource.metadata.name}"


def _dns(resource: Resource) -> str:
    return f"{resource.metadata.namespace}-{resource.metadata.name}"


def _refers(owner: Resource, reference: Any, exchange: Exchange) -> bool:  # noqa: ANN401 - a Reference or None
    return (
        reference is not None
        and reference.name == exchange.metadata.name
        and owner.metadata.namespace == exchange.metadata.namespace
    )
