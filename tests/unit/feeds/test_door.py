"""What a feed lets through to those who rely on it, and what it puts aside."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import pytest

from tests.unit.feeds.candles import BTC, START_US, bar, bars
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from workloads.backtest.engine import steps
from workloads.feeds.door import Door

LTC = Symbol("LTC-USD")


class Source:
    """Recorded bars, sound or not."""

    def __init__(self, content: Sequence[Bar]) -> None:
        self._content = content

    def steps(self) -> Iterable[tuple[int, list[Bar]]]:
        return steps(self._content)

    def origin(self, symbol: Symbol) -> str:
        return f"dataset of {symbol}"


class Room:
    """A door, and who stands before it."""

    def __init__(self, content: Sequence[Bar], tick: str = "0.01") -> None:
        self.refused: list[tuple[Bar, str]] = []
        self.door = Door(Source(content), {BTC: Decimal(tick)}, self._refuse)

    def _refuse(self, refused: Bar, error: InvalidValue) -> None:
        self.refused.append((refused, str(error)))

    def passed(self) -> list[Bar]:
        return [each for _, step in self.door.steps() for each in step]


def test_sound_bars_pass_as_they_are() -> None:
    room = Room(bars(range(5)))
    assert list(room.door.steps()) == list(steps(bars(range(5))))
    assert room.refused == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"high": 1e300}, "high must be at most 1e+15, was 1e+300"),
        ({"close": float("nan")}, "close must be a finite price > 0, was nan"),
        ({"low": 101.0}, "open 100.0 and close 99.01 must lie between low and high"),
        ({"volume": float("inf")}, "volume must be a finite number >= 0, was inf"),
        ({"open_us": START_US + MINUTE_US + 1}, "open time is not a multiple of the interval"),
    ],
)
def test_a_bar_that_nobody_can_take_is_put_aside_and_the_others_go_on(change: dict[str, float], message: str) -> None:
    content = bars(range(3))
    content[1] = content[1]._replace(**change)
    room = Room(content)
    assert room.passed() == [content[0], content[2]]
    assert [refused for refused, _ in room.refused] == [content[1]]
    assert message in room.refused[0][1]


def test_of_a_step_only_the_bars_that_nobody_can_take_are_left_out() -> None:
    sound, broken = bar(0, symbol=LTC), bar(0)._replace(high=1e300)
    room = Room([broken, sound])
    assert list(room.door.steps()) == [(sound.close_us, [sound])]


def test_a_price_of_more_ticks_than_can_be_kept_is_put_aside() -> None:
    dear = bar(1)._replace(high=1e12, close=101.0)
    room = Room([bar(0), dear], tick="0.0000001")
    assert room.passed() == [bar(0)]
    assert "high must be at most 2.30584e+11, was 1000000000000.0" in room.refused[0][1]
    assert Room([bar(0), dear], tick="0.01").passed() == [bar(0), dear]


def test_an_instrument_whose_ticks_are_not_known_has_the_bound_of_all() -> None:
    content = [bar(0, symbol=LTC)._replace(high=1e15), bar(1, symbol=LTC)._replace(high=1.1e15)]
    assert Room(content).passed() == content[:1]


def test_the_door_says_where_the_bars_come_from() -> None:
    assert Room([]).door.origin(BTC) == "dataset of BTC-USD"
