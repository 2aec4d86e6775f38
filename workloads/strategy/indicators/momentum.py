"""How fast prices move: RSI, rate of change, MACD."""

import math

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.indicators.averages import EMA
from workloads.strategy.indicators.base import CloseIndicator, check_period


class RSI(CloseIndicator):
    """Relative strength index, 0 to 100, with Wilder's smoothing; 50 when the price has not moved at all.

    Source: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); begun, as there and in TA-Lib, with the
    simple means of the first `period` gains and losses.
    """

    __slots__ = ("_count", "_gain", "_last", "_loss", "_period")

    def __init__(self, period: int = 14) -> None:
        super().__init__()
        self._period = check_period("RSI", period)
        self._last = math.nan
        self._count = 0
        self._gain = 0.0
        self._loss = 0.0

    @property
    def warmup(self) -> int:
        """One more than the period: a change needs two closes."""
        return self._period + 1

    def add(self, value: float) -> None:
        """Take the next close."""
        change = value - self._last
        self._last = value
        if change != change:  # NaN: there was no close before this one  # noqa: PLR0124
            return
        if self._count < self._period:
            self._count += 1
        # While the count grows this is the simple mean, afterwards Wilder's smoothing.
        self._gain += ((change if change > 0.0 else 0.0) - self._gain) / self._count
        self._loss += ((-change if change < 0.0 else 0.0) - self._loss) / self._count
        if self._count == self._period:
            self.ready = True
            both = self._gain + self._loss
            self.value = 100.0 * self._gain / both if both > 0.0 else 50.0


class ROC(CloseIndicator):
    """Rate of change in percent: the close against the one `period` bars before. Source: TA-Lib, function ROC."""

    __slots__ = ("_index", "_period", "_ring")

    def __init__(self, period: int = 10) -> None:
        super().__init__()
        self._period = check_period("ROC", period)
        self._ring: list[float] = []
        self._index = 0

    @property
    def warmup(self) -> int:
        """One more than the period."""
        return self._period + 1

    def add(self, value: float) -> None:
        """Take the next close."""
        ring = self._ring
        if len(ring) < self._period:
            ring.append(value)
            return
        index = self._index
        self.value = (value / ring[index] - 1.0) * 100.0
        self.ready = True
        ring[index] = value
        self._index = index + 1 if index + 1 < self._period else 0


class MACD(CloseIndicator):
    """Moving average convergence/divergence: `value` is EMA(fast) - EMA(slow), `signal` its EMA, `histogram` the rest.

    Source: G. Appel, "Technical Analysis: Power Tools for Active Investors" (2005). Each average begins with the simple
    mean of its own first values; TA-Lib begins the fast one later, so the first values differ from its.
    """

    __slots__ = ("_fast", "_signal", "_slow", "histogram", "signal")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        super().__init__()
        if fast >= slow:
            raise InvalidValue(f"indicator MACD: fast must be below slow, were {fast} and {slow}")
        self._fast = EMA(fast)
        self._slow = EMA(slow)
        self._signal = EMA(signal)
        self.signal = math.nan
        self.histogram = math.nan

    @property
    def warmup(self) -> int:
        """The bars of the slow average, and of the signal on top."""
        return self._slow.warmup + self._signal.warmup - 1

    def add(self, value: float) -> None:
        """Take the next close."""
        self._fast.add(value)
        self._slow.add(value)
        if not self._slow.ready:
            return
        self.value = self._fast.value - self._slow.value
        self._signal.add(self.value)
        if self._signal.ready:
            self.signal = self._signal.value
            self.histogram = self.value - self.signal
            self.ready = True
