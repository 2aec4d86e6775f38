"""Drawdown and Sharpe ratio against figures made in another way."""

import statistics
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.bar import DAY_US, MINUTE_US
from workloads.backtest.figures import drawdowns, sharpe_ratio

AMOUNTS = st.lists(st.integers(1, 10**15), min_size=3, max_size=60)


def test_a_drawdown_is_measured_from_the_highest_so_far() -> None:
    assert list(drawdowns([100, 120, 90, 150, 75])) == [0.0, 0.0, 0.25, 0.0, 0.5]


def test_nothing_has_no_drawdown() -> None:
    assert list(drawdowns([0, 0])) == [0.0, 0.0]


@given(AMOUNTS)
def test_the_sharpe_ratio_is_mean_over_deviation_times_the_root_of_the_bars_in_a_year(amounts: list[int]) -> None:
    returns = [after / before - 1.0 for before, after in pairwise(amounts)]
    deviation = statistics.stdev(returns)
    found = sharpe_ratio(amounts, interval_us=DAY_US)
    if deviation == 0:
        assert found is None or abs(found) > 1e6
        return
    expected = statistics.fmean(returns) / deviation * sqrt(365)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_finer_interval_has_more_bars_in_a_year() -> None:
    amounts = [100, 101, 100, 102]
    daily, minutely = (sharpe_ratio(amounts, interval_us=each) for each in (DAY_US, MINUTE_US))
    assert daily is not None
    assert minutely == pytest.approx(daily * sqrt(1_440))


@pytest.mark.parametrize("amounts", [[], [100], [100, 101], [100, 100, 100]])
def test_returns_that_do_not_vary_have_no_sharpe_ratio(amounts: list[int]) -> None:
    assert sharpe_ratio(amounts, interval_us=DAY_US) is None
