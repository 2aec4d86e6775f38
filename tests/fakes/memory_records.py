"""Recorded ticks in memory, under the contract of the one in Postgres."""

from tradefleet.domain.errors import Retryable
from workloads.feeds.recorder import MarketTrade, RecordBatch, Ticker


class MemoryRecords:
    """Implements `RecordStore`. While `is_away`, nothing can be written."""

    def __init__(self) -> None:
        self.tickers: dict[tuple[str, str, int, int], Ticker] = {}
        self.trades: dict[tuple[str, str, str], MarketTrade] = {}
        self.batches = 0
        self.is_away = False

    def write(self, batch: RecordBatch) -> None:
        if self.is_away:
            raise Retryable("memory: away")
        self.batches += 1
        for ticker in batch.tickers:
            self.tickers.setdefault(ticker[:4], ticker)
        for trade in batch.trades:
            self.trades.setdefault(trade[:3], trade)

    def recorded(self) -> tuple[list[Ticker], list[MarketTrade]]:
        """Return everything, sorted; for tests."""
        return sorted(self.tickers.values()), sorted(self.trades.values())
