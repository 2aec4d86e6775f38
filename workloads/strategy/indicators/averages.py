"""Moving averages: simple, exponential, and weighted by volume."""

from tradefleet.domain.bar import Bar
from workloads.strategy.indicators.base import CloseIndicator, Indicator, check_period


class SMA(CloseIndicator):
    """Simple moving average: the mean of the last `period` closes.

    Numbers are kept in blocks of `period`. The window is the tail of the last full block and the head of the
    present one; the means of all tails are computed once per block, the mean of the head grows bar by bar. So a bar
    costs O(1) on average, nothing is ever subtracted, and no error can build up however long the run. Means, not
    sums, so that an unchanged price has exactly itself as average: two averages of it never seem to cross.
    """

    __slots__ = ("_block", "_head", "_index", "_period", "_tails")

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = check_period("SMA", period)
        self._block = [0.0] * period
        self._tails = [0.0] * period  # _tails[i]: mean of _block[i:] of the last full block
        self._head = 0.0  # mean of _block[:_index] of the present one
        self._index = 0

    @property
    def warmup(self) -> int:
        """The period."""
        return self._period

    def add(self, value: float) -> None:
        """Take the next number."""
        period = self._period
        index = self._index
        self._block[index] = value
        index += 1
        head = self._head
        head += (value - head) / index
        if index < period:
            self._index = index
            self._head = head
            if self.ready:
                self.value = head + (self._tails[index] - head) * (period - index) / period
            return
        self.value = head
        self.ready = True
        self._close_block()

    def _close_block(self) -> None:
        mean = 0.0
        for count, index in enumerate(range(self._period - 1, -1, -1), start=1):
            mean += (self._block[index] - mean) / count
            self._tails[index] = mean
        self._index = 0
        self._head = 0.0


class EMA(CloseIndicator):
    """Exponential moving average with weight 2 / (period + 1), begun with the simple mean of the first `period`.

    Source: TA-Lib, function EMA (its default seed). An unchanged price has exactly itself as average.
    """

    __slots__ = ("_count", "_mean", "_period", "_weight")

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = check_period("EMA", period)
        self._weight = 2.0 / (period + 1)
        self._count = 0
        self._mean = 0.0

    @property
    def warmup(self) -> int:
        """The period."""
        return self._period

    def add(self, value: float) -> None:
        """Take the next number."""
        if self.ready:
            self.value += (value - self.value) * self._weight
            return
        self._count += 1
        self._mean += (value - self._mean) / self._count
        if self._count == self._period:
            self.value = self._mean
            self.ready = True


class VWAP(Indicator):
    """Volume-weighted average of the typical price (high + low + close) / 3 over the last `period` bars.

    A rolling window, not one anchored at a session's start: these markets have no session. Without any volume in the
    window the value is the last one there was. Computed like SMA, in blocks, without subtraction.
    """

    __slots__ = ("_head_money", "_head_volume", "_index", "_money", "_period", "_seen", "_volume")

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = check_period("VWAP", period)
        # Before `_index`: the bars of the present block. From it on: sums of the last block to its end, then a zero.
        self._money = [0.0] * (period + 1)
        self._volume = [0.0] * (period + 1)
        self._head_money = 0.0
        self._head_volume = 0.0
        self._index = 0
        self._seen = False

    @property
    def warmup(self) -> int:
        """The period."""
        return self._period

    def update(self, bar: Bar) -> None:
        """Take one closed bar."""
        money = (bar.high + bar.low + bar.close) / 3.0 * bar.volume
        index = self._index
        self._money[index] = money
        self._volume[index] = bar.volume
        self._head_money += money
        self._head_volume += bar.volume
        index += 1
        self._index = index
        full = index == self._period
        self._seen = self._seen or full
        if self._seen:
            volume = self._head_volume + self._volume[index]
            if volume > 0:
                self.value = (self._head_money + self._money[index]) / volume
                self.ready = True
            if full:
                self._close_block()

    def _close_block(self) -> None:
        for series in (self._money, self._volume):
            for index in range(self._period - 2, -1, -1):
                series[index] += series[index + 1]
        self._index = 0
        self._head_money = 0.0
        self._head_volume = 0.0
