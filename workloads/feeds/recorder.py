"""Ticks as they come, kept in batches. Bars are committed by their feed before they are published (rule 6).

Writing the same tick again changes nothing, so whoever feeds the recorder may begin again a little earlier after a
crash: what was taken and not yet written is lost with the process, and comes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import Side

BATCH_MAX = 1_000  # ticks that are held at most
LINGER_US = 500_000  # how long a tick waits for others


class Ticker(NamedTuple):
    """Best prices at a time. `seq` tells two of the same microsecond apart."""

    exchange: str
    symbol: Symbol
    event_us: int
    seq: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    last: float


class MarketTrade(NamedTuple):
    """A public trade, by the venue's id."""

    exchange: str
    symbol: Symbol
    trade_id: str
    event_us: int
    price: float
    size: float
    taker_side: Side


Tick = Ticker | MarketTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """Ticks to write together."""

    tickers: Sequence[Ticker] = ()
    trades: Sequence[MarketTrade] = ()


class RecordStore(Protocol):
    """Keeps ticks."""

    def write(self, batch: RecordBatch) -> None:
        """Write in one transaction what is not stored yet. Raises Retryable, OutcomeUnknown: write it again."""


class Recorder:
    """Collects ticks and writes them when there are many, or when the first has waited long enough.

    After an error the batch is still there, and `flush` tries it again.
    """

    def __init__(self, store: RecordStore, *, batch_max: int = BATCH_MAX, linger_us: int = LINGER_US) -> None:
        self._store = store
        self._batch_max = batch_max
        self._linger_us = linger_us
        self._waiting: list[Tick] = []
        self._first_us = 0
        self.written = 0

    def take(self, tick: Tick, now_us: int) -> None:
        """Take a tick. With a full batch at hand that is written first, so no more than `batch_max` are ever held."""
        if len(self._waiting) >= self._batch_max:
            self.flush()
        if not self._waiting:
            self._first_us = now_us
        self._waiting.append(tick)
        self.write_due(now_us)

    def write_due(self, now_us: int) -> None:
        """Write the batch if it is full or old enough; to be called when nothing comes, too."""
        if len(self._waiting) >= self._batch_max or (self._waiting and now_us - self._first_us >= self._linger_us):
            self.flush()

    def flush(self) -> None:
        """Write what is waiting. Raises Retryable, OutcomeUnknown, with the batch still waiting."""
        if not self._waiting:
            return
        batch = RecordBatch(
            tickers=[each for each in self._waiting if isinstance(each, Ticker)],
            trades=[each for each in self._waiting if isinstance(each, MarketTrade)],
        )
        self._store.write(batch)
        self.written += len(self._waiting)
        self._waiting.clear()

    def drop(self) -> None:
        """Forget what is waiting: whoever begins again takes it again."""
        self._waiting.clear()
