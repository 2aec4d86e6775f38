"""Which bars a series has, as stretches without a gap: what a dataset keeps, and what its gaps follow from."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tradefleet.domain.bar import Bar


class Stretch(NamedTuple):
    """Bars without a gap; both ends are open times of bars that are there."""

    first_us: int
    last_us: int


class Coverage:
    """Collects the stretches of a series whose bars come in the order of time, each once."""

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us
        self._stretches: list[Stretch] = []
        self._first_us = 0
        self._next_us = -1

    def watch(self, bars: Iterable[Bar]) -> Iterator[Bar]:
        """Yield `bars` as they are, and take note of them."""
        for bar in bars:
            open_us = bar.open_us
            if open_us != self._next_us:
                self._close()
                self._first_us = open_us
            self._next_us = open_us + self._interval_us
            yield bar
        self._close()

    def _close(self) -> None:
        if self._next_us >= 0:
            self._stretches.append(Stretch(self._first_us, self._next_us - self._interval_us))
            self._next_us = -1

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The stretches so far, but for one that is still growing."""
        return tuple(self._stretches)


def join_stretches(stretches: Iterable[Stretch], interval_us: int) -> tuple[Stretch, ...]:
    """Return the stretches that `stretches`, which may overlap or touch, make together; sorted."""
    joined: list[Stretch] = []
    for stretch in sorted(stretches):
        if joined and stretch.first_us <= joined[-1].last_us + interval_us:
            joined[-1] = Stretch(joined[-1].first_us, max(joined[-1].last_us, stretch.last_us))
        else:
            joined.append(stretch)
    return tuple(joined)


def bars_in(stretches: Iterable[Stretch], interval_us: int) -> int:
    """Return how many bars stretches of their own hold."""
    return sum((last_us - first_us) // interval_us + 1 for first_us, last_us in stretches)


def gaps_between(stretches: Sequence[Stretch], interval_us: int) -> list[tuple[int, int]]:
    """Return each gap as the open time of the first bar that is missing and of the next that is there."""
    return [(before.last_us + interval_us, after.first_us) for before, after in pairwise(stretches)]


def only_covered(bars: Iterable[Bar], stretches: Sequence[Stretch]) -> Iterator[Bar]:
    """Yield those of `bars`, which come in the order of time, that lie in one of `stretches`."""
    remaining = iter(stretches)
    stretch = next(remaining, None)
    for bar in bars:
        while stretch is not None and bar.open_us > stretch.last_us:
            stretch = next(remaining, None)
        if stretch is None:
            return
        if bar.open_us >= stretch.first_us:
            yield bar
