"""Replay: several sources merged into the steps of one market, and when each step is due.

A step is one distinct market time, that of the close of its bars; within it bars go by symbol and interval (rule 20).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from tradefleet.domain.times import format_time
from workloads.feeds.aggregation import Incomplete, aggregate
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.findings import Findings
from workloads.feeds.ports import BarSource

LOCKSTEP: Final = "lockstep"  # the next step comes when all bots are done with this one
MAX_SPEED: Final = "max"  # the next step comes at once
PPM: Final = 1_000_000  # speeds are kept in millionths, so that a schedule is integer arithmetic
_SPEED: Final = re.compile(r"([1-9][0-9]{0,4})(?:[.]([0-9]{1,3}))?x", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of the sources is played.

    A bar belongs to the range when it lies in it whole: `from_us` <= open and close <= `to_us`. No symbols or
    intervals means all that the sources have. An interval that no source of an instrument has is derived from the
    finest one that divides it, by the rule of `aggregation`.
    """

    from_us: int | None = None
    to_us: int | None = None
    symbols: frozenset[Symbol] = frozenset()
    intervals_us: frozenset[int] = frozenset()
    incomplete: Incomplete = Incomplete.SKIP


class Replay:
    """Recorded market data as steps, the same at every call."""

    def __init__(self, sources: Sequence[BarSource], selection: Selection | None = None) -> None:
        self.sources = tuple(sources)
        self._selection = selection or Selection()

    @property
    def is_synthetic(self) -> bool:
        """True when any of the data is made up; whatever shows a result of it must say so."""
        return any(source.description.is_synthetic for source in self.sources)

    def steps(self, findings: Findings | None = None) -> Iterator[tuple[int, list[Bar]]]:
        """Yield (market_us, bars that close then), in the order of time and in bounded memory.

        Several sources of the same instrument and interval are merged; a bar that two of them have must be the same.
        Raises BrokenData, UnusableSource.
        """
        chosen = self._selection
        series = [_in_range(bars, chosen) for bars in _series(self.sources, chosen, findings)]
        for market_us, group in groupby(merge(*map(_keyed, series)), key=_market_us):
            yield market_us, [bar for _, _, _, bar in group]

    def origin(self, symbol: Symbol) -> str:
        """Return what the bars of an instrument are read from: the labels of its sources."""
        labels = [source.description.label for source in self.sources if source.description.symbol == symbol]
        return ", ".join(dict.fromkeys(labels))


def merge_series(sources: Sequence[BarSource], findings: Findings | None = None) -> Iterator[Bar]:
    """Yield the bars of sources of one instrument and interval by time, each once.

    Raises BrokenData, naming both sources, for a bar of which they say different things.
    """
    if len(sources) == 1:
        yield from sources[0].bars(findings)
        return
    last: Bar | None = None
    last_place = 0
    streams = [_placed(source.bars(findings), place) for place, source in enumerate(sources)]
    for _, place, bar in merge(*streams):
        if last is not None and bar.open_us == last.open_us:
            if bar != last:
                raise BrokenData(
                    f"{sources[place].description.label}: the bar of {bar.symbol} at {format_time(bar.open_us)} is "
                    f"not that of {sources[last_place].description.label}: {bar[3:]} and {last[3:]}; take one of the "
                    "two out"
                )
            continue
        last, last_place = bar, place
        yield bar


def series_of(sources: Iterable[BarSource]) -> dict[tuple[Symbol, int], list[BarSource]]:
    """Return the sources by (symbol, interval), sorted."""
    found: dict[tuple[Symbol, int], list[BarSource]] = {}
    for source in sources:
        found.setdefault((source.description.symbol, source.description.interval_us), []).append(source)
    return dict(sorted(found.items()))


def _series(sources: Sequence[BarSource], chosen: Selection, findings: Findings | None) -> list[Iterator[Bar]]:
    """Return one iterator for each series that is to be played, derived ones included."""
    there = series_of(sources)
    symbols = sorted(chosen.symbols or {symbol for symbol, _ in there})
    played = []
    for symbol in symbols:
        own = sorted(interval_us for each, interval_us in there if each == symbol)
        if not own:
            raise UnusableSource(
                f"replay: no source has {symbol}; there are {', '.join(sorted({each for each, _ in there})) or 'none'}"
            )
        for interval_us in sorted(chosen.intervals_us or own):
            if interval_us in own:
                played.append(merge_series(there[symbol, interval_us], findings))
                continue
            finer = next((each for each in own if interval_us > each and interval_us % each == 0), None)
            if finer is None:
                raise UnusableSource(
                    f"replay: {symbol} has bars of {', '.join(format_interval(each) for each in own)}, from which "
                    f"{format_interval(interval_us)} cannot be made; bring a source with it, or ask for a multiple"
                )
            parts = _in_range(merge_series(there[symbol, finer], findings), chosen)
            played.append(aggregate(parts, interval_us, incomplete=chosen.incomplete))
    return played


def _in_range(bars: Iterator[Bar], chosen: Selection) -> Iterator[Bar]:
    """Yield the bars that lie whole in the range; sources are sorted, so the first one after it ends the reading."""
    from_us, to_us = chosen.from_us, chosen.to_us
    if from_us is None and to_us is None:
        yield from bars
        return
    for bar in bars:
        if to_us is not None and bar.open_us + bar.interval_us > to_us:
            return
        if from_us is None or bar.open_us >= from_us:
            yield bar


def _keyed(bars: Iterator[Bar]) -> Iterator[tuple[int, Symbol, int, Bar]]:
    for bar in bars:
        yield bar.open_us + bar.interval_us, bar.symbol, bar.interval_us, bar


_market_us = itemgetter(0)


def _placed(bars: Iterator[Bar], place: int) -> Iterator[tuple[int, int, Bar]]:
    for bar in bars:
        yield bar.open_us, place, bar


class Schedule:
    """When steps are due on a clock, at a multiple of real time: the first one that is asked for is due at once.

    So a replay that carries on after a stop does not hurry to catch up. A gap in the data takes as long as it took.
    """

    def __init__(self, speed_ppm: int, now_us: Callable[[], int]) -> None:
        self._speed_ppm = speed_ppm
        self._now_us = now_us
        self._anchor: tuple[int, int] | None = None  # market time and clock time of the first step

    def due_us(self, market_us: int) -> int:
        """Return the time on the clock at which the step of `market_us` is due."""
        if self._anchor is None:
            self._anchor = (market_us, self._now_us())
        start_market_us, start_us = self._anchor
        return due_us(market_us, start_market_us=start_market_us, start_us=start_us, speed_ppm=self._speed_ppm)


def due_us(market_us: int, *, start_market_us: int, start_us: int, speed_ppm: int) -> int:
    """Return when the step of `market_us` is due, for a replay that stood at `start_market_us` at `start_us`."""
    return start_us + (market_us - start_market_us) * PPM // speed_ppm


def parse_speed(text: str) -> int | None:
    """Return a speed such as `60x` in millionths of real time; None for `lockstep` and `max`, which need no clock.

    Raises InvalidValue.
    """
    if text in (LOCKSTEP, MAX_SPEED):
        return None
    found = _SPEED.fullmatch(text)
    if found is None:
        raise InvalidValue(f"speed must be lockstep, max or a multiple of real time such as 60x, was {text!r}")
    return int(found[1]) * PPM + int((found[2] or "").ljust(6, "0"))
