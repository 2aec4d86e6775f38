from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US, bars
from tradefleet.domain.bar import MINUTE_US
from workloads.feeds.coverage import Coverage, Stretch, bars_in, gaps_between, join_stretches, only_covered

MINUTES = st.sets(st.integers(0, 60))


def stretches_of(minutes: set[int]) -> tuple[Stretch, ...]:
    coverage = Coverage(MINUTE_US)
    content = bars(sorted(minutes))
    assert list(coverage.watch(content)) == content
    return coverage.stretches


def opens(minutes: set[int]) -> list[int]:
    return [START_US + minute * MINUTE_US for minute in sorted(minutes)]


@given(MINUTES)
def test_stretches_hold_exactly_the_bars_that_passed(minutes: set[int]) -> None:
    stretches = stretches_of(minutes)

    inside = [first + n * MINUTE_US for first, last in stretches for n in range((last - first) // MINUTE_US + 1)]
    assert inside == opens(minutes)
    assert bars_in(stretches, MINUTE_US) == len(minutes)
    assert join_stretches(stretches, MINUTE_US) == stretches  # none of them touch


@given(MINUTES, MINUTES)
def test_joined_stretches_are_those_of_all_bars(some: set[int], others: set[int]) -> None:
    joined = join_stretches((*stretches_of(some), *stretches_of(others)), MINUTE_US)

    assert joined == stretches_of(some | others)


@given(MINUTES)
def test_gaps_are_what_lies_between(minutes: set[int]) -> None:
    gaps = gaps_between(stretches_of(minutes), MINUTE_US)

    missing = [start + n * MINUTE_US for start, end in gaps for n in range((end - start) // MINUTE_US)]
    assert missing == opens(set(range(min(minutes, default=0), max(minutes, default=0))) - minutes)


@given(MINUTES, MINUTES)
def test_only_bars_inside_the_stretches_come_through(there: set[int], wanted: set[int]) -> None:
    found = list(only_covered(bars(sorted(there)), stretches_of(wanted)))

    assert found == bars(sorted(there & wanted))
