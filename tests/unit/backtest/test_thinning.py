"""Thinning keeps what is extreme."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest.scenes import BTC, MINUTE_US, START_US
from tradefleet.domain.bar import Bar
from workloads.backtest.thinning import Candles, kept_places

CURVES = st.integers(0, 400).flatmap(
    lambda length: st.lists(
        st.lists(st.integers(-1_000, 1_000), min_size=length, max_size=length), min_size=1, max_size=3
    )
)


@given(CURVES, st.integers(1, 20))
def test_no_curve_loses_its_ends_its_lowest_or_its_highest(curves: list[list[int]], stretches: int) -> None:
    kept = kept_places(curves, stretches)
    assert kept == sorted(set(kept))
    if not curves[0]:
        assert kept == []
        return
    assert (kept[0], kept[-1]) == (0, len(curves[0]) - 1)
    assert len(kept) <= stretches * 2 * (len(curves) + 1)
    for curve in curves:
        drawn = [curve[place] for place in kept]
        assert (min(drawn), max(drawn)) == (min(curve), max(curve))


@given(CURVES, st.integers(1, 20))
def test_every_stretch_keeps_its_own_extremes(curves: list[list[int]], stretches: int) -> None:
    kept = set(kept_places(curves, stretches))
    length = len(curves[0])
    for number in range(stretches):
        places = range(length * number // stretches, length * (number + 1) // stretches)
        for curve in curves:
            if places:
                part = [curve[place] for place in places]
                drawn = [curve[place] for place in places if place in kept]
                assert (min(drawn), max(drawn)) == (min(part), max(part))


def bar(minute: int, opened: float, closed: float) -> Bar:
    high, low = max(opened, closed) + 1.0, min(opened, closed) - 1.0
    return Bar(BTC, MINUTE_US, START_US + minute * MINUTE_US, opened, high, low, closed, 2.0)


BARS = st.lists(st.tuples(st.integers(1, 40), st.floats(10, 100), st.floats(10, 100)), min_size=1, max_size=200).map(
    lambda rows: [
        bar(sum(step for step, _, _ in rows[: place + 1]), opened, closed)
        for place, (_, opened, closed) in enumerate(rows)
    ]
)


@given(BARS, st.integers(2, 20))
def test_joined_candles_are_those_of_the_longer_interval(bars: list[Bar], limit: int) -> None:
    candles = Candles(interval_us=MINUTE_US, limit=limit)
    for each in bars:
        candles.add(each)
    assert len(candles) <= limit
    width_us = candles.width_us
    groups: dict[int, list[Bar]] = {}
    for each in bars:
        groups.setdefault(each.open_us - each.open_us % width_us, []).append(each)
    assert candles.open_us == sorted(groups)
    for place, start_us in enumerate(candles.open_us):
        group = groups[start_us]
        assert candles.opens[place] == group[0].open
        assert candles.closes[place] == group[-1].close
        assert candles.highs[place] == max(each.high for each in group)
        assert candles.lows[place] == min(each.low for each in group)
        assert candles.volumes[place] == 2.0 * len(group)


def test_few_bars_stay_as_they_are() -> None:
    candles = Candles(interval_us=MINUTE_US, limit=5)
    for minute in range(5):
        candles.add(bar(minute, 10.0, 11.0))
    assert (len(candles), candles.bars_each) == (5, 1)
    candles.add(bar(5, 10.0, 11.0))
    assert (len(candles), candles.bars_each) == (3, 2)
