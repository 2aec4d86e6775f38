"""Candle import beside a bare psycopg COPY of the same file straight into the table of bars.

The peer reads the CSV file with the standard library and copies its rows as they are: no check, no gap, no hash, no
way to repeat it. Both write the same table with the same index, and commit. Run: python bench/candle_import.py
"""

import csv
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import psycopg
from governor.local.database import Database

from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.ids import Symbol
from tradefleet.store import schema
from workloads.feeds.adapters.datasets import PostgresDatasets
from workloads.feeds.importing import import_sources
from workloads.feeds.ports import DatasetKey, DatasetTarget
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource

LIMIT = 2.0  # times the peer
BARS = 100_000
ROUNDS = 5
SYMBOL = Symbol("BTC-USD")
START_US = 1_704_067_200_000_000  # 2024-01-01

_COPY = "COPY tradefleet.bar (fleet, exchange, symbol, interval_us, open_us, open, high, low, close, volume) FROM STDIN"


def make_file(folder: Path) -> Path:
    """Return a gzip CSV file of made-up candles."""
    source = SyntheticSource(
        SyntheticInstrument(symbol=SYMBOL, start_price=Decimal(40_000)),
        seed=1,
        interval_us=MINUTE_US,
        start_us=START_US,
        bars=BARS,
    )
    path = folder / f"synthetic_{SYMBOL}_1m.csv.gz"
    with gzip.open(path, "wt", encoding="ascii", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["open_time", "open", "high", "low", "close", "volume"])
        writer.writerows([bar.open_us // 1_000, *bar[3:]] for bar in source.bars())
    return path


def bare_copy(url: str, path: Path, exchange: str) -> None:
    """What a plain script would do."""
    with (
        gzip.open(path, "rt", encoding="ascii", newline="") as file,
        psycopg.connect(url) as connection,
        connection.cursor().copy(_COPY) as copy,
    ):
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            copy.write_row(("bench", exchange, SYMBOL, MINUTE_US, int(row[0]) * 1_000, *row[1:]))


def our_import(url: str, path: Path, dataset: str) -> None:
    """What `tradefleet data import` does."""
    store = PostgresDatasets(url, fleet="bench")
    target = DatasetTarget(dataset=DatasetKey(f"bench/{dataset}"), is_synthetic=True)
    report = import_sources(store, target, [open_file(path)])
    store.close()
    assert report.added == BARS, report


def seconds(work: Callable[[], None]) -> float:
    """Return how long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def running_database(folder: Path) -> Iterator[str]:
    """Yield the URL of a Postgres with our schema."""
    database = Database(folder / "postgres")
    database.start()
    try:
        schema.upgrade(database.dsn())
        yield database.dsn()
    finally:
        database.stop()


def measure() -> tuple[float, float]:
    """Return the median seconds of our import and of the bare COPY, taken in turns: both see the same machine."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as name, running_database(Path(name)) as url:
        path = make_file(Path(name))
        for number in range(ROUNDS):
            bare.append(seconds(partial(bare_copy, url, path, f"bench/bare-{number}")))
            ours.append(seconds(partial(our_import, url, path, f"ours-{number}")))
    return statistics.median(ours), statistics.median(bare)


def main() -> int:
    """Print the figures; 1 when the limit is missed."""
    ours, bare = measure()
    ratio = ours / bare
    print(f"candle import: {BARS:,} bars, median of {ROUNDS}")
    print(f"  tradefleet data import   {ours:6.3f} s   {BARS / ours:10,.0f} bars/s")
    print(f"  bare psycopg COPY        {bare:6.3f} s   {BARS / bare:10,.0f} bars/s")
    print(f"  ratio {ratio:.2f} (limit {LIMIT:.1f})")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
