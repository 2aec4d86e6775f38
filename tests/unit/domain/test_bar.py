"""Bars and their intervals."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.bar import DAY_US, MICROSECONDS, MINUTE_US, Bar, check_bar, format_interval, parse_interval
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol

SOUND = Bar(Symbol("BTC-USD"), MINUTE_US, 7 * MINUTE_US, 10.0, 12.0, 9.0, 11.0, 5.0)


def test_a_bar_is_known_at_its_close() -> None:
    assert SOUND.close_us == 8 * MINUTE_US


@pytest.mark.parametrize(
    "changes",
    [{}, {"volume": 0.0}, {"open": 12.0, "close": 9.0}, {"open": 9.0, "high": 9.0, "low": 9.0, "close": 9.0}],
)
def test_a_bar_that_can_have_been_traded_is_sound(changes: dict[str, Any]) -> None:
    check_bar(SOUND._replace(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"open": float("nan")}, "open must be a finite price > 0, was nan"),
        ({"high": float("inf")}, "high must be a finite price > 0, was inf"),
        ({"low": 0.0}, "low must be a finite price > 0, was 0.0"),
        ({"close": -1.0}, "close must be a finite price > 0, was -1.0"),
        ({"volume": -1.0}, "volume must be a finite number >= 0, was -1.0"),
        ({"volume": float("nan")}, "volume must be a finite number >= 0, was nan"),
        ({"high": 1e300}, "high must be at most 1e+15, was 1e+300"),
        ({"volume": 1e300}, "volume must be at most 1e+30, was 1e+300"),
        ({"high": 8.0}, "high 8.0 is below low 9.0"),
        ({"open": 8.0}, "open 8.0 and close 11.0 must lie between low and high"),
        ({"close": 13.0}, "open 10.0 and close 13.0 must lie between low and high"),
        ({"interval_us": 0}, "interval_us must be > 0, was 0"),
        ({"open_us": 7 * MINUTE_US + 1}, "open time is not a multiple of the interval of 60000000 us"),
    ],
)
def test_a_bar_that_cannot_have_been_traded_is_refused_by_field(changes: dict[str, Any], message: str) -> None:
    bar = SOUND._replace(**changes)
    with pytest.raises(InvalidValue) as caught:
        check_bar(bar)
    assert str(caught.value) == f"bar BTC-USD at {bar.open_us} us: {message}"


def test_a_bar_dearer_than_its_reader_can_take_is_refused() -> None:
    check_bar(SOUND, price_max=12.0)
    with pytest.raises(InvalidValue, match=r"high must be at most 11\.5, was 12\.0"):
        check_bar(SOUND, price_max=11.5)


@given(st.integers(1, 10**9 - 1))
def test_a_formatted_interval_is_read_back(seconds: int) -> None:
    assert parse_interval(format_interval(seconds * MICROSECONDS)) == seconds * MICROSECONDS


@pytest.mark.parametrize(
    ("text", "interval_us"),
    [("1s", MICROSECONDS), ("1m", MINUTE_US), ("90m", 90 * MINUTE_US), ("4h", DAY_US // 6), ("1w", 7 * DAY_US)],
)
def test_an_interval_is_a_number_and_a_unit(text: str, interval_us: int) -> None:
    assert parse_interval(text) == interval_us


@pytest.mark.parametrize("text", ["", "m", "0m", "-1m", "1.5h", "1 m", "1M", "1y", "٣m", "²m", "1" * 5_000 + "m"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="interval must be a whole number and one of s, m, h, d, w"):
        parse_interval(text)


@pytest.mark.parametrize("interval_us", [0, -MINUTE_US, 1, MICROSECONDS + 1])
def test_an_interval_that_has_no_name_is_refused(interval_us: int) -> None:
    with pytest.raises(InvalidValue, match=f"a whole number of seconds > 0, was {interval_us} us"):
        format_interval(interval_us)


def test_an_interval_is_written_in_its_largest_unit() -> None:
    assert [format_interval(us) for us in (MINUTE_US, 60 * MINUTE_US, 90_000_000, 14 * DAY_US)] == [
        "1m",
        "1h",
        "90s",
        "14d",
    ]
