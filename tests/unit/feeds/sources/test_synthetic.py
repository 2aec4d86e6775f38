import math
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US
from tradefleet.domain.bar import DAY_US, MINUTE_US, Bar, check_bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesHash
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource, activity_at

DAYS = 7


def made(
    symbol: str = "BTC-USD", *, seed: int = 1, bars: int = 1440, price: str = "40000", tick: str = "0.01",
    volatility: float = 0.6, drift: float = 0.0, interval_us: int = MINUTE_US,
) -> list[Bar]:  # fmt: skip
    instrument = SyntheticInstrument(
        symbol=Symbol(symbol), start_price=Decimal(price), tick=Decimal(tick), annual_volatility=volatility,
        annual_drift=drift,
    )  # fmt: skip
    source = SyntheticSource(instrument, seed=seed, interval_us=interval_us, start_us=START_US, bars=bars)
    assert source.description.is_synthetic
    assert "synthetic" in source.description.label
    return list(source.bars())


def returns(content: list[Bar]) -> list[float]:
    return [math.log(after.close / before.close) for before, after in pairwise(content)]


def test_a_seed_gives_these_candles_for_ever_on_every_machine_and_python() -> None:
    taken = SeriesHash()
    for each in made(seed=7, bars=3000):
        taken.add(each)

    assert taken.hexdigest() == "38a57ecd4024f947fc4bb9dac805e74a2d548c785038dda5d7fd3df768960ce1"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**53 - 1),
    st.sampled_from([("40000", "0.01"), ("0.0000382", "0.00000001"), ("1.5", "0.25"), ("0.01", "0.01"), ("7", "3")]),
    st.floats(0, 10),
    st.floats(-10, 10),
    st.sampled_from([1_000_000, MINUTE_US, 60 * MINUTE_US, DAY_US]),
)
def test_every_candle_is_sound_and_on_the_tick(
    seed: int, price_and_tick: tuple[str, str], volatility: float, drift: float, interval_us: int
) -> None:
    price, tick = price_and_tick

    content = made(
        seed=seed, bars=150, price=price, tick=tick, volatility=volatility, drift=drift, interval_us=interval_us
    )

    assert [each.open_us for each in content] == [START_US + n * interval_us for n in range(150)]
    for each in content:
        check_bar(each)
        assert each.volume > 0
        for value in each[3:7]:
            ticks = Decimal(repr(value)) / Decimal(tick)
            assert ticks == ticks.to_integral_value()


def test_the_first_candle_opens_at_the_start_price() -> None:
    assert made(bars=1)[0].open == 40000.0


def test_other_seeds_and_other_instruments_are_other_markets() -> None:
    first = made(bars=50)

    assert made(bars=50) == first
    assert [each.close for each in made(bars=50, seed=2)] != [each.close for each in first]
    assert [each.close for each in made("ETH-USD", bars=50)] != [each.close for each in first]


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    assert made(bars=200)[:50] == made(bars=50)


def test_instruments_of_one_market_move_together_and_those_of_two_do_not() -> None:
    bitcoin, ether = returns(made(bars=5000)), returns(made("ETH-USD", bars=5000))
    elsewhere = returns(made("ETH-USD", seed=2, bars=5000))

    assert 0.4 < statistics.correlation(bitcoin, ether) < 0.8
    assert abs(statistics.correlation(bitcoin, elsewhere)) < 0.1


def test_returns_have_the_volatility_asked_for_fat_tails_and_clusters() -> None:
    moves = returns(made(bars=DAYS * 1440))
    deviation = statistics.pstdev(moves)
    kurtosis = statistics.fmean([move**4 for move in moves]) / deviation**4
    sizes = [abs(move) for move in moves]

    assert 0.4 < deviation * math.sqrt(365 * 1440) < 0.9
    assert kurtosis > 4  # 3 for a normal distribution
    assert statistics.correlation(sizes[10:], sizes[:-10]) > 0.03


def test_no_volatility_and_no_drift_is_a_flat_line() -> None:
    assert {each.close for each in made(bars=100, volatility=0.0)} == {40000.0}


def test_the_market_is_busier_by_day_than_by_night_and_than_at_the_weekend() -> None:
    wednesday = START_US  # 2018-04-04
    assert activity_at(wednesday + 14 * 60 * MINUTE_US) > 1.5 * activity_at(wednesday + 5 * 60 * MINUTE_US)
    for day, is_weekend in ((2, False), (3, True), (4, True), (5, False)):  # Friday to Monday
        assert (activity_at(wednesday + day * DAY_US) < activity_at(wednesday)) is is_weekend


def test_activity_changes_smoothly() -> None:
    levels = [activity_at(START_US + minute * MINUTE_US) for minute in range(1440)]

    assert max(abs(after - before) for before, after in pairwise(levels)) < 0.01
    assert 0.95 < statistics.fmean(levels) < 1.05


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start_price": Decimal(0)}, "start_price must be a number > 0"),
        ({"tick": Decimal("NaN")}, "tick must be a number > 0"),
        ({"start_price": Decimal("0.001")}, "is below one tick"),
        ({"annual_volatility": math.nan}, "annual_volatility must be 0 to 10"),
    ],
)
def test_an_instrument_that_cannot_be_made_up_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        SyntheticInstrument(symbol=Symbol("BTC-USD"), **wrong)  # type: ignore[arg-type]


def test_a_start_off_the_grid_is_refused() -> None:
    instrument = SyntheticInstrument(symbol=Symbol("BTC-USD"))
    with pytest.raises(InvalidValue, match="not a multiple of the interval"):
        SyntheticSource(instrument, seed=1, interval_us=MINUTE_US, start_us=START_US + 1, bars=1)
