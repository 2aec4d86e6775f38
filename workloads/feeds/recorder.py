"""The recorder: market data as it comes, kept in batches. Ticks are recorded here only (rule 6); bars may be as well.

Writing the same record again changes nothing, so whoever feeds the recorder may begin again a little earlier after a
crash: what was taken and not yet written is lost with the process, and comes again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import Side

BATCH_MAX = 1_000  # records that are held at most
LINGER_US = 500_000  # how long a record waits for others


class ClosedBar(NamedTuple):
    """A closed bar of an exchange ("namespace/name")."""

    exchange: str
    bar: Bar


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


Record = ClosedBar | Ticker | MarketTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """Records to write together."""

    bars: Sequence[ClosedBar] = ()
    tickers: Sequence[Ticker] = ()
    trades: Sequence[MarketTrade] = ()


class RecordStore(Protocol):
    """Keeps market data."""

    def write(self, batch: RecordBatch) -> list[ClosedBar]:
        """Write in one transaction what is not stored yet.

        Returns the bars that are stored with another content: they were not written, and belong to the dead letters
        (rule 5). Raises Retryable, OutcomeUnknown: write the same batch again.
        """


class Recorder:
    """Collects records and writes them when there are many, or when the first has waited long enough.

    After an error the batch is still there, and `flush` tries it again. `on_conflict` is given each bar that is stored
    with another content.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        on_conflict: Callable[[ClosedBar], None],
        batch_max: int = BATCH_MAX,
        linger_us: int = LINGER_US,
    ) -> None:
        self._store = store
        self._on_conflict = on_conflict
        self._batch_max = batch_max
        self._linger_us = linger_us
        self._waiting: list[Record] = []
        self._first_us = 0
        self.written = 0

    def take(self, record: Record, now_us: int) -> None:
        """Take a record. With a full batch at hand that is written first, so no more than `batch_max` are ever held."""
        if len(self._waiting) >= self._batch_max:
            self.flush()
        if not self._waiting:
            self._first_us = now_us
        self._waiting.append(record)
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
            bars=[each for each in self._waiting if isinstance(each, ClosedBar)],
            tickers=[each for each in self._waiting if isinstance(each, Ticker)],
            trades=[each for each in self._waiting if isinstance(each, MarketTrade)],
        )
        conflicts = self._store.write(batch)
        self.written += len(self._waiting) - len(conflicts)
        self._waiting.clear()
        for conflict in conflicts:
            self._on_conflict(conflict)
