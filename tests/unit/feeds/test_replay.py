from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds.candles import START_US, bar, bars, description, series
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from workloads.feeds.aggregation import aggregate
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription
from workloads.feeds.replay import PPM, Replay, Schedule, Selection, due_us, parse_speed

ETH = Symbol("ETH-USD")
FIVE = 5 * MINUTE_US


class ListSource:
    """Bars that are there already."""

    def __init__(self, content: list[Bar], label: str = "list") -> None:
        self._content = content
        self.read = 0
        first = content[0]
        self._description = description(label, first.symbol, first.interval_us)

    @property
    def description(self) -> SourceDescription:
        return self._description

    @property
    def progress(self) -> float | None:
        return None

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        for each in self._content:
            self.read += 1
            yield each


def flat(replay: Replay) -> list[Bar]:
    return [each for _, step in replay.steps() for each in step]


@given(series(), series(symbol=ETH), st.booleans())
def test_every_bar_is_played_once_in_steps_of_one_time_sorted_by_symbol_and_interval(
    btc: list[Bar], eth: list[Bar], reverse: bool
) -> None:
    coarse = list(aggregate(btc, FIVE))
    sources = [ListSource(content) for content in (btc, eth, coarse) if content]
    replay = Replay(sources[::-1] if reverse else sources)

    steps = list(replay.steps())

    times = [market_us for market_us, _ in steps]
    assert times == sorted(set(times))
    for market_us, step in steps:
        assert {each.close_us for each in step} == {market_us}
        assert step == sorted(step, key=lambda each: (each.symbol, each.interval_us))
    assert sorted(flat(replay)) == sorted([*btc, *eth, *coarse])


def test_a_replay_names_what_an_instrument_is_read_from() -> None:
    minutes = [bar(number) for number in range(5)]
    sources = [ListSource(minutes, "one.csv"), ListSource(list(aggregate(minutes, FIVE)), "two.csv")]

    assert Replay(sources).origin(minutes[0].symbol) == "one.csv, two.csv"
    assert Replay(sources).origin(ETH) == ""


def test_a_replay_plays_the_same_every_time() -> None:
    replay = Replay([ListSource(bars(range(10))), ListSource(bars(range(10), ETH))])

    assert list(replay.steps()) == list(replay.steps())


def test_a_range_holds_the_bars_that_lie_in_it_whole() -> None:
    selection = Selection(from_us=START_US + MINUTE_US, to_us=START_US + 4 * MINUTE_US)

    assert flat(Replay([ListSource(bars(range(10)))], selection)) == bars([1, 2, 3])


def test_a_range_that_cuts_bars_leaves_them_out() -> None:
    selection = Selection(from_us=START_US + 1, to_us=START_US + 4 * MINUTE_US - 1)

    assert flat(Replay([ListSource(bars(range(10)))], selection)) == bars([1, 2])


def test_nothing_is_read_far_beyond_the_step_that_is_asked_for() -> None:
    source = ListSource(bars(range(1000)))
    steps = Replay([source], Selection(to_us=START_US + 50 * MINUTE_US)).steps()

    next(steps)
    assert source.read < 5
    list(steps)
    assert source.read == 51


def test_only_the_symbols_that_are_asked_for_are_played() -> None:
    sources = [ListSource(bars(range(3))), ListSource(bars(range(3), ETH))]

    assert flat(Replay(sources, Selection(symbols=frozenset({ETH})))) == bars(range(3), ETH)


def test_a_symbol_that_no_source_has_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UnusableSource, match="no source has XRP-USD; there are BTC-USD"):
        flat(Replay([ListSource(bars(range(3)))], Selection(symbols=frozenset({Symbol("XRP-USD")}))))


def test_an_interval_that_is_missing_is_derived_from_the_finest() -> None:
    content = bars(range(20))

    played = flat(Replay([ListSource(content)], Selection(intervals_us=frozenset({MINUTE_US, FIVE}))))

    assert [each for each in played if each.interval_us == MINUTE_US] == content
    assert [each for each in played if each.interval_us == FIVE] == list(aggregate(content, FIVE))
    assert [each.interval_us for each in played[4:6]] == [MINUTE_US, FIVE]  # both close at the fifth minute


def test_an_interval_that_is_there_is_not_derived() -> None:
    own = [each._replace(volume=7.0) for each in aggregate(bars(range(20)), FIVE)]

    sources = [ListSource(bars(range(20))), ListSource(own)]

    assert flat(Replay(sources, Selection(intervals_us=frozenset({FIVE})))) == own


def test_derived_bars_stand_on_the_bars_of_the_range_alone() -> None:
    selection = Selection(from_us=START_US + 3 * MINUTE_US, intervals_us=frozenset({FIVE}))

    played = flat(Replay([ListSource(bars(range(20)))], selection))

    assert [each.open_us for each in played] == [START_US + FIVE, START_US + 2 * FIVE, START_US + 3 * FIVE]


def test_an_interval_that_cannot_be_derived_is_refused() -> None:
    with pytest.raises(UnusableSource, match="BTC-USD has bars of 1m, from which 30s cannot be made"):
        flat(Replay([ListSource(bars(range(3)))], Selection(intervals_us=frozenset({MINUTE_US // 2}))))


@given(series(), st.data())
def test_sources_of_one_series_are_merged_and_what_they_share_comes_once(
    content: list[Bar], data: st.DataObject
) -> None:
    owners = data.draw(
        st.lists(st.sampled_from(["one", "other", "both"]), min_size=len(content), max_size=len(content))
    )
    parts = [
        [each for each, owner in zip(content, owners, strict=True) if owner in (name, "both")]
        for name in ("one", "other")
    ]

    assert flat(Replay([ListSource(part) for part in parts if part])) == content


def test_sources_that_contradict_each_other_are_refused_by_name() -> None:
    one = ListSource([bar(0), bar(1, close=100.0)], "one.csv")
    other = ListSource([bar(1, close=101.0), bar(2)], "other.csv")

    with pytest.raises(
        BrokenData, match=r"other.csv: the bar of BTC-USD at 2018-04-04T00:01:00Z is not that of one.csv"
    ):
        flat(Replay([one, other]))


@pytest.mark.parametrize(
    ("text", "speed"),
    [("lockstep", None), ("max", None), ("1x", PPM), ("60x", 60 * PPM), ("2.5x", 2_500_000), ("10.125x", 10_125_000)],
)
def test_a_speed_is_a_word_or_a_multiple_of_real_time(text: str, speed: int | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "x", "60", "0x", "-1x", "60 x", "1.2345x", "fast", "1e3x", "٣x"])
def test_any_other_speed_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="speed must be lockstep, max or a multiple"):
        parse_speed(text)


def test_steps_are_due_at_market_time_over_speed_from_the_first_one_on() -> None:
    now_us = 500
    schedule = Schedule(60 * PPM, lambda: now_us)

    assert schedule.due_us(START_US) == 500
    now_us = 999_999
    assert schedule.due_us(START_US + MINUTE_US) == 1_000_500
    assert schedule.due_us(START_US + 60 * MINUTE_US) == 60_000_500


@given(st.integers(1, 100_000 * 1_000), st.lists(st.integers(0, 10**15), min_size=2, max_size=9))
def test_a_later_step_is_never_due_before_an_earlier_one(speed_thousandths: int, steps: list[int]) -> None:
    speed_ppm = speed_thousandths * 1_000

    due = [due_us(step, start_market_us=0, start_us=7, speed_ppm=speed_ppm) for step in sorted(steps)]

    assert due == sorted(due)
