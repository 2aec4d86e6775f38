"""Figures of an equity curve: drawdown, Sharpe ratio. Plain functions over exact amounts; ratios are doubles."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import sqrt

from tradefleet.domain.bar import DAY_US

YEAR_DAYS = 365  # markets of coins never close


def drawdowns(amounts: Iterable[int]) -> Iterator[float]:
    """Yield how far each amount is below the highest so far, as a fraction of that: 0.25 is a quarter lost."""
    peak = 0
    for amount in amounts:
        peak = max(peak, amount)
        yield (peak - amount) / peak if peak > 0 else 0.0


def sharpe_ratio(amounts: Sequence[int], *, interval_us: int) -> float | None:
    """Return the annualised Sharpe ratio of the bar-to-bar returns; None when they do not vary.

    Mean over sample standard deviation of the simple returns, times the root of the bars in a year of 365 days; the
    riskless rate is taken as zero, and a gap in the data as one bar. W. F. Sharpe, "The Sharpe Ratio", Journal of
    Portfolio Management 21 (1994).
    """
    count, mean, squares = 0, 0.0, 0.0
    for before, after in pairwise(amounts):
        if before <= 0:
            continue
        change = after / before - 1.0
        count += 1
        distance = change - mean  # Welford's way: one pass, without the loss of digits of a sum of squares
        mean += distance / count
        squares += distance * (change - mean)
    if count < 2 or squares <= 0:
        return None
    bars_a_year = YEAR_DAYS * DAY_US / interval_us
    return mean / sqrt(squares / (count - 1)) * sqrt(bars_a_year)
