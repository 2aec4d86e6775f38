import math
import random
import statistics
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.strategy.paper import through_json
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from workloads.strategy.indicators import (
    ATR,
    EMA,
    MACD,
    ROC,
    RSI,
    SMA,
    VWAP,
    Bollinger,
    CloseIndicator,
    RollingMax,
    RollingMin,
    StdDev,
    Volatility,
)

prices = st.lists(st.floats(0.01, 1e6), max_size=60)
periods = st.integers(2, 12)
MAKERS = [
    lambda: SMA(5),
    lambda: EMA(5),
    lambda: VWAP(5),
    lambda: StdDev(5),
    lambda: Bollinger(5),
    lambda: Volatility(5),
    lambda: RSI(5),
    lambda: ROC(5),
    lambda: MACD(3, 6, 4),
    lambda: ATR(5),
    lambda: RollingMax(5),
    lambda: RollingMin(5),
]


def bars_of(closes):
    made = []
    last = closes[0] if closes else 1.0
    for number, close in enumerate(closes):
        high, low = max(last, close) * 1.01, min(last, close) * 0.99
        made.append(Bar(Symbol("X-USD"), MINUTE_US, number * MINUTE_US, last, high, low, close, (number * 7) % 5))
        last = close
    return made


def values_of(indicator, closes):
    """Return the value after each bar."""
    found = []
    for bar in bars_of(closes):
        indicator.update(bar)
        found.append(indicator.value)
    return found


def assert_same(found, wanted, *, scale=1.0, tolerance=1e-9):
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert math.isnan(mine) == math.isnan(theirs), (mine, theirs)
        if not math.isnan(mine):
            assert mine == pytest.approx(theirs, rel=tolerance, abs=tolerance * scale)


@given(prices, periods)
def test_windows_equal_pandas_on_any_prices(closes, period):
    window = pd.Series(closes, dtype=float).rolling(period)
    scale = max(closes, default=1.0)
    assert_same(values_of(SMA(period), closes), window.mean().tolist(), scale=scale)
    assert_same(values_of(RollingMax(period), closes), window.max().tolist())
    assert_same(values_of(RollingMin(period), closes), window.min().tolist())
    # pandas subtracts from running sums, so the exact deviation comes from the statistics module.
    exact = [
        math.nan if end < period else statistics.pstdev(closes[end - period : end]) for end in range(1, len(closes) + 1)
    ]
    assert_same(values_of(StdDev(period), closes), exact, scale=scale, tolerance=1e-7)


@given(prices, periods)
def test_ema_and_macd_are_seeded_with_a_simple_mean(closes, period):
    def ema(numbers, length):
        out = [math.nan] * len(numbers)
        if len(numbers) >= length:
            out[length - 1] = sum(numbers[:length]) / length
            for place in range(length, len(numbers)):
                out[place] = out[place - 1] + (numbers[place] - out[place - 1]) * 2 / (length + 1)
        return out

    scale = max(closes, default=1.0)
    assert_same(values_of(EMA(period), closes), ema(closes, period), scale=scale)
    macd = MACD(period, period + 3, 4)
    lines = values_of(macd, closes)
    wanted = [fast - slow for fast, slow in zip(ema(closes, period), ema(closes, period + 3), strict=True)]
    assert_same(lines, wanted, scale=scale)
    signals = ema([one for one in wanted if not math.isnan(one)], 4)
    if macd.ready:
        assert macd.signal == pytest.approx(signals[-1], abs=1e-9 * scale)
        assert macd.histogram == pytest.approx(wanted[-1] - signals[-1], abs=1e-8 * scale)


@given(prices, periods)
def test_rsi_equals_wilders_formula(closes, period):
    def rsi(end):
        changes = [after - before for before, after in pairwise(closes[:end])]
        if len(changes) < period:
            return math.nan
        gain = sum(max(change, 0) for change in changes[:period]) / period
        loss = sum(max(-change, 0) for change in changes[:period]) / period
        for change in changes[period:]:
            gain = (gain * (period - 1) + max(change, 0)) / period
            loss = (loss * (period - 1) + max(-change, 0)) / period
        return 50.0 if gain + loss == 0 else 100 - 100 / (1 + gain / loss) if loss else 100.0

    wanted = [rsi(end) for end in range(1, len(closes) + 1)]
    assert_same(values_of(RSI(period), closes), wanted, tolerance=1e-7, scale=100)


@given(prices, periods)
def test_atr_roc_vwap_and_volatility_equal_their_formulas(closes, period):
    bars = bars_of(closes)
    ranges = [max(bar.high, before.close) - min(bar.low, before.close) for before, bar in pairwise(bars)]
    atr = [math.nan] * len(bars)
    for place in range(period, len(bars)):
        first = place == period
        atr[place] = (
            sum(ranges[:period]) / period if first else (atr[place - 1] * (period - 1) + ranges[place - 1]) / period
        )
    scale = max(closes, default=1.0)
    assert_same(values_of(ATR(period), closes), atr, scale=scale)

    roc = [math.nan if at < period else (closes[at] / closes[at - period] - 1) * 100 for at in range(len(closes))]
    assert_same(values_of(ROC(period), closes), roc, scale=100)

    vwap = []
    for end in range(1, len(bars) + 1):
        window = bars[end - period : end] if end >= period else []
        volume = sum(bar.volume for bar in window)
        money = sum((bar.high + bar.low + bar.close) / 3 * bar.volume for bar in window)
        vwap.append(money / volume if volume else (vwap[-1] if vwap else math.nan))
    assert_same(values_of(VWAP(period), closes), vwap, scale=scale)

    returns = [math.log(after / before) for before, after in pairwise(closes)]
    deviation = [math.nan if at < period else statistics.pstdev(returns[at - period : at]) for at in range(len(closes))]
    assert_same(values_of(Volatility(period), closes), deviation, tolerance=1e-7)


@given(st.floats(0.01, 1e6), periods, st.integers(1, 40))
def test_an_unchanged_price_is_its_own_average_and_has_no_deviation(price, period, more):
    closes = [price] * (period + more)
    for indicator in (SMA(period), EMA(period), Bollinger(period)):
        assert values_of(indicator, closes)[-1] == price
    assert values_of(StdDev(period), closes)[-1] == 0.0
    assert values_of(RSI(period), [*closes, price])[-1] == 50.0


def test_a_spike_leaves_no_error_behind_however_long_the_run():
    dice = random.Random(1)
    deviation, average = StdDev(20), SMA(20)
    for number in range(20_000):
        close = 1e12 if number % 5_000 == 77 else 1.0 + dice.random() * 1e-6
        deviation.add(close)
        average.add(close)
    dice = random.Random(1)
    closes = [1e12 if number % 5_000 == 77 else 1.0 + dice.random() * 1e-6 for number in range(20_000)]
    assert deviation.value == pytest.approx(statistics.pstdev(closes[-20:]), rel=1e-9)
    assert average.value == pytest.approx(statistics.mean(closes[-20:]), rel=1e-15)


def test_bands_are_widths_of_deviation_around_the_mean():
    bands = Bollinger(3, 2.5)
    values_of(bands, [1.0, 2.0, 6.0])
    spread = statistics.pstdev([1.0, 2.0, 6.0])
    assert (bands.lower, bands.value, bands.upper) == pytest.approx((3 - 2.5 * spread, 3.0, 3 + 2.5 * spread))


@pytest.mark.parametrize("make", MAKERS)
def test_warmup_is_the_bar_on_which_it_becomes_ready(make):
    indicator = make()
    for number, bar in enumerate(bars_of([100.0 + n % 3 for n in range(30)]), start=1):
        indicator.update(bar)
        assert indicator.ready == (number >= indicator.warmup)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=15)
@given(closes=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40), data=st.data())
def test_a_restored_indicator_goes_on_as_the_one_that_wrote_the_state(make, closes, data):
    cut = data.draw(st.integers(0, len(closes)))
    whole, first, second = make(), make(), make()
    bars = bars_of(closes)
    for bar in bars[:cut]:
        whole.update(bar)
        first.update(bar)
    second.restore(through_json(first.snapshot()))
    for bar in bars[cut:]:
        whole.update(bar)
        second.update(bar)
    assert through_json(second.snapshot()) == through_json(whole.snapshot())


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(InvalidValue, match="indicator EMA: cannot restore the state of SMA"):
        EMA(5).restore(SMA(5).snapshot())


@pytest.mark.parametrize("period", [0, -1, 2.5, True])
def test_a_period_that_cannot_work_is_refused(period):
    with pytest.raises(InvalidValue, match="indicator SMA: period must be a whole number >= 1"):
        SMA(period)


def test_an_author_s_own_indicator_needs_no_code_for_snapshots():
    class Momentum(CloseIndicator):
        """The last change."""

        def __init__(self):
            super().__init__()
            self.last = math.nan
            self.average = SMA(2)

        @property
        def warmup(self):
            return 2

        def add(self, value):
            self.value = value - self.last
            self.last = value
            self.average.add(value)
            self.ready = not math.isnan(self.value)

    one, other = Momentum(), Momentum()
    values_of(one, [1.0, 3.0])
    other.restore(through_json(one.snapshot()))
    assert (other.value, other.last, other.average.value) == (2.0, 3.0, 2.0)


@example([5.0] * 3)
@given(prices)
def test_a_window_of_one_is_the_price(closes):
    assert values_of(SMA(1), closes) == closes
    assert values_of(RollingMax(1), closes) == closes
