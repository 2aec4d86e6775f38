"""What a bot keeps per instrument: its bars so far, its indicators, and the sizer's unfinished business."""

from collections.abc import Callable
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig, SizingMethod
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.instrument import Instrument
from workloads.strategy.indicators.base import CloseIndicator, Indicator
from workloads.strategy.indicators.deviation import Volatility
from workloads.strategy.market_data import Book, Level, Tick
from workloads.strategy.sizer import Wish
from workloads.strategy.snapshot_values import JsonValue, decode_value, encode_value


class Track:
    """One instrument of one bot."""

    __slots__ = (
        "bar_feeds",
        "bars",
        "book",
        "close_feeds",
        "instrument",
        "last_bar",
        "pause_bars",
        "resume_bar",
        "sizer_order",
        "symbol",
        "tick",
        "volatility",
        "wish",
        "wish_bars",
    )

    def __init__(self, instrument: Instrument, config: BotConfig) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.bars = 0  # closed bars seen in this generation
        self.last_bar: Bar | None = None
        self.tick: Tick | None = None
        self.book: Book | None = None
        self.close_feeds: list[Callable[[float], None]] = []
        self.bar_feeds: list[Callable[[Bar], None]] = []
        self.wish: Wish | None = None
        self.wish_bars = 0  # bars since the wish was made or last got something
        self.sizer_order: ClientOrderId | None = None  # the sizer's open order: while it is open no other is made
        self.pause_bars = 0  # how long the sizer's buys rest after a refusal; doubles with each in a row
        self.resume_bar = 0  # they go on at this bar
        self.volatility: Volatility | None = None
        if config.sizing.method is SizingMethod.VOLATILITY_TARGET:
            self.volatility = Volatility(config.sizing.lookback_bars)
            self.feed(self.volatility)

    def feed(self, indicator: Indicator) -> None:
        """Give `indicator` each closed bar from now on."""
        if isinstance(indicator, CloseIndicator):
            self.close_feeds.append(indicator.add)
        else:
            self.bar_feeds.append(indicator.update)

    @property
    def price(self) -> float:
        """The close of the last bar. Raises InvalidValue before the first."""
        if self.last_bar is None:
            raise InvalidValue(f"instrument {self.symbol}: no bar has closed yet, so there is no price")
        return self.last_bar.close

    @property
    def mark_ticks(self) -> int:
        """The close of the last bar in ticks, at least one."""
        return max(1, self.instrument.nearest_ticks(self.price))

    def snapshot(self) -> dict[str, JsonValue]:
        """Return everything but the registered indicators, for JSON."""
        book = self.book
        return {
            "bars": self.bars,
            "last_bar": _save_tuple(self.last_bar),
            "tick": _save_tuple(self.tick),
            "book": None
            if book is None
            else [
                book.market_us,
                [_save_tuple(level) for level in book.bids],
                [_save_tuple(level) for level in book.asks],
            ],
            "wish": None if self.wish is None else list(self.wish),
            "wish_bars": self.wish_bars,
            "sizer_order": self.sizer_order,
            "pause_bars": self.pause_bars,
            "resume_bar": self.resume_bar,
            "volatility": None if self.volatility is None else self.volatility.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Become the track that wrote `saved`."""
        self.bars = saved["bars"]
        self.last_bar = None if saved["last_bar"] is None else Bar(*_load_tuple(saved["last_bar"]))
        self.tick = None if saved["tick"] is None else Tick(*_load_tuple(saved["tick"]))
        self.book = None
        if saved["book"] is not None:
            market_us, bids, asks = saved["book"]
            bids, asks = (tuple(Level(*_load_tuple(level)) for level in side) for side in (bids, asks))
            self.book = Book(self.symbol, market_us, bids, asks)
        self.wish = None if saved["wish"] is None else Wish(*saved["wish"])
        self.wish_bars = saved["wish_bars"]
        self.sizer_order = None if saved["sizer_order"] is None else ClientOrderId(saved["sizer_order"])
        self.pause_bars = saved["pause_bars"]
        self.resume_bar = saved["resume_bar"]
        if self.volatility is not None:
            self.volatility.restore(saved["volatility"])


def _save_tuple(values: tuple[object, ...] | None) -> JsonValue:
    return None if values is None else [encode_value(value) for value in values]


def _load_tuple(saved: list[JsonValue]) -> list[Any]:
    return [decode_value(value) for value in saved]
