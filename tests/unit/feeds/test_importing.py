from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.memory_datasets import MemoryDatasets
from tests.unit.feeds.candles import BTC, bar, bars, cells, csv_text, series, write_csv
from tests.unit.feeds.sources.test_parquet_file import table, write
from tests.unit.feeds.test_replay import ListSource
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import BarConflict
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash
from workloads.feeds.errors import BrokenData, DatasetChange
from workloads.feeds.findings import Findings
from workloads.feeds.importing import REPORT_BARS, ImportProgress, ImportReport, import_sources
from workloads.feeds.ports import BarSource, DatasetKey, DatasetTarget
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource

ETH = Symbol("ETH-USD")
TARGET = DatasetTarget(dataset=DatasetKey("default/candles"))


def take(store: MemoryDatasets, *contents: list[Bar]) -> ImportReport:
    return import_sources(store, TARGET, [ListSource(content) for content in contents])


def hash_of(*contents: list[Bar]) -> str:
    """The dataset's hash, computed the plain way from the bars of each of its series."""
    series_ = []
    for content in contents:
        taken = SeriesHash()
        for each in content:
            taken.add(each)
        series_.append(SeriesContent(content[0].symbol, MINUTE_US, len(content), taken.hexdigest()))
    return dataset_hash(series_)


def test_an_import_reports_what_was_read_added_and_missing() -> None:
    report = take(MemoryDatasets(), bars([0, 1, 2, 6, 7]), bars(range(3), ETH))

    assert (report.read, report.added) == (8, 8)
    assert [(each.series.symbol, each.read, each.added) for each in report.imported] == [(BTC, 5, 5), (ETH, 3, 3)]
    assert report.content.bars == 8
    assert report.content.content_hash == hash_of(bars([0, 1, 2, 6, 7]), bars(range(3), ETH))
    bitcoin = report.imported[0].series
    assert (bitcoin.missing_bars, bitcoin.gaps) == (3, [(bars([3])[0].open_us, bars([6])[0].open_us)])


def test_the_same_import_again_adds_nothing_and_changes_nothing() -> None:
    store = MemoryDatasets()
    first = take(store, bars([0, 1, 5]))

    second = take(store, bars([0, 1, 5]))

    assert (second.read, second.added) == (3, 0)
    assert second.content == first.content
    assert len(store.imports(TARGET.dataset)) == 1


@given(series(), st.data())
def test_content_and_hash_do_not_depend_on_the_files_nor_on_their_order(
    content: list[Bar], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 4))
    owners = data.draw(
        st.lists(st.sets(st.integers(0, count - 1), min_size=1), min_size=len(content), max_size=len(content))
    )
    parts = [
        [each for each, mine in zip(content, owners, strict=True) if part in mine]
        for part in data.draw(st.permutations(range(count)))
    ]
    store = MemoryDatasets()

    added = 0
    for part in parts:
        if part:
            report = take(store, part)
            added += report.added

    assert added == len(content)
    assert report.content == take(MemoryDatasets(), content).content
    assert report.content.content_hash == hash_of(content)
    assert store.load(TARGET.dataset) == report.content


def test_content_and_hash_do_not_depend_on_the_format(tmp_path: Path) -> None:
    content = bars([0, 1, 2, 9])
    files = [
        write_csv(tmp_path / "BTC-USD_1m.csv", content),
        write_csv(tmp_path / "BTC-USD_1m.csv.gz", content),
        write(tmp_path / "BTC-USD_1m.parquet", table(content)),
    ]

    contents = [import_sources(MemoryDatasets(), TARGET, [open_file(path)]).content for path in files]

    assert contents[0] == contents[1] == contents[2]


def test_a_broken_line_in_the_last_file_leaves_nothing(tmp_path: Path) -> None:
    good = write_csv(tmp_path / "ETH-USD_1m.csv", bars(range(10)))
    rows = [cells(each) for each in bars(range(3_000))]
    rows[2_500][2] = "98.0"
    (tmp_path / "BTC-USD_1m.csv").write_text(csv_text(rows), encoding="utf-8")
    store = MemoryDatasets()

    with pytest.raises(BrokenData, match=r"BTC-USD_1m.csv line 2502, field high: 98.0 is below low 99.0"):
        import_sources(store, TARGET, [open_file(good), open_file(tmp_path / "BTC-USD_1m.csv")])

    assert store.load(TARGET.dataset) is None


def test_files_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BrokenData, match="is not that of"):
        take(MemoryDatasets(), bars(range(3)), [bar(2, close=101.75)])


def test_a_bar_that_is_stored_with_another_content_is_refused() -> None:
    store = MemoryDatasets()
    before = take(store, bars(range(3))).content

    with pytest.raises(BarConflict):
        take(store, [bar(2, close=101.75)], bars(range(3), ETH))

    assert store.load(TARGET.dataset) == before


def test_made_up_and_real_candles_do_not_mix() -> None:
    made_up = SyntheticSource(
        SyntheticInstrument(symbol=BTC), seed=1, interval_us=MINUTE_US, start_us=bar(0).open_us, bars=5
    )
    synthetic = DatasetTarget(dataset=TARGET.dataset, is_synthetic=True)

    with pytest.raises(DatasetChange, match="synthetic seed 1 has made-up candles, the dataset takes real ones"):
        import_sources(MemoryDatasets(), TARGET, [made_up])
    with pytest.raises(DatasetChange, match="has real candles, the dataset takes made-up ones"):
        import_sources(MemoryDatasets(), synthetic, [ListSource(bars(range(3)))])
    assert import_sources(MemoryDatasets(), synthetic, [made_up]).content.target.is_synthetic


def test_nothing_to_import_is_said() -> None:
    with pytest.raises(DatasetChange, match="nothing to import; name a file"):
        import_sources(MemoryDatasets(), TARGET, [])


class FileLike(ListSource):
    """A source that knows how far it is."""

    @property
    def progress(self) -> float | None:
        return self.read / (REPORT_BARS * 2)


def test_progress_is_told_now_and_then_up_to_the_end() -> None:
    told: list[ImportProgress] = []
    sources: list[BarSource] = [FileLike(bars(range(REPORT_BARS * 2)))]

    import_sources(MemoryDatasets(), TARGET, sources, on_progress=told.append)

    assert [each.bars for each in told] == [0, REPORT_BARS, REPORT_BARS * 2]
    assert told[-1].part == 1.0


def test_progress_is_unknown_when_a_source_does_not_know_it() -> None:
    told: list[ImportProgress] = []

    import_sources(MemoryDatasets(), TARGET, [ListSource(bars(range(3)))], on_progress=told.append)

    assert {each.part for each in told} == {None}


class Interrupted(ListSource):
    """A source in whose middle the user presses Ctrl-C."""

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        yield from super().bars(findings)
        raise KeyboardInterrupt


def test_an_interrupted_import_leaves_nothing() -> None:
    store = MemoryDatasets()

    with pytest.raises(KeyboardInterrupt):
        import_sources(store, TARGET, [Interrupted(bars(range(10)))])

    assert store.load(TARGET.dataset) is None
