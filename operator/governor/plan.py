"""The brain: the resources of a fleet and what was observed, to what should run. Pure, and the same for every renderer.

It reads the whole state and decides anew each time. A resource that cannot run yet gets a verdict that says why, and
holds back nothing else. What an Exchange, a Feed and a bot mean to the machines is said in `tradefleet.resources`, for
the backtest as well, so that a fleet and its backtest cannot differ in it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from governor.dataset_status import is_conditional, is_made_up
from governor.ending import sells_on, trades_on
from governor.workload import Command, LockstepRun, Plan, Role, Verdict, Workload
from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import BotCommand, BotConfig, DeletionPolicy, ParameterValue, RunState, config_values
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotUid
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import plain_decimal
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, Participant, bot_participant
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import GROUP, Reference, Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import SIMULATOR, Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.replay_plan import Surroundings, feed_settings, range_of
from tradefleet.resources.to_domain import ExchangeTerms, Series, bot_config, exchange_terms, played_series
from tradefleet.resources.trading_bot import TradingBot

FLATTEN_ANNOTATION: Final = f"{GROUP}/flatten-requests"  # how often the owner has asked to flatten
REOPEN_ANNOTATION: Final = f"{GROUP}/reopen-requests"  # how often the owner has asked to reopen the bot's stream
SKIP_ANNOTATION: Final = f"{GROUP}/skip-request"  # number of a request that may be left out if it cannot be read
LAST_NUMBER: Final = 10**9

WarmUp = Callable[[str, Mapping[str, ParameterValue]], int]
"""Returns how many bars a strategy of that name and parameters wants before it trades; raises FleetError."""

ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What exists, by run or by the UID of a bot.

    `runs` holds the participants of lockstep runs that were created, `terms` what their exchanges were then,
    `finished` those that have come to their end, `left` the participants that have gone. `configs` are what bots
    were last told to be. `settled` are the bots whose gateway has carried out their end: nothing of them is open
    any more. `read` are the Datasets whose content was looked at, `refused` those of them that must not be played,
    each with the reason.
    """

    runs: Mapping[str, frozenset[Participant]] = field(default_factory=dict)
    terms: Mapping[str, dict[str, object]] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    left: frozenset[Participant] = frozenset()
    configs: Mapping[BotUid, BotConfig] = field(default_factory=dict)
    settled: frozenset[BotUid] = frozenset()
    read: frozenset[ResourceKey] = frozenset()
    refused: Mapping[ResourceKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Market:
    """An exchange with the feed that plays its market and the bots that trade on it."""

    exchange: Exchange
    terms: ExchangeTerms
    feed: Feed | None
    replay: dict[str, object]
    series: frozenset[Series]
    bots: tuple[TradingBot, ...]
    run: str | None  # of lockstep, until it has come to its end
    began_as: dict[str, object] | None  # what the exchange was when the run began

    @property
    def settings(self) -> dict[str, object]:
        """What gateway, simulator and bots are told of the exchange: an edit waits for the end of a lockstep run."""
        return self.terms.settings(self.series) if self.began_as is None else self.began_as

    @property
    def is_edited(self) -> bool:
        """Whether an edit waits."""
        return self.settings != self.terms.settings(self.series)

    @property
    def generation(self) -> int:
        return self.exchange.metadata.generation or 1


def plan(resources: Collection[Resource], observed: Observed, warm_up: WarmUp) -> Plan:
    """Return what should run for these resources, BotSets expanded. Every resource has its uid."""
    planner = _Planner(resources, observed, warm_up)
    planner.plan()
    return Plan(
        runs=tuple(planner.runs),
        commands=tuple(planner.commands),
        workloads=tuple(planner.workloads),
        verdicts=planner.verdicts,
        drifted=frozenset(planner.drifted),
        listed=planner.listed,
    )


def expand_sets(resources: Collection[Resource]) -> list[TradingBot]:
    """Return the bots that the BotSets among the resources stand for."""
    return [bot for each in resources if isinstance(each, BotSet) for bot in expand(each)]


class _Planner:
    def __init__(self, resources: Collection[Resource], observed: Observed, warm_up: WarmUp) -> None:
        self._by_key = {resource.key: resource for resource in resources}
        self._observed = observed
        self._warm_up = warm_up
        self.runs: list[LockstepRun] = []
        self.commands: list[Command] = []
        self.workloads: list[Workload] = []
        self.verdicts: dict[ResourceKey, Verdict] = {}
        self.drifted: set[ResourceKey] = set()
        self.listed: dict[str, tuple[Instrument, ...]] = {}

    def plan(self) -> None:
        """Go through every exchange, then say of the bots and feeds without one why they wait."""
        markets = {}
        for exchange in self._all(Exchange):
            market = self._market(exchange)
            if market is not None:
                self._fill(market)
                markets[exchange.key] = market
        self._explain_orphans()
        for dataset in self._all(Dataset):
            if dataset.spec.exchange_ref is not None:
                self._record(dataset, dataset.spec.exchange_ref, markets)
        for backtest in self._all(Backtest):
            dataset_key = ResourceKey("Dataset", backtest.key.namespace, backtest.spec.dataset_ref.name)
            tested_on = self._by_key.get(dataset_key)
            if isinstance(tested_on, Dataset):
                self._may_be_played(backtest, tested_on)

    def _say(self, resource: Resource, reason: str, message: str, *, stalled: bool) -> None:
        self.verdicts[resource.key] = Verdict(key=resource.key, stalled=stalled, reason=reason, message=message)

    def _all(self, kind: type[ResourceT]) -> list[ResourceT]:
        return [each for _, each in sorted(self._by_key.items()) if isinstance(each, kind)]

    # --- markets --------------------------------------------------------------------------------------------------

    def _market(self, exchange: Exchange) -> _Market | None:
        """Return an exchange with all that belongs to it; None, with a verdict, when it cannot be traded on."""
        if exchange.spec.venue != SIMULATOR:
            message = f"venue {exchange.spec.venue} cannot be traded on yet: this release knows venue: simulator"
            self._say(exchange, "VenueNotSupported", message, stalled=True)
            return None
        if exchange.spec.suspend:
            self._say(exchange, "Suspended", "its gateway is stopped: set suspend to false", stalled=False)
            return None
        if exchange.metadata.deletion_timestamp is not None and not self._bots_on(exchange):
            self._say(exchange, "Deleting", "is being deleted", stalled=False)
            return None
        try:
            terms = exchange_terms(exchange)
        except FleetError as error:
            self._say(exchange, "InvalidSpec", str(error), stalled=True)
            return None
        self.listed[terms.exchange] = tuple(terms.instruments.values())
        feed, replay, series = self._feed_of(exchange, terms)
        run = self._run_of(feed)
        return _Market(
            exchange=exchange,
            terms=terms,
            feed=feed,
            replay=replay,
            series=series,
            bots=self._bots_on(exchange),
            run=run,
            began_as=self._observed.terms.get(run or "") or None,
        )

    def _bots_on(self, exchange: Exchange) -> tuple[TradingBot, ...]:
        return tuple(bot for bot in self._all(TradingBot) if trades_on(bot, exchange))

    def _feed_of(
        self, exchange: Exchange, terms: ExchangeTerms
    ) -> tuple[Feed | None, dict[str, object], frozenset[Series]]:
        """Return the feed that plays the market of `exchange`, what it plays, and the bars that come of it."""
        playing = [feed for feed in self._all(Feed) if _plays(feed, exchange)]
        selling = [bot.metadata.name for bot in self._bots_on(exchange) if sells_on(bot, self._observed.settled)]
        if any(feed.metadata.deletion_timestamp is None for feed in playing) or not selling:
            playing = [feed for feed in playing if feed.metadata.deletion_timestamp is None]
        for feed in playing:
            if feed.metadata.deletion_timestamp is not None:
                message = (
                    f"plays on until TradingBot {', '.join(selling)} has sold its position (deletionPolicy Flatten)"
                )
                self._say(feed, "Deleting", message, stalled=False)
        for extra in playing[1:]:
            message = (
                f"Exchange {exchange.metadata.name} is already played by Feed {playing[0].metadata.name}: suspend one"
            )
            self._say(extra, "ExchangeHasFeed", message, stalled=True)
        if not playing:
            return None, {}, frozenset()
        feed = playing[0]
        datasets = {each.metadata.name: each for each in self._all(Dataset) if each.key.namespace == feed.key.namespace}
        assert feed.spec.replay is not None
        for reference in feed.spec.replay.dataset_refs:
            if reference.name not in datasets:
                message = f"waits for Dataset {reference.name} in namespace {feed.key.namespace}: apply it"
                self._say(feed, "DatasetNotFound", message, stalled=False)
                return None, {}, frozenset()
            if not self._may_be_played(feed, datasets[reference.name]):
                return None, {}, frozenset()
        ticks = {symbol: instrument.tick for symbol, instrument in terms.instruments.items()}
        try:
            replay = feed_settings(feed, datasets, Surroundings(ticks=ticks))
            series = played_series(feed, datasets)
        except FleetError as error:
            self._say(feed, "InvalidSpec", str(error), stalled=True)
            return None, {}, frozenset()
        return feed, replay, series

    def _may_be_played(self, player: Feed | Backtest, dataset: Dataset) -> bool:
        """Return whether a dataset may be played: one with conditions once it was read. What has begun goes on."""
        if not is_conditional(dataset) or player.metadata.uid in self._observed.runs:
            return True
        name = dataset.metadata.name
        if dataset.key in self._observed.refused:
            message = f"Dataset {name} cannot be played: {self._observed.refused[dataset.key]}"
            self._say(player, "DatasetRefused", message, stalled=True)
        elif dataset.key not in self._observed.read:
            self._say(player, "DatasetNotRead", f"waits until Dataset {name} has been read", stalled=False)
        else:
            return True
        return False

    def _record(self, dataset: Dataset, reference: Reference, markets: Mapping[ResourceKey, _Market]) -> None:
        """Plan the recorder of a Dataset that takes in what comes from an exchange, or say why there is none."""
        key = ResourceKey("Exchange", dataset.key.namespace, reference.name)
        exchange = self._by_key.get(key)
        if exchange is None:
            message = f"waits for Exchange {reference.name} in namespace {dataset.key.namespace}: apply it"
            self._say(dataset, "ExchangeNotFound", message, stalled=False)
            return
        if dataset.spec.suspend or dataset.spec.frozen or dataset.metadata.deletion_timestamp is not None:
            return
        if isinstance(exchange, Exchange) and exchange.spec.venue != SIMULATOR:
            message = "downloads are not there yet: name files, sql or synthetic in its place"
            self._say(dataset, "NotSupported", message, stalled=True)
            return
        market = markets.get(key)
        if market is None:
            message = f"waits for Exchange {reference.name}: {self.verdicts[key].message}"
            self._say(dataset, "ExchangeNotReady", message, stalled=False)
            return
        brought = {(str(symbol), interval_us) for symbol, interval_us in market.series}
        missing = [
            f"{interval} bars of {symbol}"
            for symbol, interval in dataset.spec.series
            if (symbol, parse_interval(interval)) not in brought
        ]
        if missing:
            message = f"waits for a Feed of Exchange {reference.name} that brings {', '.join(missing)}: apply one"
            self._say(dataset, "NoData", message, stalled=False)
            return
        self.workloads.append(_recorder_workload(dataset, market, made_up=is_made_up(dataset, self._by_key.values())))

    def _run_of(self, feed: Feed | None) -> str | None:
        """Return the lockstep run, named by the feed's UID: a feed that is made again is another run."""
        if feed is None or feed.spec.replay is None or not feed.spec.replay.is_lockstep:
            return None
        run = feed.metadata.uid
        return None if run in self._observed.finished else run

    def _explain_orphans(self) -> None:
        owners: list[TradingBot | Feed] = [*self._all(TradingBot), *self._all(Feed)]
        for owner in owners:
            reference = owner.spec.exchange_ref
            if isinstance(owner, Feed) and owner.spec.replay is None:
                message = "only a replay can be brought yet: give spec.replay with Datasets or files"
                self._say(owner, "NotSupported", message, stalled=True)
                continue
            assert reference is not None, "a rule of the model makes sure of it"
            found = self._by_key.get(ResourceKey("Exchange", owner.key.namespace, reference.name))
            if found is None:
                message = f"waits for Exchange {reference.name} in namespace {owner.key.namespace}: apply it"
                self._say(owner, "ExchangeNotFound", message, stalled=False)
            elif found.key in self.verdicts:
                message = f"waits for Exchange {reference.name}: {self.verdicts[found.key].message}"
                self._say(owner, "ExchangeNotReady", message, stalled=False)

    # --- workloads ------------------------------------------------------------------------------------------------

    def _fill(self, market: _Market) -> None:
        configs = list(self._configs(market))
        if market.run is not None:
            configs = self._in_run(market, market.run, configs)
        if market.is_edited:
            self.drifted.add(market.exchange.key)
        self.workloads += _exchange_workloads(market)
        if market.feed is not None:
            self.workloads.append(_feed_workload(market, market.feed))
        for bot, config in configs:
            self._bot(market, bot, config)

    def _configs(self, market: _Market) -> Iterator[tuple[TradingBot, BotConfig]]:
        """Yield the bots that can run, in key order; the others get their verdict."""
        brought = {(str(symbol), interval_us) for symbol, interval_us in market.series}
        for bot in sorted(market.bots, key=lambda bot: bot.key):
            if bot.spec.mode != market.exchange.spec.mode:
                message = (
                    f"mode is {bot.spec.mode} here and {market.exchange.spec.mode} on Exchange "
                    f"{market.exchange.metadata.name}: live needs mode: live in both"
                )
                self._say(bot, "ModeMismatch", message, stalled=True)
                self._tell_only(market, bot)
                continue
            missing = [symbol for symbol in bot.spec.instruments if (symbol, bot.spec.interval_us) not in brought]
            if missing and bot.metadata.deletion_timestamp is None:
                message = f"waits for a Feed that brings {bot.spec.interval} bars of {', '.join(missing)}: apply one"
                self._say(bot, "NoData", message, stalled=False)
                self._tell_only(market, bot)
                continue
            try:
                warmup_bars = self._warm_up(bot.spec.strategy.name, bot.spec.strategy.params)
                config = bot_config(bot, market.exchange, warmup_bars=warmup_bars)
            except FleetError as error:
                self._say(bot, "InvalidSpec", str(error), stalled=True)
                told = self._observed.configs.get(BotUid(bot.metadata.uid or ""))
                if told is None or bot.metadata.deletion_timestamp is None:
                    self._tell_only(market, bot)
                    continue
                config = told  # what cannot be run any more can still be wound down
            yield bot, self._settled_config(bot, config)

    def _settled_config(self, bot: TradingBot, config: BotConfig) -> BotConfig:
        """Return the config to run: a generation of its own only for what changes the bot, not for pausing it.

        A new generation closes the bot's record and warms up again. With updateStrategy Manual it waits.
        """
        told = self._observed.configs.get(config.uid)
        if told is None or told == config:
            return config
        if replace(config, generation=told.generation) == told:
            return told
        # What happens at its end is the gateway's affair, not the strategy's: it needs no new generation.
        if replace(config, generation=told.generation, deletion_policy=told.deletion_policy) == told:
            return replace(told, deletion_policy=config.deletion_policy)
        if bot.spec.updates_by_itself:
            return config
        self.drifted.add(bot.key)
        return told

    def _in_run(
        self, market: _Market, run: str, configs: list[tuple[TradingBot, BotConfig]]
    ) -> list[tuple[TradingBot, BotConfig]]:
        """Keep the bots that take part in a lockstep run, and ask for the run if it does not exist."""
        assert market.feed is not None
        participants = self._observed.runs.get(run)
        if participants is None:
            if not configs:
                message = "waits for TradingBots: a lockstep run begins with all of its bots"
                self._say(market.feed, "NoBots", message, stalled=False)
            else:
                named = [bot_participant(config.key, config.uid) for _, config in configs]
                everybody = (FEED, VENUE, GATEWAY, *named)
                began = LockstepRun(run=run, feed=_name(market.feed), participants=everybody, terms=market.settings)
                self.runs.append(began)
            return configs
        kept = []
        for bot, config in configs:
            if bot_participant(config.key, config.uid) in participants:
                kept.append((bot, config))
                continue
            message = (
                f"the lockstep run of Feed {market.feed.metadata.name} began without this bot: it trades when the run "
                "is over; a fleet of its own, or a Feed with speed max, takes bots at any time"
            )
            self._say(bot, "RunHasBegun", message, stalled=True)
        return kept

    def _tell_only(self, market: _Market, bot: TradingBot) -> None:
        """Let the gateway hear what the owner wants of a bot that cannot run now: its orders and position are there."""
        told = self._observed.configs.get(BotUid(bot.metadata.uid or ""))
        if told is not None:
            config = replace(told, deletion_policy=DeletionPolicy(bot.spec.deletion_policy))
            self.commands.append(_command(market, bot, config))

    def _bot(self, market: _Market, bot: TradingBot, config: BotConfig) -> None:
        self.commands.append(_command(market, bot, config))
        deleting = bot.metadata.deletion_timestamp is not None
        state = RunState(bot.spec.state)
        if self._has_ended(market, config, ends=deleting or state is RunState.STOPPED, leaves=deleting):
            return
        self.workloads.append(
            Workload(
                name=f"bot-{_dns(bot)}",
                role=Role.BOT,
                owner=bot.key,
                settings={"bots": [config_values(config)], "exchange": market.settings, "run": market.run},
                bot_uid=config.uid,
            )
        )

    def _has_ended(self, market: _Market, config: BotConfig, *, ends: bool, leaves: bool) -> bool:
        """Return whether a bot needs no process any more. A lockstep run would wait for it until it has left."""
        if not ends or config.uid not in self._observed.settled:
            return False
        if market.run is None:
            return True
        return leaves and bot_participant(config.key, config.uid) in self._observed.left


def _command(market: _Market, bot: TradingBot, config: BotConfig) -> Command:
    return Command(
        account=market.terms.account,
        command=BotCommand(
            config=config,
            state=RunState(bot.spec.state),
            flatten_no=_number_in(bot, FLATTEN_ANNOTATION),
            reopen_no=_number_in(bot, REOPEN_ANNOTATION),
            skip_seq=_number_in(bot, SKIP_ANNOTATION),
            deleting=bot.metadata.deletion_timestamp is not None,
        ),
    )


def _number_in(bot: TradingBot, annotation: str) -> int:
    """Return the number that an annotation holds, 0 when it holds none."""
    text = bot.metadata.annotations.get(annotation, "0")
    return min(int(text), LAST_NUMBER) if text.isascii() and text.isdecimal() else 0


def _exchange_workloads(market: _Market) -> list[Workload]:
    """Return the simulator and the gateway, which is told where the simulator listens."""
    port = f"venue-{_dns(market.exchange)}"
    owner = market.exchange.key
    settings = {
        "exchange": market.settings,
        "uid": market.exchange.metadata.uid or "",
        "generation": market.generation,
        "run": market.run,
    }
    return [
        Workload(name=port, role=Role.VENUE, owner=owner, settings=settings, port_name=port, token_name=port),
        Workload(
            name=f"gateway-{_dns(market.exchange)}",
            role=Role.GATEWAY,
            owner=owner,
            settings=settings,
            peer_port_name=port,
            token_name=port,
        ),
    ]


def _feed_workload(market: _Market, feed: Feed) -> Workload:
    assert feed.spec.replay is not None
    return Workload(
        name=f"feed-{_dns(feed)}",
        role=Role.FEED,
        owner=feed.key,
        settings={
            "feed": _name(feed),
            "uid": feed.metadata.uid or "",
            "exchange": _name(market.exchange),
            "generation": feed.metadata.generation or 1,
            "replay": market.replay,
            "ticks": {
                symbol: plain_decimal(each.tick)
                for symbol, each in market.terms.instruments.items()
                if symbol in {played for played, _ in market.series}
            },
            "speed": feed.spec.replay.speed,
            "run": market.run,
        },
    )


def _recorder_workload(dataset: Dataset, market: _Market, *, made_up: bool) -> Workload:
    from_us, to_us = range_of(dataset.spec)
    return Workload(
        name=f"recorder-{_dns(dataset)}",
        role=Role.RECORDER,
        owner=dataset.key,
        settings={
            "dataset": _name(dataset),
            "exchange": _name(market.exchange),
            "series": [
                {"symbol": symbol, "interval_us": parse_interval(interval)} for symbol, interval in dataset.spec.series
            ],
            "is_synthetic": made_up,
            "from_us": from_us,
            "to_us": to_us,
            "ticks": [str(channel) for channel in dataset.spec.ticks],
        },
    )


def _name(resource: Resource) -> str:
    return f"{resource.metadata.namespace}/{resource.metadata.name}"


def _dns(resource: Resource) -> str:
    return f"{resource.metadata.namespace}-{resource.metadata.name}"


def _plays(feed: Feed, exchange: Exchange) -> bool:
    reference = feed.spec.exchange_ref
    return (
        reference is not None
        and (feed.key.namespace, reference.name) == (exchange.key.namespace, exchange.key.name)
        and feed.spec.replay is not None
        and not feed.spec.suspend
    )
