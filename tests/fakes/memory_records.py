"""Recorded market data in memory, under the contract of the one in Postgres."""

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import Retryable
from workloads.feeds.recorder import ClosedBar, MarketTrade, RecordBatch, Ticker


class MemoryRecords:
    """Implements `RecordStore`. While `is_away`, nothing can be written."""

    def __init__(self) -> None:
        self.bars: dict[tuple[str, str, int, int], Bar] = {}
        self.tickers: dict[tuple[str, str, int, int], Ticker] = {}
        self.trades: dict[tuple[str, str, str], MarketTrade] = {}
        self.batches = 0
        self.is_away = False

    def write(self, batch: RecordBatch) -> list[ClosedBar]:
        if self.is_away:
            raise Retryable("memory: away")
        self.batches += 1
        for ticker in batch.tickers:
            self.tickers.setdefault(ticker[:4], ticker)
        for trade in batch.trades:
            self.trades.setdefault(trade[:3], trade)
        conflicts = []
        for closed in batch.bars:
            key = (closed.exchange, closed.bar.symbol, closed.bar.interval_us, closed.bar.open_us)
            if self.bars.setdefault(key, closed.bar) != closed.bar:
                conflicts.append(closed)
        return conflicts

    def recorded(self) -> tuple[list[Bar], list[Ticker], list[MarketTrade]]:
        """Return everything, sorted; for tests."""
        return sorted(self.bars.values()), sorted(self.tickers.values()), sorted(self.trades.values())
