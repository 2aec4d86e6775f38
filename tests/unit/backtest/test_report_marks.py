"""Marks: trades of one candle and side together, none lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest.scenes import BTC, MINUTE_US, START_US
from tradefleet.domain.bar import Bar
from workloads.backtest.report_data import Trade
from workloads.backtest.report_marks import marks_of
from workloads.backtest.thinning import Candles

MARKET = "BTC-USD · demo/simulator"


def candles(bars: int, limit: int = 10) -> Candles:
    made = Candles(interval_us=MINUTE_US, limit=limit)
    for minute in range(bars):
        made.add(Bar(BTC, MINUTE_US, START_US + minute * MINUTE_US, 100.0, 101.0, 99.0, 100.0, 1.0))
    return made


def trade(minute: int, *, is_buy: bool = True, price: float = 100.0, size: float = 1.0, note: str = "") -> Trade:
    """Return a trade of the bar that opens at `minute`: a fill carries the time of the bar's close."""
    closed_us = START_US + (minute + 1) * MINUTE_US
    return Trade(market_us=closed_us, market=MARKET, is_buy=is_buy, price=price, size=size, fee=0.1, note=note)


def test_a_trade_is_marked_at_the_candle_of_its_bar() -> None:
    (mark,) = marks_of([trade(3, price=100.5)], MARKET, candles(10))
    assert mark == [START_US // 10**6 + 180, 1, 100.5, 1.0, 0.1, 1, START_US // 10**6 + 240, ""]


def test_trades_of_one_candle_share_a_mark_at_their_average_price() -> None:
    trades = [trade(0, price=100.0, size=1.0), trade(1, price=103.0, size=2.0, note="STOP_LOSS")]
    (mark,) = marks_of(trades, MARKET, candles(20))
    assert mark[2] == pytest.approx(102.0)
    assert (mark[3], mark[5], mark[7]) == (3.0, 2, "STOP_LOSS")
    assert mark[4] == pytest.approx(0.2)


def test_buys_and_sells_have_marks_of_their_own_and_other_markets_none() -> None:
    trades = [trade(0), trade(0, is_buy=False)]
    assert [mark[1] for mark in marks_of(trades, MARKET, candles(5))] == [-1, 1]
    assert marks_of(trades, "LTC-USD · demo/simulator", candles(5)) == []


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.floats(0.01, 10)), max_size=50))
def test_no_trade_and_no_size_is_lost(rows: Sequence[tuple[int, bool, float]]) -> None:
    trades = [trade(minute, is_buy=is_buy, size=size) for minute, is_buy, size in sorted(rows)]
    drawn = candles(100)
    marks = marks_of(trades, MARKET, drawn)
    assert sum(mark[5] for mark in marks) == len(trades)  # type: ignore[misc]
    assert sum(mark[3] for mark in marks) == pytest.approx(sum(each.size for each in trades), rel=1e-6)  # type: ignore[misc]
    assert {mark[0] * 10**6 for mark in marks} <= set(drawn.open_us)  # type: ignore[operator]
