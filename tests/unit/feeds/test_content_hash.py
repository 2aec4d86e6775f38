import hashlib
import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds.candles import BTC, bars, series
from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash


def hash_of(content: list[Bar]) -> str:
    taken = SeriesHash()
    for each in content:
        taken.add(each)
    return taken.hexdigest()


def test_the_hash_is_the_one_that_is_documented() -> None:
    content = bars(range(1500))
    packed = b"".join(struct.pack(">qddddd", *each[2:]) for each in content)

    assert hash_of(content) == hashlib.sha256(packed).hexdigest()


def test_a_hash_may_be_asked_for_in_between() -> None:
    taken = SeriesHash()
    for each in bars(range(3)):
        taken.add(each)
        taken.hexdigest()

    assert taken.hexdigest() == hash_of(bars(range(3)))


@given(series(), st.data())
def test_any_changed_value_changes_the_hash(content: list[Bar], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    field = data.draw(st.sampled_from(Bar._fields[2:]))
    changed = list(content)
    changed[place] = changed[place]._replace(**{field: getattr(changed[place], field) * 2 + 1})

    assert hash_of(changed) != hash_of(content)


def test_the_order_in_which_series_are_named_does_not_matter() -> None:
    series_ = [
        SeriesContent(BTC, 60_000_000, 3, "a"),
        SeriesContent(BTC, 300_000_000, 3, "b"),
        SeriesContent(Symbol("ETH-USD"), 60_000_000, 3, "c"),
    ]

    assert len({dataset_hash(order) for order in itertools.permutations(series_)}) == 1
    assert dataset_hash(series_[:2]) != dataset_hash(series_)


def test_a_series_without_bars_is_as_if_it_were_not_there() -> None:
    there = SeriesContent(BTC, 60_000_000, 3, "a")

    assert dataset_hash([there, SeriesContent(BTC, 300_000_000, 0, "b")]) == dataset_hash([there])
