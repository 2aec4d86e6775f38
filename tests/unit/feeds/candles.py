"""Candles for the tests of feeds, made here."""

import csv
import gzip
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import Symbol
from workloads.feeds.ports import SourceDescription

BTC = Symbol("BTC-USD")
START_US = 1_522_800_000_000_000  # 2018-04-04T00:00:00Z
HEADER = ("open_time", "open", "high", "low", "close", "volume")


def bar(minute: int, *, close: float = 100.5, symbol: Symbol = BTC, volume: float = 1.5) -> Bar:
    """Return a bar of one minute; its close may lie anywhere between 99 and 102."""
    return Bar(symbol, MINUTE_US, START_US + minute * MINUTE_US, 100.0, 102.0, 99.0, close, volume)


def bars(minutes: Iterable[int], symbol: Symbol = BTC) -> list[Bar]:
    """Return bars at these minutes, each with a close of its own."""
    return [bar(minute, close=99.0 + minute % 300 / 100, symbol=symbol) for minute in minutes]


def description(label: str = "candles", symbol: Symbol = BTC, interval_us: int = MINUTE_US) -> SourceDescription:
    return SourceDescription(label=label, symbol=symbol, interval_us=interval_us)


def cells(each: Bar, divisor: int = 1_000) -> list[str]:
    """Return a bar as a CSV row; the open time in milliseconds unless another divisor is given."""
    return [str(each.open_us // divisor), *(repr(value) for value in each[3:])]


def csv_text(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER, delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def write_csv(path: Path, content: Iterable[Bar]) -> Path:
    """Write bars as CSV, gzip when the name says so."""
    data = csv_text(map(cells, content)).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


PRICES = st.floats(min_value=1e-8, max_value=1e8, allow_subnormal=False)


@st.composite
def series(draw: st.DrawFn, *, size_max: int = 30, symbol: Symbol = BTC) -> list[Bar]:
    """Sound bars of one minute, in order, with gaps."""
    skips = draw(st.lists(st.integers(1, 3), min_size=1, max_size=size_max))
    # The first step is a whole one, or a source of nothing but regular gaps would rightly be refused.
    minutes = [0, 1, *(1 + sum(skips[: count + 1]) for count in range(len(skips)))]
    made = []
    for minute in minutes:
        low, middle, other, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
        volume = draw(st.floats(min_value=0.0, max_value=1e12))
        first, last = (middle, other) if draw(st.booleans()) else (other, middle)
        made.append(Bar(symbol, MINUTE_US, START_US + minute * MINUTE_US, first, high, low, last, math.fabs(volume)))
    return made
