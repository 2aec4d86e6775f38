"""Data that takes the place of what resources name: files of the command line, or a Backtest's Dataset.

While resources are checked, a Feed stands for it, so that what is missing is said in the words of every other check.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tradefleet.domain.bar import format_interval
from tradefleet.domain.ids import Symbol
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Metadata, Reference, Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed, FeedSpec, Replay
from tradefleet.resources.market_data import FileFormat, FileSource
from tradefleet.resources.to_domain import Series
from tradefleet.resources.trading_bot import TradingBot
from workloads.feeds import replay as feeds
from workloads.feeds.ports import BarSource

NAME_LENGTH_MAX = 50  # of a resource
_GIVEN_DATA = "given-data"  # name of the Feed that stands for the data of --data, or of a Backtest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asks for besides the files. `data` takes the place of the files' own; times in microseconds."""

    data: tuple[BarSource, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    backtest: str | None = None  # name of the Backtest to run, where the files have several


def data_series(wish: Wish) -> set[Series]:
    """Return what the given data holds."""
    return {(each.description.symbol, each.description.interval_us) for each in wish.data}


def given_series(bots: Iterable[TradingBot], wish: Wish) -> set[Series]:
    """Return the bars that the given data brings to `bots`: its own, and those that they need and it can make."""
    wanted = {(Symbol(symbol), bot.spec.interval_us) for bot in bots for symbol in bot.spec.instruments}
    there = data_series(wish)
    needed = {symbol for symbol, _ in wanted}
    made = {
        (symbol, interval_us)
        for symbol, interval_us in wanted
        if any(same == symbol and interval_us % finer == 0 for same, finer in there)
    }
    return {(symbol, interval_us) for symbol, interval_us in there if symbol in needed} | made


def given_feeds(exchanges: Iterable[Exchange], bots: Sequence[TradingBot], wish: Wish) -> list[Feed]:
    """Return Feeds that stand for the given data while resources are checked; none of them is opened."""
    given = []
    for exchange in exchanges:
        series = given_series([bot for bot in bots if bot.exchange_key == exchange.key], wish)
        if series:
            given.append(standing_feed(exchange, series))
    return given


def standing_feed(exchange: Exchange, series: Iterable[Series]) -> Feed:
    """Return a Feed of `exchange` that brings `series`, for the check only."""
    sources = tuple(
        FileSource(path="-", instrument=symbol, interval=format_interval(interval_us), format=FileFormat.CSV)
        for symbol, interval_us in sorted(series)
    )
    spec = FeedSpec(exchange_ref=Reference(name=exchange.metadata.name), replay=Replay(files=sources))
    # Several exchanges may share a namespace, so the name of the exchange makes the name of its feed.
    name = f"{_GIVEN_DATA}-{exchange.metadata.name}"[:NAME_LENGTH_MAX].rstrip("-")
    metadata = Metadata(name=name, namespace=exchange.key.namespace)
    return Feed(metadata=metadata, spec=spec)


def with_given_data(resources: Iterable[Resource], given: Iterable[Feed]) -> list[Resource]:
    """Return the resources with the given feeds in place of all others; bots read whichever is there."""
    kept: list[Resource] = []
    for each in resources:
        match each:
            case Feed() | Dataset():
                continue
            case TradingBot():
                kept.append(each.model_copy(update={"spec": each.spec.model_copy(update={"feed_ref": None})}))
            case BotSet():
                template = each.spec.template
                free = template.model_copy(update={"spec": template.spec.model_copy(update={"feed_ref": None})})
                kept.append(each.model_copy(update={"spec": each.spec.model_copy(update={"template": free})}))
            case Exchange() if each.spec.simulator is not None:
                simulator = each.spec.simulator.model_copy(update={"replay": None})
                kept.append(each.model_copy(update={"spec": each.spec.model_copy(update={"simulator": simulator})}))
            case _:
                kept.append(each)
    return [*kept, *given]


def given_replay(bots: Sequence[TradingBot], wish: Wish) -> tuple[set[Series], list[feeds.Replay]]:
    """Return what the given data brings to the bots of an exchange."""
    series = given_series(bots, wish)
    replays = []
    # One replay for each instrument: each has lengths of bars of its own, and a replay has one list for all.
    for symbol in sorted({symbol for symbol, _ in series}):
        selection = feeds.Selection(
            from_us=wish.from_us,
            to_us=wish.to_us,
            symbols=frozenset({symbol}),
            intervals_us=frozenset(interval_us for same, interval_us in series if same == symbol),
        )
        sources = [source for source in wish.data if source.description.symbol == symbol]
        replays.append(feeds.Replay(sources, selection))
    return series, replays
