from pathlib import Path

import pytest

from tests.fakes.memory_datasets import MemoryDatasets
from tests.unit.feeds.candles import BTC, bars, cells, csv_text, write_csv
from tests.unit.feeds.test_importing import TARGET, take
from tests.unit.feeds.test_replay import ETH, ListSource
from tradefleet.domain.bar import MINUTE_US
from workloads.feeds.checking import check_source, content_hash_of
from workloads.feeds.errors import BrokenData, DatasetChange
from workloads.feeds.findings import Findings, Rule, Severity
from workloads.feeds.ports import DatasetKey
from workloads.feeds.replay import Replay
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.stored import StoredSource, open_dataset


def test_a_clean_source_has_nothing_to_say() -> None:
    checked = check_source(ListSource(bars(range(10))))

    assert checked.is_clean
    assert not checked.is_broken
    assert (checked.bars, checked.first_us, checked.last_us) == (10, bars([0])[0].open_us, bars([9])[0].open_us)


def test_everything_that_is_wrong_is_found(tmp_path: Path) -> None:
    rows = [cells(each) for each in bars([0, 1, 2, 3, 7])]
    rows[1][2] = "1.0"
    rows[2][4] = "nan"
    path = tmp_path / "BTC-USD_1m.csv"
    path.write_text(csv_text(rows), encoding="utf-8")

    checked = check_source(open_file(path))

    assert checked.is_broken
    assert [each.rule for each in checked.findings.kept] == [Rule.HIGH_BELOW_LOW, Rule.NOT_A_NUMBER, Rule.GAP]
    assert checked.bars == 3


def test_a_source_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    checked = check_source(open_file(tmp_path / "BTC-USD_1m.csv"))

    assert checked.is_broken
    assert checked.bars == 0
    assert str(checked.findings.kept[0]) == f"{tmp_path}/BTC-USD_1m.csv: there is no such file; check the path"


def test_the_hash_of_checked_files_is_that_of_the_dataset_they_would_make(tmp_path: Path) -> None:
    files = [write_csv(tmp_path / f"{symbol}_1m.csv", bars(range(5), symbol)) for symbol in (ETH, BTC)]
    sources = [open_file(path) for path in files]

    checked = [check_source(source) for source in sources]

    assert content_hash_of(checked) == take(MemoryDatasets(), bars(range(5)), bars(range(5), ETH)).content.content_hash
    assert content_hash_of([*checked, checked[0]]) is None


def test_a_dataset_is_played_as_it_was_imported() -> None:
    store = MemoryDatasets()
    take(store, bars([0, 1, 4]), bars(range(5), ETH))

    sources = open_dataset(store, TARGET.dataset)

    assert [str(source.description) for source in sources] == [
        "dataset default/candles (BTC-USD 1m)",
        "dataset default/candles (ETH-USD 1m)",
    ]
    played = [each for _, step in Replay(sources).steps() for each in step]
    assert sorted(played) == sorted([*bars([0, 1, 4]), *bars(range(5), ETH)])
    assert [source.progress for source in sources] == [1.0, 1.0]


def test_an_unknown_dataset_is_refused_with_those_that_are_there() -> None:
    store = MemoryDatasets()
    take(store, bars(range(3)))

    with pytest.raises(DatasetChange, match="default/typo: there is no such dataset; there are: default/candles"):
        open_dataset(store, DatasetKey("default/typo"))


def test_a_checked_dataset_names_its_gaps() -> None:
    store = MemoryDatasets()
    take(store, bars([0, 1, 4]))

    checked = check_source(open_dataset(store, TARGET.dataset)[0])

    assert not checked.is_broken
    assert not checked.is_clean
    assert checked.findings.missing_bars == 2


@pytest.mark.parametrize("change", ["altered", "deleted"])
def test_stored_bars_that_somebody_changed_are_found(change: str) -> None:
    store = MemoryDatasets()
    take(store, bars(range(5)))
    stored = store.state.bars[TARGET.stored_under, BTC, MINUTE_US]
    victim = bars([2])[0]
    if change == "altered":
        stored[victim.open_us] = victim._replace(close=victim.close + 0.01)
    else:
        del stored[victim.open_us]
    (source,) = open_dataset(store, TARGET.dataset)
    assert isinstance(source, StoredSource)

    checked = check_source(source)

    assert checked.findings.counts[Rule.CHANGED] == 1
    assert checked.findings.number_of(Severity.ERROR) == 1
    with pytest.raises(BrokenData, match="are not the 5 that were imported"):
        list(source.bars(Findings()))
