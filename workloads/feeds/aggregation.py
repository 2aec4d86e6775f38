"""Coarser bars from finer ones: 5m, 15m, 1h from 1m.

The rule: a derived bar stands for the whole of its interval, so it is made only when every finer bar of it is there.
An interval in which a bar is missing gives none, unless `Incomplete.KEEP` asks for what is there: then it is made of
the bars that are there, at least one. Nothing is filled in either way.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.errors import InvalidValue


class Incomplete(StrEnum):
    """What becomes of an interval in which finer bars are missing."""

    SKIP = "skip"
    KEEP = "keep"


def aggregate(bars: Iterable[Bar], interval_us: int, *, incomplete: Incomplete = Incomplete.SKIP) -> Iterator[Bar]:
    """Yield the bars of `interval_us` that `bars` of one instrument, sorted by time, make; sorted by time, too.

    A complete bar comes as soon as its last part is there; an incomplete one before the first part of the next, or at
    the end. Raises InvalidValue when the interval is not a multiple of the parts'.
    """
    parts: list[Bar] = []
    end_us = 0
    for bar in bars:
        if interval_us % bar.interval_us or interval_us == bar.interval_us:
            raise InvalidValue(
                f"bars of {bar.symbol}: {format_interval(interval_us)} cannot be made of "
                f"{format_interval(bar.interval_us)}: it must be a multiple"
            )
        if parts and bar.open_us >= end_us:
            if incomplete is Incomplete.KEEP:
                yield _join(parts, interval_us)
            parts = []
        if not parts:
            end_us = bar.open_us - bar.open_us % interval_us + interval_us
        parts.append(bar)
        if len(parts) == interval_us // bar.interval_us:
            yield _join(parts, interval_us)
            parts = []
    if parts and incomplete is Incomplete.KEEP:
        yield _join(parts, interval_us)


def _join(parts: list[Bar], interval_us: int) -> Bar:
    first = parts[0]
    volume = 0.0
    for part in parts:  # in the order of time: a sum of doubles depends on it
        volume += part.volume
    return Bar(
        first.symbol,
        interval_us,
        first.open_us - first.open_us % interval_us,
        first.open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        volume,
    )
