"""Candle import beside a bare psycopg COPY of the same file straight into the table of bars.

The peer reads the CSV file with the standard library and copies its rows as they are: no check, no gap, no hash, no
way to repeat it. Both write the same table with the same index, and commit. Run alone: python -m bench.candle_import
"""

import csv
import gzip
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import psycopg
from governor.local.database import Database

from bench.figure import Result, seconds, spread, tell
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


def measure() -> tuple[list[float], list[float]]:
    """Return the seconds of our imports and of the bare COPYs, taken in turns: both see the same machine."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as name, running_database(Path(name)) as url:
        path = make_file(Path(name))
        for number in range(ROUNDS):
            bare.append(seconds(partial(bare_copy, url, path, f"bench/bare-{number}")))
            ours.append(seconds(partial(our_import, url, path, f"ours-{number}")))
    return ours, bare


def main() -> int:
    """Tell of the figure; 1 when the limit is missed."""
    ours, bare = measure()
    ratio = statistics.median(ours) / statistics.median(bare)
    return tell(
        Result(
            name="Candle import",
            goal=f"≤ {LIMIT:g}× the time of a bare psycopg COPY",
            found=f"{ratio:.2f}×",
            is_met=ratio <= LIMIT,
            numbers=(
                f"tradefleet data import  {spread(ours)} s, {BARS / statistics.median(ours):,.0f} bars/s",
                f"bare psycopg COPY       {spread(bare)} s, {BARS / statistics.median(bare):,.0f} bars/s",
                f"{BARS:,} bars from a gzip CSV file, {ROUNDS} runs each",
            ),
        )
    )


if __name__ == "__main__":
    raise SystemExit(main())
