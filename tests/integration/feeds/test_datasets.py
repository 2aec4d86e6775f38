"""The store of datasets on a real Postgres."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.feeds.dataset_contract import NAME, DatasetContract, minutes, put, series, stored
from tests.unit.feeds.candles import BTC, bar, bars, write_csv
from tests.unit.feeds.candles import series as random_series
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import BarConflict, Retryable
from workloads.feeds.adapters import datasets as adapter
from workloads.feeds.adapters.datasets import PostgresDatasets
from workloads.feeds.checking import check_source
from workloads.feeds.findings import Rule
from workloads.feeds.importing import import_sources
from workloads.feeds.ports import DatasetKey, DatasetTarget
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.stored import open_dataset

_numbers = itertools.count(1)


class ShownDatasets(PostgresDatasets):
    """The store under test; the log of imports is read past it."""

    def __init__(self, conninfo: str, *, fleet: str) -> None:
        super().__init__(conninfo, fleet=fleet)
        self.url, self.fleet = conninfo, fleet

    def imports(self, dataset: DatasetKey) -> list[tuple[str, str, int]]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT source_hash, source, bars FROM tradefleet.dataset_import WHERE fleet = %s AND dataset = %s "
                "ORDER BY bars",
                (self.fleet, dataset),
            )
            return rows.fetchall()


@pytest.fixture
def store(feeds_database: str, fleet: str) -> Iterator[ShownDatasets]:
    opened = ShownDatasets(feeds_database, fleet=fleet)
    yield opened
    opened.close()


class TestPostgresDatasets(DatasetContract):
    @pytest.fixture
    def store(self, feeds_database: str, fleet: str) -> Iterator[ShownDatasets]:
        opened = ShownDatasets(feeds_database, fleet=fleet)
        yield opened
        opened.close()


def test_fleets_do_not_see_each_others_datasets(feeds_database: str, store: ShownDatasets) -> None:
    other = PostgresDatasets(feeds_database, fleet=f"{store.fleet}-other")
    put(store, bars(range(3)), minutes(0, 2))

    assert other.load(NAME) is None
    assert put(other, [bar(0, close=101.75)], minutes(0, 0)) == 1
    other.close()


def test_a_second_import_of_a_dataset_waits_and_says_so(
    store: ShownDatasets, feeds_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LOCK_TIMEOUT_S", 1)
    other = PostgresDatasets(feeds_database, fleet=store.fleet)

    with (
        store.importing(DatasetTarget(dataset=NAME)) as first,
        pytest.raises(Retryable, match="another import of it is running; nothing was imported; repeat"),
        other.importing(DatasetTarget(dataset=NAME)),
    ):
        first.add(BTC, MINUTE_US, bars(range(3)))


def test_two_imports_at_once_store_each_bar_once(store: ShownDatasets, feeds_database: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "BTC-USD_1m.csv", bars(range(5_000)))
    added: list[int] = []

    def run() -> None:
        own = PostgresDatasets(feeds_database, fleet=store.fleet)
        added.append(import_sources(own, DatasetTarget(dataset=NAME), [open_file(path)]).added)
        own.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(added) == [0, 0, 0, 5_000]
    assert stored(store) == bars(range(5_000))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=random_series(), data=st.data())
def test_random_candles_come_back_as_they_were_written(
    store: ShownDatasets, tmp_path: Path, content: list[Bar], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(content)))
    target = DatasetTarget(dataset=DatasetKey(f"default/random{next(_numbers)}"))
    paths = [
        write_csv(tmp_path / f"{name}_BTC-USD_1m.csv", part) for name, part in (("a", content[:cut]), ("b", content))
    ]

    for path in paths:
        report = import_sources(store, target, [open_file(path)])

    assert stored(store, target.dataset) == content
    assert store.load(target.dataset) == report.content
    (source,) = open_dataset(store, target.dataset)
    assert check_source(source).content_hash == report.content.series[0].content_hash


def test_a_changed_row_is_found(store: ShownDatasets, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "BTC-USD_1m.csv", bars(range(100)))
    import_sources(store, DatasetTarget(dataset=NAME), [open_file(path)])
    with psycopg.connect(store.url) as connection:
        changed = connection.execute(
            "UPDATE tradefleet.bar SET volume = volume * 2 WHERE fleet = %s AND open_us = %s",
            (store.fleet, bar(50).open_us),
        )
        assert changed.rowcount == 1

    (source,) = open_dataset(store, NAME)

    assert check_source(source).findings.counts[Rule.CHANGED] == 1


def test_a_bar_that_the_feed_of_the_exchange_stored_counts_and_conflicts(store: ShownDatasets) -> None:
    live = bars(range(3))
    with psycopg.connect(store.url) as connection:
        for number, each in enumerate(live, start=1):
            connection.execute(
                "INSERT INTO tradefleet.bar "
                "(fleet, exchange, symbol, interval_us, open_us, seq, open, high, low, close, volume) "
                "VALUES (%s, 'default/coinbase', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (store.fleet, each.symbol, each.interval_us, each.open_us, number, *each[3:]),
            )

    assert put(store, bars(range(5)), minutes(0, 4), exchange="default/coinbase") == 2
    with pytest.raises(BarConflict, match="2018-04-04T00:01:00Z is stored as"):
        put(store, [bar(1, close=101.75)], minutes(0, 4), exchange="default/coinbase")
    with psycopg.connect(store.url) as connection:
        numbers = connection.execute(
            "SELECT seq FROM tradefleet.bar WHERE fleet = %s ORDER BY open_us", (store.fleet,)
        ).fetchall()
    assert numbers == [(1,), (2,), (3,), (None,), (None,)]


def test_a_full_disk_is_said_with_the_remedy(store: ShownDatasets) -> None:
    with pytest.raises(Exception, match="nothing was imported") as caught, store.importing(DatasetTarget(dataset=NAME)):
        raise psycopg.errors.DiskFull("could not extend file")

    assert "the database's disk is full; nothing was imported; free some space and repeat" in str(caught.value)


def test_a_database_that_is_not_there_is_said(fleet: str) -> None:
    store = PostgresDatasets("postgresql://nobody:hunter2@127.0.0.1:1/nowhere", fleet=fleet)

    with pytest.raises(Retryable, match="default/candles") as caught:
        put(store, bars(range(3)), minutes(0, 2))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(Retryable) as caught:
        store.load(NAME)
    assert "hunter2" not in str(caught.value)


def test_series_are_what_was_saved(store: ShownDatasets) -> None:
    put(store, bars([0, 5, 6, 9]), minutes(0, 0, 5, 6, 9, 9))
    put(store, bars([7]), minutes(0, 0, 5, 7, 9, 9))

    found = store.load(NAME)

    assert found is not None
    assert found.series == (series(minutes(0, 0, 5, 7, 9, 9)),)
