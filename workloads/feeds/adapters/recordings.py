"""Recordings in Postgres: datasets that grow with the bars that an exchange's feeds commit, and the ticks beside them.

The bars themselves are there already, committed by their feed; a recording says which of them it holds. What it holds
up to some number of a stream is the same whoever looks, so of two recorders that write at once the one that is further
on is right, and neither needs a lease.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import StreamName, Symbol
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.streams import PostgresStreams
from workloads.feeds.errors import DatasetChange
from workloads.feeds.ports import DatasetSeries, DatasetTarget

PAGE_BARS: Final = 10_000

_CLAIM: Final = """
WITH made AS (
    INSERT INTO tradefleet.dataset (fleet, dataset, exchange, is_synthetic, created_us)
    VALUES (%(fleet)s, %(dataset)s, %(exchange)s, %(is_synthetic)s, tradefleet.now_us())
    ON CONFLICT (fleet, dataset) DO NOTHING
)
SELECT exchange, is_synthetic FROM tradefleet.dataset WHERE fleet = %(fleet)s AND dataset = %(dataset)s"""

_PAGE: Final = """
SELECT open_us, open, high, low, close, volume FROM tradefleet.bar
WHERE fleet = %(fleet)s AND exchange = %(exchange)s AND symbol = %(symbol)s AND interval_us = %(interval_us)s
    AND open_us > %(after_us)s AND seq <= %(until)s
ORDER BY open_us LIMIT %(limit)s"""

_SAVE: Final = """
INSERT INTO tradefleet.dataset_series AS known (fleet, dataset, symbol, interval_us, bars, content_hash)
VALUES (%(fleet)s, %(dataset)s, %(symbol)s, %(interval_us)s, %(bars)s, %(content_hash)s)
ON CONFLICT (fleet, dataset, symbol, interval_us)
DO UPDATE SET bars = EXCLUDED.bars, content_hash = EXCLUDED.content_hash WHERE known.bars <= EXCLUDED.bars
RETURNING bars"""

_FORGET_COVERAGE: Final = """
DELETE FROM tradefleet.dataset_coverage WHERE fleet = %(fleet)s AND dataset = %(dataset)s AND symbol = %(symbol)s
    AND interval_us = %(interval_us)s"""

_SAVE_COVERAGE: Final = """
INSERT INTO tradefleet.dataset_coverage (fleet, dataset, symbol, interval_us, first_open_us, last_open_us, bars)
SELECT %(fleet)s, %(dataset)s, %(symbol)s, %(interval_us)s, first_us, last_us,
    (last_us - first_us) / %(interval_us)s + 1
FROM unnest(%(first_us)s::bigint[], %(last_us)s::bigint[]) AS stretch(first_us, last_us)"""

_NEWEST: Final = """
SELECT wanted.symbol, ticker.event_us, trade.event_us FROM unnest(%(symbols)s::text[]) AS wanted(symbol)
LEFT JOIN LATERAL (
    SELECT event_us FROM tradefleet.ticker WHERE fleet = %(fleet)s AND exchange = %(exchange)s
        AND symbol = wanted.symbol ORDER BY event_us DESC LIMIT 1) AS ticker ON true
LEFT JOIN LATERAL (
    SELECT event_us FROM tradefleet.market_trade WHERE fleet = %(fleet)s AND exchange = %(exchange)s
        AND symbol = wanted.symbol ORDER BY event_us DESC LIMIT 1) AS trade ON true"""


class PostgresRecordings:
    """Implements `RecordingStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._streams = PostgresStreams(session)

    def claim(self, target: DatasetTarget) -> None:
        """Make the dataset's row. Raises DatasetChange when a dataset of that name is of another origin."""
        values = self._names(target) | {"exchange": target.stored_under, "is_synthetic": target.is_synthetic}
        rows = self._session.commit(_CLAIM, values) or self._session.commit(_CLAIM, values)
        if rows[0] != (target.stored_under, target.is_synthetic):
            raise DatasetChange(
                f"dataset {target.dataset}: is there already, of other data: give the Dataset another name"
            )

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        """Return committed closed bars with their numbers, in the order of the stream."""
        return self._streams.read_bars(stream, after=after, limit=limit)

    def sorted_bars(self, exchange: str, symbol: Symbol, interval_us: int, *, until: int) -> Iterator[Bar]:
        """Yield the bars of a stream up to number `until` in the order of time, a page at a time."""
        place = {"fleet": self._session.fleet, "exchange": exchange, "symbol": symbol, "interval_us": interval_us}
        after_us = -1
        while True:
            page = self._session.read(_PAGE, place | {"after_us": after_us, "until": until, "limit": PAGE_BARS})
            for row in page:
                yield Bar(symbol, interval_us, *row)
            if len(page) < PAGE_BARS:
                return
            after_us = page[-1][0]

    def save(self, target: DatasetTarget, series: DatasetSeries) -> None:
        """Set what the recording holds of a series, unless somebody has set more."""
        names = self._names(target) | {"symbol": series.symbol, "interval_us": series.interval_us}
        ends = {
            "first_us": [stretch.first_us for stretch in series.stretches],
            "last_us": [stretch.last_us for stretch in series.stretches],
        }
        with self._session.transaction() as transaction:
            is_newest = transaction.run(
                _SAVE, names | {"bars": series.bars, "content_hash": series.content_hash}
            ).fetchall()
            if is_newest:
                transaction.run(_FORGET_COVERAGE, names)
                transaction.run(_SAVE_COVERAGE, names | ends)

    def newest_ticks(self, exchange: str, symbols: list[Symbol]) -> Mapping[Symbol, tuple[int, int]]:
        """Return the times of the last recorded ticker and trade of each symbol, 0 where there is none."""
        parameters = {"fleet": self._session.fleet, "exchange": exchange, "symbols": list(symbols)}
        rows = self._session.read(_NEWEST, parameters)
        return {Symbol(symbol): (ticker_us or 0, trade_us or 0) for symbol, ticker_us, trade_us in rows}

    def _names(self, target: DatasetTarget) -> dict[str, object]:
        return {"fleet": self._session.fleet, "dataset": target.dataset}
