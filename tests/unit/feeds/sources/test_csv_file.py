import gzip
from pathlib import Path

import pytest
from hypothesis import given

from tests.unit.feeds.candles import HEADER, START_US, bars, cells, csv_text, description, series, write_csv
from tradefleet.domain.bar import MINUTE_US, Bar
from workloads.feeds.columns import ColumnNames, Layout
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.findings import Findings, Rule
from workloads.feeds.sources.csv_file import CsvSource
from workloads.feeds.times import TimeUnit

ROWS = [cells(each) for each in bars(range(4))]


def source(path: Path, layout: Layout | None = None) -> CsvSource:
    return CsvSource(path, description(path.name), layout)


def read(tmp_path: Path, content: str | bytes, layout: Layout | None = None) -> list[Bar]:
    path = tmp_path / "candles.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(source(path, layout).bars())


def refused(tmp_path: Path, content: str | bytes, layout: Layout | None = None) -> str:
    with pytest.raises((BrokenData, UnusableSource)) as caught:
        read(tmp_path, content, layout)
    return str(caught.value)


@given(series())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: list[Bar]) -> None:
    folder = tmp_path_factory.mktemp("candles")

    for name in ("candles.csv", "candles.csv.gz"):
        assert list(source(write_csv(folder / name, content)).bars()) == content


@pytest.mark.parametrize("divisor", [1, 1_000, 1_000_000])
def test_open_times_in_any_unit_are_read(tmp_path: Path, divisor: int) -> None:
    text = csv_text([cells(each, divisor) for each in bars(range(3))])

    assert read(tmp_path, text) == bars(range(3))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_seen_in_the_header(tmp_path: Path, delimiter: str) -> None:
    assert read(tmp_path, csv_text(ROWS, delimiter=delimiter)) == bars(range(4))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + csv_text(ROWS),
        csv_text(ROWS).replace("\n", "\r\n"),
        csv_text(ROWS) + "\n\n",
        csv_text(ROWS).rstrip("\n"),
        csv_text(ROWS).replace("100.0", '"100.0"'),
        csv_text(ROWS).replace("100.0", "1.000e2"),
    ],
    ids=["byte order mark", "Windows line ends", "empty lines", "no last line end", "quotes", "exponents"],
)
def test_harmless_differences_make_none(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == bars(range(4))


def test_columns_are_taken_by_name(tmp_path: Path) -> None:
    header = ("symbol", "Volume BTC", *HEADER[4:0:-1], "unix", "date")
    rows = [["BTC", row[5], *row[4:0:-1], row[0], "ignored"] for row in ROWS]
    layout = Layout(columns=ColumnNames(open_time="unix", volume="Volume BTC"))

    assert read(tmp_path, csv_text(rows, header), layout) == bars(range(4))


def test_every_call_starts_again_and_progress_ends_at_one(tmp_path: Path) -> None:
    candles = source(write_csv(tmp_path / "candles.csv.gz", bars(range(5000))))

    first = next(candles.bars())

    assert first == bars([0])[0]
    assert len(list(candles.bars())) == 5000
    assert candles.progress == 1.0


def test_progress_is_the_part_of_the_file_that_was_read(tmp_path: Path) -> None:
    candles = source(write_csv(tmp_path / "candles.csv", bars(range(20_000))))
    reading = candles.bars()

    seen = []
    for number, _ in enumerate(reading):
        if number % 5_000 == 0:
            seen.append(candles.progress)

    assert seen == sorted(seen)
    assert seen[0] < 0.1
    assert 0.4 < seen[2] < 0.7


def test_a_name_does_not_say_whether_a_file_is_gzip(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(csv_text(ROWS).encode())) == bars(range(4))
    (tmp_path / "candles.csv.gz").write_text(csv_text(ROWS), encoding="utf-8")
    assert list(source(tmp_path / "candles.csv.gz").bars()) == bars(range(4))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"nowhere.csv: there is no such file; check the path"):
        list(source(tmp_path / "nowhere.csv").bars())


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="is a folder; name the files in it"):
        list(source(tmp_path).bars())


@pytest.mark.parametrize("content", ["", "\n", csv_text([]), csv_text([]) + "\n\n"])
def test_a_file_without_a_candle_is_refused(tmp_path: Path, content: str) -> None:
    assert "candles.csv: holds no candle" in refused(tmp_path, content)


def test_a_file_without_a_header_is_refused_with_the_line_to_add(tmp_path: Path) -> None:
    message = refused(tmp_path, csv_text(ROWS[1:], ROWS[0]))

    assert "line 1: is a candle, not the names of the columns" in message
    assert "open_time,open,high,low,close,volume" in message


def test_a_gzip_file_that_is_cut_off_is_refused_where_it_ends(tmp_path: Path) -> None:
    whole = gzip.compress(csv_text([cells(each) for each in bars(range(3000))]).encode())

    message = refused(tmp_path, whole[: len(whole) // 2])

    assert "candles.csv line " in message
    assert "the gzip file is cut off; fetch or write the file again" in message


def test_a_corrupt_gzip_file_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(csv_text([cells(each) for each in bars(range(3000))]).encode())

    assert "the gzip file is corrupt" in refused(tmp_path, whole[:-8] + b"\0" * 8)  # its check sum
    assert "the gzip file is corrupt" in refused(tmp_path, b"\x1f\x8b" + b"nonsense" * 9)
    assert "the gzip file is corrupt" in refused(tmp_path, whole[:2000] + b"\xff" * 50 + whole[2050:])


@pytest.mark.parametrize("content", [b"PAR1\0\0\0\x15", b"\0" * 100, b"x" * 100_000])
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is no CSV file in UTF-8; give a CSV file (also .gz) or a Parquet file" in refused(tmp_path, content)


def test_text_that_is_not_utf_8_is_refused_where_it_stands(tmp_path: Path) -> None:
    message = refused(tmp_path, csv_text(ROWS).encode() + b"1522800240000,1,1,1,1,\xff\n")

    assert "line 6 (BTC-USD 1m), field volume: must be a number, was '\\udcff'" in message
    assert "is no CSV file in UTF-8" in refused(tmp_path, b"\xff\xfe" + csv_text(ROWS).encode("utf-16-le"))
    assert "is no CSV file in UTF-8" in refused(tmp_path, "Öffnung,open".encode("latin-1"))


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    assert "is no CSV: unexpected end of data" in refused(tmp_path, csv_text(ROWS) + '"1522800240000,1,2')


@pytest.mark.parametrize("line", ["1522800240000,100.0,102.0", ",".join([*ROWS[3], "7"]), "-"])
def test_a_line_of_another_width_is_refused(tmp_path: Path, line: str) -> None:
    message = refused(tmp_path, csv_text(ROWS) + line)

    assert "candles.csv line 6" in message
    assert "the header has 6" in message


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (1, "", "line 4 (BTC-USD 1m), field open: is missing; correct the line or take it out"),
        (2, "n/a", "line 4 (BTC-USD 1m), field high: must be a number, was 'n/a'"),
        (3, "99,5", "line 4 (BTC-USD 1m), field low: must be a number, was '99,5'"),
        (4, "x" * 99, "field close: must be a number, was '" + "x" * 39 + "…"),
        (5, "1.5.2", "field volume: must be a number, was '1.5.2'"),
        (5, "nan", "field volume: must be a finite number, was nan"),
        (0, "", "field open_time: '' is not a time in milliseconds"),
        (
            0,
            "1522800120",
            "field open_time: '1522800120' is not between 1973 and 2286 when read in milliseconds, but is",
        ),
        (
            0,
            "2018-04-04T00:02:00Z",
            "field open_time: '2018-04-04T00:02:00Z' is not a time in milliseconds; correct it",
        ),
    ],
)
def test_a_broken_cell_is_refused_with_line_field_and_what_stood_there(
    tmp_path: Path, column: int, cell: str, message: str
) -> None:
    rows = [list(row) for row in ROWS]
    rows[2][column] = cell

    assert message in refused(tmp_path, csv_text(rows))


def test_a_stated_unit_that_is_wrong_is_refused_with_the_right_one(tmp_path: Path) -> None:
    message = refused(tmp_path, csv_text(ROWS), Layout(time_unit=TimeUnit.SECONDS))

    assert "candles.csv line 2 (BTC-USD 1m), field open_time: '1522800000000' is not between 1973 and 2286" in message
    assert "when read in seconds, but is in milliseconds; set the time unit to ms" in message


def test_all_that_is_wrong_is_found_when_the_checks_keep_going(tmp_path: Path) -> None:
    rows = [list(row) for row in ROWS]
    rows[0][1] = "?"
    rows[1][0] = "soon"
    rows[2].append("extra")
    path = tmp_path / "candles.csv"
    path.write_text(csv_text(rows), encoding="utf-8")
    findings = Findings(keep_going=True)

    found = list(source(path).bars(findings))

    assert found == bars([3])
    assert [(each.rule, each.place) for each in findings.kept] == [
        (Rule.NOT_A_NUMBER, "line 2"),
        (Rule.TIME, "line 3"),
        (Rule.UNREADABLE, "line 4"),
    ]


def test_what_stands_before_the_end_of_a_broken_file_is_still_checked(tmp_path: Path) -> None:
    whole = gzip.compress(csv_text([cells(each) for each in bars([0, 1, *range(5, 5000)])]).encode())
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    findings = Findings(keep_going=True)

    found = list(source(path).bars(findings))

    assert len(found) > 1000
    assert [each.rule for each in findings.kept] == [Rule.GAP, Rule.UNREADABLE]


def test_a_file_that_is_not_read_to_its_end_is_closed(tmp_path: Path) -> None:
    candles = source(write_csv(tmp_path / "candles.csv", bars(range(100))))
    reading = candles.bars()
    next(reading)

    reading.close()

    assert candles._raw is not None
    assert candles._raw.closed


def test_the_first_candle_may_open_at_any_minute(tmp_path: Path) -> None:
    late = [each._replace(open_us=each.open_us + 17 * MINUTE_US) for each in bars(range(3))]

    assert read(tmp_path, csv_text(map(cells, late))) == late
    assert late[0].open_us != START_US
