"""Feed: what brings market data (or posts) into the fleet, live or replayed from history."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from tradefleet.resources.common import (
    KindNames,
    PluginReference,
    PrinterColumn,
    Reference,
    Resource,
    ResourceKey,
    Status,
    TimeRange,
)
from tradefleet.resources.market_data import FileSource
from tradefleet.resources.model import Model, rule, transition
from tradefleet.resources.values import InstrumentSymbol, Interval, Many, ManyDistinct, Speed, Whole

LOCKSTEP = "lockstep"
MAX_SPEED = "max"
SOURCES_MAX = 256
INSTRUMENTS_MAX = 1000
INTERVALS_MAX = 16
ACCOUNTS_MAX = 1000


class Channel(StrEnum):
    """A kind of market data."""

    BARS = "bars"
    TICKER = "ticker"
    TRADES = "trades"
    BOOK = "book"


class MarketFeed(Model):
    """Live market data of an exchange."""

    channels: ManyDistinct[Annotated[Channel, Strict(False)]] = Field(
        default=(Channel.BARS,),
        min_length=1,
        max_length=4,
        description="What to bring: bars; ticker, the best prices; trades; book, the order book.",
    )
    source: PluginReference | None = Field(
        default=None, description="Your own source in place of the exchange's connection."
    )


class Replay(TimeRange):
    """History, played again as if it happened now."""

    dataset_refs: Many[Reference] = Field(
        default=(), max_length=SOURCES_MAX, description="Datasets to play, merged by time."
    )
    files: Many[FileSource] = Field(
        default=(), max_length=SOURCES_MAX, description="Files of candles to play, without a Dataset."
    )
    speed: Speed = Field(
        default=LOCKSTEP,
        description="lockstep: the next bar comes when every bot is done with this one, so that a replay gives exactly "
        "the result of a backtest. max: as fast as can be; what a bot decides too late, by its maxDataAge, takes no "
        "new risk. 60x: sixty times real time.",
    )

    @rule(
        cel="(size(self.datasetRefs) > 0) != (size(self.files) > 0)",
        message="a replay plays datasets or files: give exactly one of datasetRefs and files",
        field="datasetRefs",
    )
    def _one_source(self) -> bool:
        return bool(self.dataset_refs) != bool(self.files)

    @property
    def is_lockstep(self) -> bool:
        """Whether the bots set the pace."""
        return self.speed == LOCKSTEP

    @property
    def pace(self) -> float | None:
        """Market seconds per second; None when the clock does not set the pace (lockstep, max)."""
        return None if self.speed in (LOCKSTEP, MAX_SPEED) else float(self.speed.removesuffix("x"))


class SocialFeed(Model):
    """Posts of people and accounts, as signals."""

    sources: Many[PluginReference] = Field(
        min_length=1, max_length=SOURCES_MAX, description="Where posts are read, with the parameters of each source."
    )
    accounts: ManyDistinct[str] = Field(
        default=(), max_length=ACCOUNTS_MAX, description="Whose posts to read. Default: all that the sources give."
    )


class FeedSpec(Model):
    """What the feed should bring. Exactly one of market, replay and social says from where."""

    exchange_ref: Reference | None = Field(
        default=None, description="The Exchange whose market this is. Required for market and replay. Cannot change."
    )
    instruments: ManyDistinct[InstrumentSymbol] = Field(
        default=(),
        max_length=INSTRUMENTS_MAX,
        description="Which instruments to bring. Default: all of the replay's data, or of the Exchange.",
    )
    intervals: ManyDistinct[Interval] = Field(
        default=(),
        max_length=INTERVALS_MAX,
        description="Which lengths of bars to bring. Default: those of the replay's data; 1m from a live market.",
    )
    market: MarketFeed | None = Field(default=None, description="Live market data of the Exchange.")
    replay: Replay | None = Field(default=None, description="History, played again as if it happened now.")
    social: SocialFeed | None = Field(default=None, description="Posts of people and accounts, as signals.")
    suspend: bool = Field(default=False, description="true: the feed stops; bots wait, and data that is old counts as.")

    @rule(
        cel="(has(self.market) ? 1 : 0) + (has(self.replay) ? 1 : 0) + (has(self.social) ? 1 : 0) == 1",
        message="a feed is of one sort: give exactly one of market, replay, social",
    )
    def _one_sort(self) -> bool:
        return sum(each is not None for each in (self.market, self.replay, self.social)) == 1

    @rule(
        cel="has(self.social) || has(self.exchangeRef)",
        message="a feed of market data needs exchangeRef, the Exchange whose market it is",
        field="exchangeRef",
    )
    def _market_has_an_exchange(self) -> bool:
        return self.social is not None or self.exchange_ref is not None

    @rule(
        cel="!has(self.social) || (!has(self.exchangeRef) && size(self.instruments) == 0 && size(self.intervals) == 0)",
        message="a social feed brings posts: take out exchangeRef, instruments and intervals",
        field="social",
    )
    def _posts_have_no_market(self) -> bool:
        return self.social is None or not (self.exchange_ref or self.instruments or self.intervals)

    @transition(
        cel="has(self.exchangeRef) == has(oldSelf.exchangeRef) && "
        "(!has(self.exchangeRef) || self.exchangeRef.name == oldSelf.exchangeRef.name)",
        message="exchangeRef cannot change, bots read this feed as that market: create another Feed",
        field="exchangeRef",
    )
    def _exchange_stays(self, old: "FeedSpec") -> bool:
        return self.exchange_ref == old.exchange_ref


class FeedStatus(Status):
    """What the feed is bringing."""

    bots: Whole | None = Field(default=None, description="TradingBots that read the feed.")
    bars: Whole | None = Field(default=None, description="Closed bars brought so far.")
    market_time: str | None = Field(default=None, description="Market time that the feed has reached, UTC.")
    progress_percent: Whole | None = Field(
        default=None, description="How far a replay is in the market time of its Datasets; 100 when it has ended."
    )
    synthetic: bool | None = Field(default=None, description="Whether the data is made up.")


class Feed(Resource):
    """What brings market data (or posts) into the fleet, live or replayed from history."""

    names: ClassVar[KindNames] = KindNames(plural="feeds", short="fd")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Exchange", path=".spec.exchangeRef.name", description="Whose market it is."),
        PrinterColumn(name="Speed", path=".spec.replay.speed", description="Speed of a replay."),
        PrinterColumn(name="Bars", path=".status.bars", description="Closed bars so far.", type="integer"),
        PrinterColumn(name="Market", path=".status.marketTime", description="Market time reached."),
        PrinterColumn(
            name="Progress",
            path=".status.progressPercent",
            description="How far, in percent.",
            type="integer",
            priority=1,
        ),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["Feed"] = Field(default="Feed", description="Feed.")
    spec: FeedSpec = Field(description="What the feed should bring.")
    status: FeedStatus = Field(default=FeedStatus(), description="What the feed is doing; written by the fleet.")

    @property
    def exchange_key(self) -> ResourceKey | None:
        """The Exchange whose market this is, None for posts."""
        reference = self.spec.exchange_ref
        return None if reference is None else ResourceKey("Exchange", self.metadata.namespace, reference.name)

    @property
    def plays(self) -> bool:
        """Whether it replays history, and is not suspended."""
        return self.spec.replay is not None and not self.spec.suspend
