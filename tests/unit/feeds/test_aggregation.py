import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US, bars, series
from tradefleet.domain.bar import MINUTE_US, Bar, check_bar
from tradefleet.domain.errors import InvalidValue
from workloads.feeds.aggregation import Incomplete, aggregate

FIVE = 5 * MINUTE_US


def buckets(content: list[Bar], interval_us: int) -> dict[int, list[Bar]]:
    """The plain way: sort the bars into intervals."""
    found: dict[int, list[Bar]] = {}
    for each in content:
        found.setdefault(each.open_us // interval_us * interval_us, []).append(each)
    return found


@given(series(size_max=60), st.sampled_from([2, 3, 5, 15]), st.sampled_from(Incomplete))
def test_derived_bars_are_what_their_parts_say(content: list[Bar], factor: int, incomplete: Incomplete) -> None:
    interval_us = factor * MINUTE_US
    wanted = []
    for open_us, parts in buckets(content, interval_us).items():
        if len(parts) == factor or incomplete is Incomplete.KEEP:
            prices = [part.high for part in parts], [part.low for part in parts]
            volume = 0.0
            for part in parts:
                volume += part.volume
            wanted.append(
                Bar(
                    parts[0].symbol, interval_us, open_us, parts[0].open, max(prices[0]), min(prices[1]),
                    parts[-1].close, volume,
                )
            )  # fmt: skip

    made = list(aggregate(content, interval_us, incomplete=incomplete))

    assert made == wanted
    for each in made:
        check_bar(each)


def test_an_interval_with_a_missing_bar_gives_none() -> None:
    made = list(aggregate(bars([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]), FIVE))

    assert [each.open_us for each in made] == [START_US, START_US + 2 * FIVE]


def test_an_interval_with_a_missing_bar_is_made_of_what_is_there_when_asked_for() -> None:
    made = list(aggregate(bars([0, 1, 2, 3, 4, 6, 20, 21]), FIVE, incomplete=Incomplete.KEEP))

    assert [(each.open_us - START_US) // FIVE for each in made] == [0, 1, 4]
    assert made[1][3:] == bars([6])[0][3:]


def test_a_complete_bar_comes_with_its_last_part_and_not_later() -> None:
    parts = iter(bars(range(10)))
    made = aggregate(parts, FIVE)

    next(made)

    assert next(parts) == bars([5])[0]


@pytest.mark.parametrize("interval_us", [MINUTE_US, MINUTE_US * 3 // 2, MINUTE_US // 2])
def test_an_interval_that_is_no_multiple_is_refused(interval_us: int) -> None:
    with pytest.raises(InvalidValue):
        list(aggregate(bars(range(3)), interval_us))
