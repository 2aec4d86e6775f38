from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US
from tradefleet.domain.times import format_time
from workloads.feeds.times import NEWEST_US, OLDEST_US, TimeUnit, UnreadableTime, reader_of, unit_of_number

FACTORS = {
    TimeUnit.SECONDS: Decimal(1_000_000),
    TimeUnit.MILLISECONDS: Decimal(1_000),
    TimeUnit.MICROSECONDS: Decimal(1),
    TimeUnit.NANOSECONDS: Decimal("0.001"),
}
SECONDS = st.integers(OLDEST_US // 1_000_000, NEWEST_US // 1_000_000 - 1)


@given(SECONDS, st.sampled_from(list(FACTORS)), st.sampled_from([int, str, Decimal]))
def test_every_unit_is_told_by_the_size_of_its_numbers(seconds: int, unit: TimeUnit, kind: type) -> None:
    number = kind(int(seconds * 1_000_000 / FACTORS[unit]))

    assert reader_of(TimeUnit.AUTO, number)(number) == seconds * 1_000_000
    assert reader_of(unit, number)(number) == seconds * 1_000_000


@given(SECONDS, st.sampled_from(list(FACTORS)), st.sampled_from(list(FACTORS)))
def test_a_number_in_another_unit_is_never_taken_for_a_time(seconds: int, unit: TimeUnit, other: TimeUnit) -> None:
    number = int(seconds * 1_000_000 / FACTORS[unit])

    assert unit_of_number(number) is unit
    if other is not unit:
        with pytest.raises(UnreadableTime) as caught:
            reader_of(other, number)(number)
        assert f"set the time unit to {unit}" in caught.value.remedy


@given(SECONDS)
def test_a_time_printed_is_the_time_read(seconds: int) -> None:
    text = format_time(seconds * 1_000_000)

    assert reader_of(TimeUnit.AUTO, text)(text) == seconds * 1_000_000
    assert reader_of(TimeUnit.TEXT, text)(text) == seconds * 1_000_000


@pytest.mark.parametrize(
    "cell",
    [
        "2018-04-04",
        "2018-04-04T00:00:00",
        "2018-04-04 00:00:00",
        "2018-04-04T00:00:00Z",
        "2018-04-04T02:00:00+02:00",
        "1522800000",
        "1522800000.0",
        "1.5228e9",
        "1522800000000",
        " 1522800000000000 ",
        "1522800000000000000",
        1_522_800_000.0,
        Decimal(1_522_800_000),
        date(2018, 4, 4),
        datetime(2018, 4, 4),  # noqa: DTZ001 - a database's timestamp without zone: UTC
        datetime(2018, 4, 4, tzinfo=UTC),
        datetime(2018, 4, 3, 19, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_one_moment_is_read_from_every_way_of_writing_it(cell: object) -> None:
    assert reader_of(TimeUnit.AUTO, cell)(cell) == START_US


def test_a_column_of_timestamps_is_read_whatever_unit_was_stated() -> None:
    moment = datetime(2018, 4, 4, tzinfo=UTC)

    assert reader_of(TimeUnit.MILLISECONDS, moment)(moment) == START_US


def test_nanoseconds_that_are_no_whole_microseconds_are_refused() -> None:
    number = START_US * 1_000

    with pytest.raises(UnreadableTime, match="finer than a microsecond"):
        reader_of(TimeUnit.AUTO, number)(number + 1)


def test_an_odd_microsecond_is_shown_when_there_is_one() -> None:
    assert format_time(START_US) == "2018-04-04T00:00:00Z"
    assert format_time(1_500_000) == "1970-01-01T00:00:01.500000Z"
    assert format_time(START_US + 1) == "2018-04-04T00:00:00.000001Z"
    assert format_time(10**30) == f"{10**30} us"


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("20180404", "is no time between 1973 and 2286"),
        ("1e999999", "is not a time in ISO 8601"),
        ("yesterday", "is not a time in ISO 8601"),
        ("", "is not a time in ISO 8601"),
        (0, "is no time between 1973 and 2286"),
        (None, "is not a time in ISO 8601"),
        (True, "is not a time in ISO 8601"),
        ("1969-07-20", "is not between 1973 and 2286"),
        (date(1969, 7, 20), "is not between 1973 and 2286"),
    ],
)
def test_what_is_no_time_is_refused(cell: object, rule: str) -> None:
    with pytest.raises(UnreadableTime, match=rule):
        reader_of(TimeUnit.AUTO, cell)(cell)


@pytest.mark.parametrize(
    ("first", "later", "rule"),
    [
        ("1522800000", "2018-04-04T00:01:00Z", "is not a time in seconds"),
        ("2018-04-04", "1522800060", "is not a time in ISO 8601"),
        (date(2018, 4, 4), 1_522_800_060, "is not a time"),
        ("1522800000000", "1522800060", "is in seconds"),
        ("1522800000000", "soon", "is not a time in milliseconds"),
    ],
)
def test_a_time_that_is_written_in_another_way_than_the_first_is_refused(
    first: object, later: object, rule: str
) -> None:
    read = reader_of(TimeUnit.AUTO, first)
    read(first)

    with pytest.raises(UnreadableTime, match=rule):
        read(later)


def test_text_where_a_unit_was_stated_names_the_unit() -> None:
    with pytest.raises(UnreadableTime, match="is not a time in milliseconds"):
        reader_of(TimeUnit.MILLISECONDS, "2018-04-04")("2018-04-04")


def test_numbers_where_text_was_stated_name_the_setting() -> None:
    with pytest.raises(UnreadableTime) as caught:
        reader_of(TimeUnit.TEXT, "1522800000")("1522800000")
    assert caught.value.remedy == "set the time unit to s, ms, us or ns"
