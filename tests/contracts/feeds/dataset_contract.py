"""What every store of datasets promises: the twin in memory and Postgres run the same tests."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.unit.feeds.candles import BTC, START_US, bar, bars
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import BarConflict
from tradefleet.domain.ids import Symbol
from workloads.feeds.coverage import Stretch
from workloads.feeds.errors import DatasetChange
from workloads.feeds.ports import DatasetKey, DatasetSeries, DatasetStore, DatasetTarget

ETH = Symbol("ETH-USD")
NAME = DatasetKey("default/candles")
OTHER = DatasetKey("default/others")


class TestedStore(DatasetStore, Protocol):
    """A store that also shows its log of imports."""

    __test__ = False

    def imports(self, dataset: DatasetKey) -> list[tuple[str, str, int]]: ...


def minutes(*numbers: int) -> tuple[Stretch, ...]:
    """Return stretches whose ends are given in minutes: first, last, first, last."""
    ends = [START_US + number * MINUTE_US for number in numbers]
    return tuple(Stretch(*pair) for pair in zip(ends[::2], ends[1::2], strict=True))


def series(stretches: tuple[Stretch, ...], *, symbol: Symbol = BTC, content_hash: str = "hash") -> DatasetSeries:
    return DatasetSeries(symbol=symbol, interval_us=MINUTE_US, stretches=stretches, content_hash=content_hash)


def put(
    store: DatasetStore,
    content: list[Bar],
    stretches: tuple[Stretch, ...],
    *,
    dataset: DatasetKey = NAME,
    exchange: str = "",
) -> int:
    """Import bars of one series, and say that the dataset then has `stretches` of it."""
    with store.importing(DatasetTarget(dataset=dataset, exchange=exchange)) as transaction:
        added = transaction.add(content[0].symbol, MINUTE_US, content)
        kept = series(stretches, symbol=content[0].symbol)
        transaction.save(kept, source="candles.csv", source_hash=f"hash of {len(content)}", bars=len(content))
    return added


def stored(store: DatasetStore, dataset: DatasetKey = NAME, symbol: Symbol = BTC) -> list[Bar]:
    content = store.load(dataset)
    assert content is not None
    return list(store.read(content, symbol, MINUTE_US))


def break_off(store: DatasetStore, error: type[BaseException]) -> None:
    """Import a series whole and another one halfway."""

    def broken() -> Iterator[Bar]:
        yield from bars(range(3, 2_000))
        raise error

    with store.importing(DatasetTarget(dataset=NAME)) as transaction:
        transaction.add(ETH, MINUTE_US, bars(range(3), ETH))
        transaction.save(series(minutes(0, 2), symbol=ETH), source="eth.csv", source_hash="eth", bars=3)
        transaction.add(BTC, MINUTE_US, broken())


class DatasetContract:
    """Subclasses give a fixture `store`."""

    @pytest.fixture
    def store(self) -> Iterator[TestedStore]:
        raise AssertionError("a subclass gives the store")

    def test_an_unknown_dataset_is_none(self, store: TestedStore) -> None:
        assert store.load(NAME) is None
        assert store.datasets() == []

    def test_what_was_imported_is_there(self, store: TestedStore) -> None:
        content = bars([0, 1, 2, 5, 6])

        assert put(store, content, minutes(0, 2, 5, 6)) == 5

        found = store.load(NAME)
        assert found is not None
        assert found.target == DatasetTarget(dataset=NAME)
        assert found.series == (series(minutes(0, 2, 5, 6)),)
        assert stored(store) == content
        assert store.imports(NAME) == [("hash of 5", "candles.csv", 5)]

    def test_doubles_keep_every_bit(self, store: TestedStore) -> None:
        exact = bar(0)._replace(open=0.1 + 0.2, low=5e-324, high=1.7976931348623157e308, close=1 / 3, volume=0.0)

        put(store, [exact], minutes(0, 0))

        assert stored(store) == [exact]

    def test_many_bars_come_back_in_order(self, store: TestedStore) -> None:
        content = bars(range(25_000))

        assert put(store, content, minutes(0, 24_999)) == 25_000
        assert stored(store) == content

    def test_the_same_bars_again_add_nothing(self, store: TestedStore) -> None:
        put(store, bars(range(5)), minutes(0, 4))

        assert put(store, bars(range(5)), minutes(0, 4)) == 0
        assert stored(store) == bars(range(5))
        assert len(store.imports(NAME)) == 1

    def test_only_bars_that_are_not_there_are_added(self, store: TestedStore) -> None:
        put(store, bars([0, 1, 2, 8, 9]), minutes(0, 2, 8, 9))

        assert put(store, bars(range(1, 9)), minutes(0, 9)) == 5
        assert stored(store) == bars(range(10))
        assert [bars_ for _, _, bars_ in store.imports(NAME)] == [5, 8]

    def test_a_bar_that_is_stored_with_another_content_is_refused(self, store: TestedStore) -> None:
        put(store, bars(range(3)), minutes(0, 2))

        with pytest.raises(BarConflict, match="default/candles"):
            put(store, [bar(1, close=101.75), bar(3)], minutes(0, 3))

        assert stored(store) == bars(range(3))

    def test_nothing_is_seen_of_an_import_before_its_end(self, store: TestedStore) -> None:
        with store.importing(DatasetTarget(dataset=NAME)) as transaction:
            transaction.add(BTC, MINUTE_US, bars(range(3)))
            transaction.save(series(minutes(0, 2)), source="candles.csv", source_hash="hash", bars=3)
            assert store.load(NAME) is None

        assert len(stored(store)) == 3

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
    def test_an_import_that_breaks_off_leaves_nothing(self, store: TestedStore, error: type[BaseException]) -> None:
        put(store, bars(range(3)), minutes(0, 2))

        with pytest.raises(error):
            break_off(store, error)

        found = store.load(NAME)
        assert found is not None
        assert [each.symbol for each in found.series] == [BTC]
        assert stored(store) == bars(range(3))
        assert len(store.imports(NAME)) == 1
        assert put(store, bars(range(3, 2_000)), minutes(0, 1_999)) == 1_997

    def test_a_transaction_reads_what_was_there_and_what_it_added(self, store: TestedStore) -> None:
        put(store, bars([0, 1, 8]), minutes(0, 1, 8, 8))

        with store.importing(DatasetTarget(dataset=NAME)) as transaction:
            assert transaction.before.series == (series(minutes(0, 1, 8, 8)),)
            transaction.add(BTC, MINUTE_US, bars([3, 4]))
            assert list(transaction.read(BTC, MINUTE_US, minutes(0, 1, 3, 4, 8, 8))) == bars([0, 1, 3, 4, 8])
            assert list(transaction.read(BTC, MINUTE_US, minutes(1, 3))) == bars([1, 3])
            assert list(transaction.read(BTC, MINUTE_US, ())) == []

    def test_series_and_datasets_do_not_mix(self, store: TestedStore) -> None:
        put(store, bars(range(3)), minutes(0, 2))
        put(store, bars(range(4), ETH), minutes(0, 3))
        put(store, [bar(0, close=101.75)], minutes(0, 0), dataset=OTHER)

        assert stored(store) == bars(range(3))
        assert stored(store, symbol=ETH) == bars(range(4), ETH)
        assert stored(store, OTHER) == [bar(0, close=101.75)]
        assert [content.target.dataset for content in store.datasets()] == [NAME, OTHER]
        first = store.datasets()[0]
        assert [(each.symbol, each.bars) for each in first.series] == [(BTC, 3), (ETH, 4)]

    def test_datasets_of_one_exchange_share_its_history(self, store: TestedStore) -> None:
        put(store, bars(range(5)), minutes(0, 4), exchange="default/coinbase")

        assert put(store, bars(range(3, 8)), minutes(3, 7), dataset=OTHER, exchange="default/coinbase") == 3
        assert stored(store) == bars(range(5))
        assert stored(store, OTHER) == bars(range(3, 8))
        with pytest.raises(BarConflict):
            put(store, [bar(0, close=101.75)], minutes(0, 0), dataset=OTHER, exchange="default/coinbase")

    @pytest.mark.parametrize(
        "target",
        [DatasetTarget(dataset=NAME, exchange="default/coinbase"), DatasetTarget(dataset=NAME, is_synthetic=True)],
    )
    def test_a_dataset_stays_what_it_is(self, store: TestedStore, target: DatasetTarget) -> None:
        put(store, bars(range(3)), minutes(0, 2))

        with pytest.raises(DatasetChange, match="default/candles"), store.importing(target):
            pass

        found = store.load(NAME)
        assert found is not None
        assert found.target == DatasetTarget(dataset=NAME)

    def test_a_made_up_dataset_says_so(self, store: TestedStore) -> None:
        with store.importing(DatasetTarget(dataset=NAME, is_synthetic=True)) as transaction:
            transaction.add(BTC, MINUTE_US, bars(range(3)))
            transaction.save(series(minutes(0, 2)), source="synthetic", source_hash="hash", bars=3)

        found = store.load(NAME)
        assert found is not None
        assert found.target.is_synthetic
