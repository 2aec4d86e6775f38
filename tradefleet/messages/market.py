"""Market data messages. Prices are doubles in quote per base, sizes doubles in base."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from tradefleet.domain.orders import Side
from tradefleet.messages.fields import DurationUs, MarketPrice, MarketSize, Message, Part, TimeUs


class MarketMessage(Message, frozen=True, kw_only=True, gc=False):
    """What all market data says first."""

    exchange: Annotated[str, Meta(description="Exchange as namespace/name")]
    symbol: Annotated[str, Meta(description="Instrument, such as BTC-USD")]


class OhlcMessage(MarketMessage, frozen=True, kw_only=True, gc=False):
    """Open, high, low, close and volume of one interval."""

    interval_us: DurationUs
    open_us: Annotated[TimeUs, Meta(description="Start of the interval, UTC microseconds")]
    open: MarketPrice
    high: MarketPrice
    low: MarketPrice
    close: MarketPrice
    volume: Annotated[MarketSize, Meta(description="Traded amount of base in the interval")]


class BarClosed(OhlcMessage, frozen=True, kw_only=True, gc=False):
    """A closed bar: it never changes. Its event time is its close; its stream is gapless."""


class BarUpdated(OhlcMessage, frozen=True, kw_only=True, gc=False):
    """The forming bar as it stands: to look at, never to decide on."""


class TickerChanged(MarketMessage, frozen=True, kw_only=True, gc=False):
    """Best bid and ask, and the last trade's price."""

    bid: MarketPrice
    bid_size: MarketSize
    ask: MarketPrice
    ask_size: MarketSize
    last: MarketPrice


class MarketTraded(MarketMessage, frozen=True, kw_only=True, gc=False):
    """A public trade of the venue."""

    trade_id: Annotated[str, Meta(description="The venue's id of the trade")]
    price: MarketPrice
    size: MarketSize
    taker_side: Annotated[Side, Meta(description="Side of the order that took liquidity")]


class BookLevel(Part, frozen=True, kw_only=True, gc=False):
    """What rests at one price. A size of 0 in a delta removes the level."""

    price: MarketPrice
    size: MarketSize


class BookKind(StrEnum):
    """Whether a book message replaces the book or changes it."""

    SNAPSHOT = "SNAPSHOT"
    DELTA = "DELTA"


class BookChanged(MarketMessage, frozen=True, kw_only=True, gc=False):
    """An L2 snapshot, or a delta to the book as it was after `previous_update`."""

    kind: BookKind
    previous_update: Annotated[int, Meta(description="Update number the delta follows; 0 for a snapshot")]
    last_update: Annotated[int, Meta(description="Update number the book has afterwards")]
    bids: Annotated[tuple[BookLevel, ...], Meta(description="Best first")]
    asks: Annotated[tuple[BookLevel, ...], Meta(description="Best first")]
