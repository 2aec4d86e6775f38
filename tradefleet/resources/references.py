"""Whether the resources of a fleet fit together: a pure check that needs no cluster and no file.

Within one object, the models check; across objects, this does. A local fleet refuses to start with errors found
here; the Governor shows them as `Stalled` with the remedy.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import SizingMethod
from tradefleet.domain.money import plain_decimal
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet, expand_places
from tradefleet.resources.common import Mode, Reference, Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.derived_feed import derived_feeds, path_in_exchange
from tradefleet.resources.exchange import Exchange, SimulatedMarket
from tradefleet.resources.feed import Feed
from tradefleet.resources.findings import Finding, Severity, StrategyCheck, no_strategy_check
from tradefleet.resources.machines import machine_instruments, machine_limits, quote_asset, wallet_atoms
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, suggestion
from tradefleet.resources.risk_policy import RiskPolicy
from tradefleet.resources.trading_bot import StrategyReference, TradingBot

ResourceT = TypeVar("ResourceT", bound=Resource)

Series = frozenset[tuple[str, int]]  # (instrument, interval in microseconds)


@dataclass(slots=True)
class _Fleet:
    """The resources by key, and what was found about them."""

    by_key: dict[ResourceKey, Resource]
    strategy_check: StrategyCheck
    findings: list[Finding] = field(default_factory=list)

    def of(self, kind: type[ResourceT], namespace: str) -> list[ResourceT]:
        """Return the resources of one kind in a namespace."""
        return [each for each in self.by_key.values() if isinstance(each, kind) and each.key.namespace == namespace]

    def follow(self, owner: Resource, path: FieldPath, reference: Reference, kind: type[ResourceT]) -> ResourceT | None:
        """Return what `reference` names; None, with a finding, when it is not there."""
        namespace = owner.key.namespace
        found = self.by_key.get(ResourceKey(kind.__name__, namespace, reference.name))
        if isinstance(found, kind):
            return found
        known = [each.metadata.name for each in self.of(kind, namespace)]
        remedy = suggestion(reference.name, known) or f"create the {kind.__name__}"
        self.error(owner, (*path, "name"), f"there is no {kind.__name__} {reference.name} in {namespace}", remedy)
        return None

    def error(self, owner: Resource, path: FieldPath, message: str, remedy: str) -> None:
        """Note what the fleet cannot run with."""
        self._note(Severity.ERROR, owner, path, message, remedy)

    def warning(self, owner: Resource, path: FieldPath, message: str, remedy: str) -> None:
        """Note what is probably not meant so."""
        self._note(Severity.WARNING, owner, path, message, remedy)

    def _note(self, severity: Severity, owner: Resource, path: FieldPath, message: str, remedy: str) -> None:
        self.findings.append(Finding(severity=severity, key=owner.key, path=path, message=message, remedy=remedy))


def check_references(
    resources: Collection[Resource], *, strategy_check: StrategyCheck = no_strategy_check
) -> list[Finding]:
    """Return everything in `resources` that does not fit together, in the order of the resources.

    `strategy_check` says what is wrong with a strategy's name and parameters. The bots of a BotSet are checked like
    others; what is found about them is said of the BotSet, at the place in its matrix or template, once. So is the Feed
    that an Exchange stands for, at its replay.
    """
    fleet = _Fleet(by_key={each.key: each for each in resources}, strategy_check=strategy_check)
    sets = [each for each in resources if isinstance(each, BotSet)]
    made = {bot_set.key: _expanded(fleet, bot_set) for bot_set in sets}
    for bot_set in sets:
        fleet.by_key.update({bot.key: bot for _, bot in made[bot_set.key] if bot.key not in fleet.by_key})
    derived = {exchange.key: feed for exchange, feed in derived_feeds(resources)}
    taken = {feed.key for feed in derived.values() if feed.key in fleet.by_key}
    fleet.by_key.update({feed.key: feed for feed in derived.values() if feed.key not in taken})
    for each in resources:
        match each:
            case Exchange():
                _check_exchange(fleet, each)
                if each.key in derived:
                    _check_derived(fleet, each, derived[each.key], taken)
            case Dataset():
                _check_dataset(fleet, each)
            case Feed():
                _check_feed(fleet, each)
            case RiskPolicy():
                _check_policy(fleet, each)
            case TradingBot():
                _check_bot(fleet, each)
            case BotSet():
                _check_set(fleet, each, made[each.key])
            case Backtest():
                _check_backtest(fleet, each)
            case _:
                raise AssertionError(f"{each.key} is of a kind that has no check")
    return fleet.findings


def _expanded(fleet: _Fleet, bot_set: BotSet) -> list[tuple[int, TradingBot]]:
    try:
        places = expand_places(bot_set)
    except InvalidResource as error:
        for problem in error.problems:
            fleet.error(bot_set, problem.path, problem.message, problem.remedy)
        return []
    for index, bot in places:
        if bot.key in fleet.by_key:
            path = ("spec", "matrix", "strategies", index)
            fleet.error(
                bot_set, path, f"makes the bot {bot.metadata.name}, which is there already", "rename one of them"
            )
    return places


def _check_exchange(fleet: _Fleet, exchange: Exchange) -> None:
    try:
        machine_instruments(exchange)
    except InvalidResource as error:
        for problem in error.problems:
            fleet.error(exchange, problem.path, problem.message, "change lotSize or assetScales")
    if exchange.spec.mode is not Mode.LIVE:
        return
    for other in fleet.of(Exchange, exchange.key.namespace):
        same = (other.spec.venue, other.spec.account) == (exchange.spec.venue, exchange.spec.account)
        if same and other.spec.mode is Mode.LIVE and other.key < exchange.key:
            message = f"the account {exchange.spec.account} at {exchange.spec.venue} belongs to {other.key} already"
            fleet.error(exchange, ("spec", "account"), message, "an account has one gateway: name another account")


def _check_derived(fleet: _Fleet, exchange: Exchange, feed: Feed, taken: Collection[ResourceKey]) -> None:
    """Check the Feed that an Exchange stands for, and say what is found of the Exchange."""
    if feed.key in taken:
        message = f"needs a Feed called {feed.metadata.name} to play its replay, and there is one for something else"
        fleet.error(exchange, ("metadata", "name"), message, "rename one of them, or let that Feed play this Exchange")
        return
    scout = replace(fleet, findings=[])
    _check_feed(scout, feed)
    fleet.findings += [replace(each, key=exchange.key, path=path_in_exchange(each.path)) for each in scout.findings]


def _check_dataset(fleet: _Fleet, dataset: Dataset) -> None:
    if dataset.spec.exchange_ref is None:
        return
    exchange = fleet.follow(dataset, ("spec", "exchangeRef"), dataset.spec.exchange_ref, Exchange)
    if exchange is not None:
        for index, symbol in enumerate(dataset.spec.instruments):
            _check_listed(fleet, dataset, ("spec", "instruments", index), exchange, symbol)


def _check_feed(fleet: _Fleet, feed: Feed) -> None:
    spec = feed.spec
    if spec.exchange_ref is None:
        return
    exchange = fleet.follow(feed, ("spec", "exchangeRef"), spec.exchange_ref, Exchange)
    data = _replayed(fleet, feed, report=True)
    if data is not None:
        known = {symbol for symbol, _ in data}
        for index, symbol in enumerate(spec.instruments):
            if symbol not in known:
                path = ("spec", "instruments", index)
                fleet.error(feed, path, f"the replay has no data of {symbol}", suggestion(symbol, sorted(known)))
        for index, interval in enumerate(spec.intervals):
            if parse_interval(interval) not in {length for _, length in data}:
                path = ("spec", "intervals", index)
                fleet.error(feed, path, f"the replay has no bars of {interval}", "take it out, or add data of it")
    if exchange is None:
        return
    offered = sorted({symbol for symbol, _ in _offered(fleet, feed, exchange) or ()})
    for symbol in offered:
        _check_listed(fleet, feed, ("spec", "instruments"), exchange, symbol)
    for other in fleet.of(Feed, feed.key.namespace):
        clash = other.spec.exchange_ref == spec.exchange_ref and other.key < feed.key
        if clash and other.plays and feed.plays:
            message = f"plays {exchange.metadata.name}, and so does {other.key}: a market is played by one Feed"
            fleet.error(feed, ("spec", "replay"), message, "name all data in one Feed, or suspend one of them")


def _replayed(fleet: _Fleet, feed: Feed, *, report: bool = False) -> Series | None:
    """Return what a replay plays; None when that is not known, because a Dataset is missing or it is no replay."""
    replay = feed.spec.replay
    if replay is None:
        return None
    series = [(each.instrument, each.interval) for each in replay.files]
    complete = True
    for index, reference in enumerate(replay.dataset_refs):
        key = ResourceKey("Dataset", feed.key.namespace, reference.name)
        dataset = fleet.by_key.get(key)
        if isinstance(dataset, Dataset):
            series += dataset.spec.series
            continue
        complete = False
        if report:
            fleet.follow(feed, ("spec", "replay", "datasetRefs", index), reference, Dataset)
    return frozenset((symbol, parse_interval(interval)) for symbol, interval in series) if complete else None


def _offered(fleet: _Fleet, feed: Feed, exchange: Exchange) -> Series | None:
    """Return what the bots of `exchange` can read from `feed`; None when only the running feed knows."""
    spec = feed.spec
    lengths = {parse_interval(each) for each in spec.intervals}
    if spec.replay is not None:
        data = _replayed(fleet, feed)
        if data is None:
            return None
        return frozenset(
            (symbol, length)
            for symbol, length in data
            if (not spec.instruments or symbol in spec.instruments) and (not lengths or length in lengths)
        )
    symbols = spec.instruments or tuple(each.symbol for each in exchange.spec.instruments)
    return frozenset((symbol, length) for symbol in symbols for length in lengths or {parse_interval("1m")}) or None


def _check_listed(fleet: _Fleet, owner: Resource, path: FieldPath, exchange: Exchange, symbol: str) -> None:
    """Find an instrument without tick and lot; of a real venue, what is not listed is filled in by the venue."""
    listed = exchange.spec.instrument(symbol)
    if listed is None and exchange.spec.is_simulator:
        known = [each.symbol for each in exchange.spec.instruments]
        message = f"{symbol} has no tick and lot in spec.instruments of {exchange.key}"
        fleet.error(owner, path, message, "; ".join(filter(None, ["add it there", suggestion(symbol, known)])))


def _check_policy(fleet: _Fleet, policy: RiskPolicy) -> None:
    if not any(_chosen(policy, bot) for bot in fleet.of(TradingBot, policy.key.namespace)):
        path = ("spec", "selector", "matchLabels")
        fleet.warning(policy, path, "chooses no TradingBot", "change the labels here, or those of the bots")


def _chosen(policy: RiskPolicy, bot: TradingBot) -> bool:
    return policy.spec.selector.matches(bot.metadata.labels)


def _check_bot(fleet: _Fleet, bot: TradingBot) -> None:
    _check_strategy(fleet, bot, ("spec", "strategy"), bot.spec.strategy)
    exchange = fleet.follow(bot, ("spec", "exchangeRef"), bot.spec.exchange_ref, Exchange)
    feed = None
    if bot.spec.feed_ref is not None:
        feed = fleet.follow(bot, ("spec", "feedRef"), bot.spec.feed_ref, Feed)
    if exchange is None:
        return
    for index, symbol in enumerate(bot.spec.instruments):
        _check_listed(fleet, bot, ("spec", "instruments", index), exchange, symbol)
    if bot.spec.mode is not exchange.spec.mode:
        message = f"is {bot.spec.mode}, and the Exchange {exchange.metadata.name} is {exchange.spec.mode}"
        fleet.error(bot, ("spec", "mode"), message, "real money needs mode live on both, play money paper on both")
    if bot.spec.mode is Mode.LIVE:
        _check_live_bot(fleet, bot)
    _check_data(fleet, bot, exchange, feed)
    _check_money(fleet, bot, exchange)


def _check_strategy(fleet: _Fleet, owner: Resource, path: FieldPath, strategy: StrategyReference) -> None:
    for problem in fleet.strategy_check(strategy.name, strategy.params):
        place = (*path, "name") if problem.parameter is None else (*path, "params", problem.parameter)
        fleet.error(owner, place, problem.message, problem.remedy)


def _check_live_bot(fleet: _Fleet, bot: TradingBot) -> None:
    namespace = bot.key.namespace
    if not any(_chosen(policy, bot) for policy in fleet.of(RiskPolicy, namespace)):
        message = "real money is traded under a RiskPolicy, and none chooses this bot"
        fleet.error(bot, ("metadata", "labels"), message, "create a RiskPolicy whose selector matches its labels")
    if bot.spec.wallet:
        return
    for other in fleet.of(TradingBot, namespace):
        shared = set(other.spec.instruments) & set(bot.spec.instruments)
        rival = other.spec.mode is Mode.LIVE and other.spec.exchange_ref == bot.spec.exchange_ref
        if rival and shared and other.key != bot.key:
            message = f"has no wallet, and {other.key} trades {', '.join(sorted(shared))} on the same account"
            fleet.error(bot, ("spec", "wallet"), message, "give each of them a wallet, or other instruments")


def _check_data(fleet: _Fleet, bot: TradingBot, exchange: Exchange, feed: Feed | None) -> None:
    """Find instruments whose bars no Feed brings. A real venue's feeds are made by the fleet on demand."""
    if feed is not None and feed.spec.exchange_ref != bot.spec.exchange_ref:
        message = f"the Feed {feed.metadata.name} brings the market of another Exchange"
        fleet.error(bot, ("spec", "feedRef"), message, f"name a Feed of {exchange.metadata.name}")
        return
    simulator = exchange.spec.simulator
    if feed is None and not exchange.spec.is_simulator:
        return
    if feed is None and simulator is not None and simulator.market is SimulatedMarket.BOOK:
        return
    here = fleet.of(Feed, exchange.key.namespace)
    candidates = [feed] if feed is not None else [each for each in here if each.exchange_key == exchange.key]
    offers = [_offered(fleet, each, exchange) for each in candidates]
    if any(each is None for each in offers):
        return
    offered = frozenset(pair for each in offers if each is not None for pair in each)
    names = ", ".join(each.metadata.name for each in candidates) or "none is there"
    for index, symbol in enumerate(bot.spec.instruments):
        if (symbol, bot.spec.interval_us) in offered:
            continue
        has_symbol = any(symbol == each for each, _ in offered)
        path: FieldPath = ("spec", "interval") if has_symbol else ("spec", "instruments", index)
        message = f"no Feed of {exchange.metadata.name} brings bars of {symbol} at {bot.spec.interval} ({names})"
        fleet.error(bot, path, message, "add a Feed or its data, or trade what is brought")


def _check_money(fleet: _Fleet, bot: TradingBot, exchange: Exchange) -> None:
    """Find a wallet that cannot trade these instruments: another asset, too fine an amount, or too little."""
    spec = bot.spec
    try:
        quote = quote_asset(bot, exchange)
        wallet_atoms(bot, spec.wallet, exchange)
        machine_limits(bot, spec, quote_scale=exchange.spec.asset_scale(quote))
    except InvalidResource as error:
        for problem in error.problems:
            remedy = "name instruments of one quote asset" if "wallet" not in problem.path else "round the amount"
            fleet.error(bot, problem.path, problem.message, remedy)
        return
    if not spec.wallet:
        return
    for asset in sorted(spec.wallet.keys() - {quote}):
        message = f"holds {asset}, and the bot's instruments are quoted in {quote}, the only asset it starts with"
        fleet.error(bot, ("spec", "wallet", asset), message, f"give the amount in {quote}")
    if not spec.wallet.get(quote):
        return
    share = spec.wallet[quote] * spec.sizing.fraction / len(spec.instruments)
    largest = share if spec.sizing.method is not SizingMethod.FIXED else spec.sizing.quote_amount or share
    for index, symbol in enumerate(spec.instruments):
        listed = exchange.spec.instrument(symbol)
        if listed is not None and listed.min_notional is not None and largest < listed.min_notional:
            message = (
                f"{symbol} takes orders of at least {listed.min_notional} {quote}, and the bot's largest would be "
                f"{plain_decimal(largest)} {quote}"
            )
            remedy = "give it more money, fewer instruments, or a larger sizing"
            fleet.error(bot, ("spec", "instruments", index), message, remedy)


def _check_set(fleet: _Fleet, bot_set: BotSet, places: Iterable[tuple[int, TradingBot]]) -> None:
    """Check the bots of a set, and say what is found of the set: each sentence at each place once."""
    seen: dict[tuple[FieldPath, str], None] = {}
    for index, bot in places:
        scout = replace(fleet, findings=[])
        _check_bot(scout, bot)
        for each in scout.findings:
            path = _path_in_set(bot_set, index, each.path)
            if (path, each.message) not in seen:
                seen[path, each.message] = None
                fleet.findings.append(replace(each, key=bot_set.key, path=path))


def _path_in_set(bot_set: BotSet, index: int, path: FieldPath) -> FieldPath:
    """Return where in the set a field of one of its bots is written."""
    match path:
        case ("spec", "strategy", *rest):
            strategy = bot_set.spec.matrix.strategies[index]
            place: FieldPath = ("spec", "matrix", "strategies", index)
            if rest[:1] == ["params"] and rest[1] in strategy.param_lists:
                return (*place, "paramLists", rest[1])
            return (*place, *rest)
        case ("spec", "instruments", *_) if bot_set.spec.matrix.instruments:
            return ("spec", "matrix", "instruments")
        case _:
            return ("spec", "template", *path)


def _check_backtest(fleet: _Fleet, backtest: Backtest) -> None:
    spec = backtest.spec
    dataset = fleet.follow(backtest, ("spec", "datasetRef"), spec.dataset_ref, Dataset)
    exchange = None
    if spec.exchange_ref is not None:
        exchange = fleet.follow(backtest, ("spec", "exchangeRef"), spec.exchange_ref, Exchange)
    for index, reference in enumerate(spec.bot_refs):
        bot = fleet.follow(backtest, ("spec", "botRefs", index), reference, TradingBot)
        if bot is not None and dataset is not None:
            path = ("spec", "botRefs", index)
            _check_covered(fleet, backtest, path, dataset, bot.spec.instruments, bot.spec.interval)
    if spec.strategy is None:
        return
    _check_strategy(fleet, backtest, ("spec", "strategy"), spec.strategy)
    symbols = spec.instruments or tuple(symbol for symbol, _ in dataset.spec.series) if dataset else spec.instruments
    if dataset is not None:
        _check_covered(fleet, backtest, ("spec", "instruments"), dataset, symbols, spec.interval)
    if exchange is not None:
        for symbol in dict.fromkeys(symbols):
            _check_listed(fleet, backtest, ("spec", "instruments"), exchange, symbol)


def _check_covered(
    fleet: _Fleet, owner: Resource, path: FieldPath, dataset: Dataset, symbols: Iterable[str], interval: str
) -> None:
    held = {(symbol, parse_interval(each)) for symbol, each in dataset.spec.series}
    for symbol in dict.fromkeys(symbols):
        if (symbol, parse_interval(interval)) not in held:
            message = f"the Dataset {dataset.metadata.name} has no bars of {symbol} at {interval}"
            known = ", ".join(f"{each} at {length}" for each, length in dataset.spec.series)
            fleet.error(owner, path, message, f"it has {known}")
