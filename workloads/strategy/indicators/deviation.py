"""How far prices spread: standard deviation, Bollinger bands, volatility of returns."""

import math

from workloads.strategy.indicators.base import CloseIndicator, check_period


class StdDev(CloseIndicator):
    """Population standard deviation of the last `period` closes, with their `mean`.

    Kept in blocks like SMA; the two parts of the window are joined by the formula of Chan, Golub and LeVeque,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), each part is built by
    Welford's (1962). Nothing is subtracted from a sum, so neither a long run nor a past spike leaves an error behind.
    """

    __slots__ = (
        "_block",
        "_head_mean",
        "_head_squares",
        "_index",
        "_period",
        "_tail_means",
        "_tail_squares",
        "mean",
    )

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period = check_period("StdDev", period, 2)
        self.mean = math.nan
        self._block = [0.0] * period
        self._tail_means = [0.0] * period
        self._tail_squares = [0.0] * period
        self._head_mean = 0.0
        self._head_squares = 0.0
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
        apart = value - self._head_mean
        mean = self._head_mean + apart / index
        squares = self._head_squares + apart * (value - mean)
        if index < period:
            self._index = index
            self._head_mean = mean
            self._head_squares = squares
            if not self.ready:
                return
            rest = period - index
            apart = self._tail_means[index] - mean
            squares += self._tail_squares[index] + apart * apart * index * rest / period
            mean += apart * rest / period
        else:
            self.ready = True
            self._close_block()
        self.mean = mean
        self.value = math.sqrt(squares / period)

    def _close_block(self) -> None:
        mean = squares = 0.0
        for count, index in enumerate(range(self._period - 1, -1, -1), start=1):
            value = self._block[index]
            apart = value - mean
            mean += apart / count
            squares += apart * (value - mean)
            self._tail_means[index] = mean
            self._tail_squares[index] = squares
        self._index = 0
        self._head_mean = 0.0
        self._head_squares = 0.0


class Bollinger(CloseIndicator):
    """Bollinger bands: `value` is the middle (the mean), `upper` and `lower` are `width` standard deviations away.

    Source: J. Bollinger, "Bollinger on Bollinger Bands" (2001): population deviation, 20 periods, width 2.
    """

    __slots__ = ("_deviation", "_width", "lower", "upper")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        super().__init__()
        self._deviation = StdDev(period)
        self._width = float(width)
        self.upper = math.nan
        self.lower = math.nan

    @property
    def warmup(self) -> int:
        """The period."""
        return self._deviation.warmup

    def add(self, value: float) -> None:
        """Take the next number."""
        deviation = self._deviation
        deviation.add(value)
        if deviation.ready:
            self.ready = True
            half = deviation.value * self._width
            self.value = deviation.mean
            self.upper = deviation.mean + half
            self.lower = deviation.mean - half


class Volatility(CloseIndicator):
    """Standard deviation of the last `period` log returns, per bar."""

    __slots__ = ("_deviation", "_last")

    def __init__(self, period: int) -> None:
        super().__init__()
        self._deviation = StdDev(period)
        self._last = math.nan

    @property
    def warmup(self) -> int:
        """One more than the period: a return needs two closes."""
        return self._deviation.warmup + 1

    def add(self, value: float) -> None:
        """Take the next close."""
        last = self._last
        self._last = value
        if math.isnan(last):
            return
        self._deviation.add(math.log(value / last))
        if self._deviation.ready:
            self.ready = True
            self.value = self._deviation.value
