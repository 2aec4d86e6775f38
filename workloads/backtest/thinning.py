"""Long series made short enough to draw, without hiding what was extreme.

A curve keeps the lowest and the highest of every stretch; candles are joined into longer ones. Nothing is averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tradefleet.domain.bar import Bar


def kept_places(curves: Sequence[Sequence[float]], stretches: int) -> list[int]:
    """Return which places of some curves of equal length to draw, so that no extreme of any of them is lost.

    The length is cut into `stretches`; of each the first and last place are kept, and where each curve is lowest and
    highest. Short curves are kept whole.
    """
    length = len(curves[0]) if curves else 0
    most = stretches * 2 * (len(curves) + 1)
    if length <= most:
        return list(range(length))
    kept: list[int] = []
    for number in range(stretches):
        start, end = length * number // stretches, length * (number + 1) // stretches
        places = {start, end - 1}
        for curve in curves:
            part = curve[start:end]
            places.add(start + part.index(min(part)))
            places.add(start + part.index(max(part)))
        kept += sorted(places)
    return kept


@dataclass(slots=True)
class Candles:
    """The candles of one instrument, at most `limit` of them: when there are more, each two become one.

    `width_us` is the length of a candle; it opens at a multiple of it. Bars come in the order of time.
    """

    interval_us: int
    limit: int
    width_us: int = 0
    open_us: list[int] = field(default_factory=list)
    opens: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    closes: list[float] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.width_us = self.interval_us

    def __len__(self) -> int:
        return len(self.open_us)

    @property
    def bars_each(self) -> int:
        """How many bars one candle stands for."""
        return self.width_us // self.interval_us

    def add(self, bar: Bar) -> None:
        """Take the next bar."""
        self._join(bar.open_us, bar.open, bar.high, bar.low, bar.close, bar.volume)
        if len(self.open_us) > self.limit:
            self._halve()

    def _join(self, open_us: int, opened: float, high: float, low: float, close: float, volume: float) -> None:
        start_us = open_us - open_us % self.width_us
        if self.open_us and self.open_us[-1] == start_us:
            self.highs[-1] = max(self.highs[-1], high)
            self.lows[-1] = min(self.lows[-1], low)
            self.closes[-1] = close
            self.volumes[-1] += volume
            return
        self.open_us.append(start_us)
        self.opens.append(opened)
        self.highs.append(high)
        self.lows.append(low)
        self.closes.append(close)
        self.volumes.append(volume)

    def _halve(self) -> None:
        """Double the length of the candles, until there are few enough: gaps may keep some from meeting."""
        while len(self.open_us) > self.limit:
            rows = list(zip(self.open_us, self.opens, self.highs, self.lows, self.closes, self.volumes, strict=True))
            self.width_us *= 2
            for column in (self.open_us, self.opens, self.highs, self.lows, self.closes, self.volumes):
                column.clear()
            for row in rows:
                self._join(*row)
