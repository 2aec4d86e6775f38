"""The ground prices cover: average true range, rolling highest and lowest."""

import math

from tradefleet.domain.bar import Bar
from workloads.strategy.indicators.base import CloseIndicator, Indicator, check_period


class ATR(Indicator):
    """Average true range with Wilder's smoothing, in quote per base.

    Source: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); begun, as in TA-Lib, with the simple mean
    of the first `period` true ranges, the first of which is the second bar's.
    """

    __slots__ = ("_count", "_last", "_mean", "_period")

    def __init__(self, period: int = 14) -> None:
        super().__init__()
        self._period = check_period("ATR", period)
        self._last = math.nan
        self._count = 0
        self._mean = 0.0

    @property
    def warmup(self) -> int:
        """One more than the period: a true range needs the close before."""
        return self._period + 1

    def update(self, bar: Bar) -> None:
        """Take one closed bar."""
        last = self._last
        self._last = bar.close
        if math.isnan(last):
            return
        true_range = max(bar.high, last) - min(bar.low, last)
        if self._count < self._period:
            self._count += 1
        self._mean += (true_range - self._mean) / self._count
        if self._count == self._period:
            self.value = self._mean
            self.ready = True


class RollingMax(CloseIndicator):
    """The highest of the last `period` closes. Kept in blocks like SMA: O(1) a bar on average."""

    __slots__ = ("_block", "_head", "_index", "_period", "_tails")

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = check_period(type(self).__name__, period)
        self._block = [0.0] * period
        self._tails = [0.0] * period  # _tails[i]: the highest of _block[i:] of the last full block
        self._head = -math.inf
        self._index = 0

    @property
    def warmup(self) -> int:
        """The period."""
        return self._period

    def add(self, value: float) -> None:
        """Take the next number."""
        index = self._index
        self._block[index] = value
        index += 1
        head = value if value > self._head else self._head
        if index < self._period:
            self._head = head
            self._index = index
            if self.ready:
                tail = self._tails[index]
                self.value = tail if tail > head else head
            return
        self.value = head
        self.ready = True
        highest = -math.inf
        for place in range(self._period - 1, -1, -1):
            highest = max(highest, self._block[place])
            self._tails[place] = highest
        self._head = -math.inf
        self._index = 0


class RollingMin(CloseIndicator):
    """The lowest of the last `period` closes."""

    __slots__ = ("_highest",)

    def __init__(self, period: int) -> None:
        super().__init__()
        self._highest = RollingMax(check_period("RollingMin", period))

    @property
    def warmup(self) -> int:
        """The period."""
        return self._highest.warmup

    def add(self, value: float) -> None:
        """Take the next number."""
        self._highest.add(-value)  # the lowest is the highest of the mirror image
        self.value = -self._highest.value
        self.ready = self._highest.ready
