"""Candles into files that an import reads again: the same bars, to the last bit, with the same content hash."""

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tradefleet.domain.bar import Bar, format_interval
from workloads.feeds.errors import DatasetChange
from workloads.feeds.ports import BarSource, SourceDescription

HEADER: Final = "open_time,open,high,low,close,volume\n"
MADE_UP: Final = "synthetic"  # the venue in the name of a file that counts as made up


def file_name(description: SourceDescription, dataset: str) -> str:
    """Return the name by which an import knows instrument and interval, and made-up candles as such."""
    venue = MADE_UP if description.is_synthetic else dataset.rpartition("/")[2]
    return f"{venue}_{description.symbol}_{format_interval(description.interval_us)}.csv.gz"


def write_candles(source: BarSource, path: Path) -> int:
    """Write a source's bars whole, or nothing; return how many there were. Raises DatasetChange if the file exists."""
    if path.exists():
        raise DatasetChange(f"{path}: is there already, and nothing is written over: move it, or name another folder")
    unfinished = path.with_name(f".{path.name}.partial")
    count = 0
    try:
        # Without the time of its writing in it, the same content makes the same file.
        with unfinished.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
            packed.write(HEADER.encode())
            for line in _lines(source.bars()):
                packed.write(line.encode())
                count += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _lines(bars: Iterable[Bar]) -> Iterator[str]:
    for bar in bars:
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        yield f"{bar.open_us},{','.join(repr(float(value)) for value in prices)}\n"
