from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from tests.unit.feeds.candles import HEADER, bars, description, series
from tradefleet.domain.bar import Bar
from workloads.feeds.columns import ColumnNames, Layout
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.sources.parquet_file import ParquetSource
from workloads.feeds.times import TimeUnit


def table(content: list[Bar], times: pa.Array | None = None, names: tuple[str, ...] = HEADER) -> pa.Table:
    columns = [times if times is not None else [each.open_us for each in content]]
    columns += [[each[place] for each in content] for place in range(3, 8)]
    return pa.table(dict(zip(names, columns, strict=True)))


def write(path: Path, content: pa.Table) -> Path:
    parquet.write_table(content, path, row_group_size=7)
    return path


def source(path: Path, layout: Layout | None = None) -> ParquetSource:
    return ParquetSource(path, description(path.name), layout)


@settings(deadline=None)  # the first one imports pyarrow
@given(series())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: list[Bar]) -> None:
    path = write(tmp_path_factory.mktemp("candles") / "candles.parquet", table(content))

    assert list(source(path).bars()) == content


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.timestamp("s"),
        pa.timestamp("ms"),
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.timestamp("us", tz="UTC"),
        pa.timestamp("ms", tz="Europe/Paris"),
    ],
)
@pytest.mark.parametrize("unit", [TimeUnit.AUTO, TimeUnit.MILLISECONDS])
def test_times_of_any_type_are_read(tmp_path: Path, kind: pa.DataType, unit: TimeUnit) -> None:
    content = bars(range(10))
    if pa.types.is_timestamp(kind):
        times = pa.array([each.open_us for each in content], pa.timestamp("us")).cast(pa.timestamp(kind.unit))
        times = times.cast(kind) if kind.tz is None else pa.array(times.cast(pa.int64()), pa.int64()).cast(kind)
    else:
        times = pa.array([each.open_us // 1_000 for each in content], pa.int64()).cast(kind)

    path = write(tmp_path / "candles.parquet", table(content, times))

    assert list(source(path, Layout(time_unit=unit)).bars()) == content


def test_days_are_read(tmp_path: Path) -> None:
    days = [each._replace(interval_us=86_400_000_000, open_us=each.open_us * 1) for each in bars([0, 1440, 2880])]
    times = pa.array([each.open_us // 86_400_000_000 for each in days], pa.int32()).cast(pa.date32())
    path = write(tmp_path / "candles.parquet", table(days, times))

    found = ParquetSource(path, description(interval_us=86_400_000_000)).bars()

    assert list(found) == days


def test_exact_decimals_are_read_as_the_nearest_doubles(tmp_path: Path) -> None:
    content = table(bars(range(3)))
    content = content.set_column(1, "open", content["open"].cast(pa.decimal128(20, 8)))

    assert list(source(write(tmp_path / "candles.parquet", content)).bars()) == bars(range(3))


def test_columns_are_taken_by_name_among_others(tmp_path: Path) -> None:
    content = table(bars(range(3)), names=("Day", "Open", "High", "Low", "Close", "Vol")).append_column(
        "date", pa.array(["a", "b", "c"])
    )
    layout = Layout(columns=ColumnNames(open_time="Day"))

    assert list(source(write(tmp_path / "candles.parquet", content), layout).bars()) == bars(range(3))


def test_a_broken_row_is_refused_with_its_number(tmp_path: Path) -> None:
    content = bars(range(30))
    content[20] = content[20]._replace(high=1.0)

    with pytest.raises(BrokenData, match=r"candles.parquet row 21 \(BTC-USD 1m\), field high: 1.0 is below low 99.0"):
        list(source(write(tmp_path / "candles.parquet", table(content))).bars())


def test_a_missing_value_is_refused_with_its_row(tmp_path: Path) -> None:
    content = table(bars(range(3)))
    content = content.set_column(4, "close", pa.array([100.0, None, 100.0]))

    with pytest.raises(BrokenData, match=r"row 2 \(BTC-USD 1m\), field close: is missing"):
        list(source(write(tmp_path / "candles.parquet", content)).bars())


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    content = table(bars(range(3))).drop_columns(["volume"])

    with pytest.raises(UnusableSource, match="no column volume, nor another name of it; columns are: open_time, open"):
        list(source(write(tmp_path / "candles.parquet", content)).bars())


def test_a_file_without_a_candle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="holds no candle"):
        list(source(write(tmp_path / "candles.parquet", table(bars(range(3))).slice(0, 0))).bars())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"nowhere.parquet: there is no such file"):
        list(source(tmp_path / "nowhere.parquet").bars())


@pytest.mark.parametrize("content", [b"", b"open_time,open\n", b"PAR1" * 10])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "candles.parquet"
    path.write_bytes(content)

    with pytest.raises(UnusableSource, match="is no Parquet file, or is cut off; fetch the file again"):
        list(source(path).bars())


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "candles.parquet", table(bars(range(500))))
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(UnusableSource, match="is no Parquet file, or is cut off"):
        list(source(path).bars())


def test_a_corrupt_page_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "candles.parquet", table(bars(range(500))))
    content = bytearray(path.read_bytes())
    content[4:4_000] = b"\xff" * 3_996
    path.write_bytes(content)

    with pytest.raises(BrokenData, match="the file is corrupt; fetch or write the file again"):
        list(source(path).bars())


def test_progress_ends_at_one(tmp_path: Path) -> None:
    candles = source(write(tmp_path / "candles.parquet", table(bars(range(500)))))

    assert candles.progress == 0.0
    list(candles.bars())
    assert candles.progress == 1.0
