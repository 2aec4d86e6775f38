"""The path of prices that a bar stands for (rule 22): O-L-H-C when close >= open, else O-H-L-C, in straight lines."""

from tradefleet.domain.bar import Bar
from tradefleet.domain.instrument import Instrument

Path = tuple[int, int, int, int]  # four prices in ticks, joined by three segments
Position = tuple[int, int]  # segment 0 to 2, and ticks travelled along it

AT_OPEN: Position = (0, 0)


def bar_path(bar: Bar, instrument: Instrument) -> Path:
    """Return the bar's prices in ticks, in the order in which they were reached; a price below half a tick is one."""
    first, last = instrument.nearest_ticks(bar.open), instrument.nearest_ticks(bar.close)
    low, high = instrument.nearest_ticks(bar.low), instrument.nearest_ticks(bar.high)
    rises = bar.close >= bar.open
    path = (first, low, high, last) if rises else (first, high, low, last)
    return path if low > 0 else (max(1, path[0]), max(1, path[1]), max(1, path[2]), max(1, path[3]))


def price_at(path: Path, position: Position) -> int:
    """Return the price in ticks at a position of the path."""
    segment, travelled = position
    start, end = path[segment], path[segment + 1]
    return start + travelled if end >= start else start - travelled


def first_reach(path: Path, level: int, *, falling: bool, start: Position = AT_OPEN) -> Position | None:
    """Return the first position, from `start` on, with a price at or below `level` (`falling`), or at or above it.

    None when the rest of the path does not get there.
    """
    price = price_at(path, start)
    if (price <= level) if falling else (price >= level):
        return start
    for segment in range(start[0], 3):
        end = path[segment + 1]
        if (end <= level) if falling else (end >= level):
            return segment, abs(level - path[segment])
    return None
