import json
from pathlib import Path

import pytest

from tests.unit.feeds.candles import bars, cells, csv_text, write_csv
from tests.unit.feeds.sources.test_sql_query import database
from tradefleet.cli.main import main


def run(*arguments: object) -> int:
    """Return the exit status of the command line."""
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return int(caught.value.code or 0)


def check(*arguments: object) -> int:
    return run("data", "check", *arguments)


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one message that a refused command prints."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    return printed.err


def broken(folder: Path) -> Path:
    rows = [cells(each) for each in bars(range(4))]
    rows[2][2] = "1.0"
    path = folder / "coinbase_BTC-USD_1m.csv"
    path.write_text(csv_text(rows), encoding="utf-8")
    return path


def test_a_clean_file_is_checked_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv.gz", bars(range(1_000)))

    assert check(path, "--strict") == 0

    shown = capsys.readouterr().out
    assert "1,000" in shown
    assert "2018-04-04T16:39:00Z" in shown
    assert "Content hash " in shown


def test_gaps_are_named_and_no_reason_to_fail_unless_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars([0, 1, 2, 6]))

    assert check(path) == 0
    assert "line 5: 3 bars missing from 2018-04-04T00:03:00Z to 2018-04-04T00:06:00Z" in capsys.readouterr().out
    assert check(path, "--strict") == 1


def test_a_broken_file_is_checked_with_2_and_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_csv(tmp_path / "coinbase_ETH-USD_1m.csv", bars(range(3)))

    assert check(broken(tmp_path), good) == 2

    shown = capsys.readouterr().out
    assert "coinbase_BTC-USD_1m.csv line 4, field high: 1.0 is below low 99.0; correct the line or take it out" in shown
    assert "Content hash" not in shown


def test_json_says_all_that_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path)

    assert check(path, "-o", "json") == 2

    (found,) = json.loads(capsys.readouterr().out)["sources"]
    assert (found["source"], found["instrument"], found["interval"]) == (str(path), "BTC-USD", "1m")
    assert (found["bars"], found["errors"], found["gaps"]) == (3, 1, 0)
    assert found["findings"][0] == {
        "kind": "error",
        "rule": "high-below-low",
        "source": str(path),
        "place": "line 4",
        "field": "high",
        "message": "1.0 is below low 99.0",
        "remedy": "correct the line or take it out",
        "from": None,
        "to": None,
        "bars": 1,
    }


def test_a_missing_file_is_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "coinbase_BTC-USD_1m.csv") == 2
    assert "coinbase_BTC-USD_1m.csv: there is no such file; check the path" in capsys.readouterr().out


def test_more_findings_than_a_table_shows_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars([0, *range(1, 400, 3), *range(400, 404)]))

    assert check(path) == 0
    assert "more; -o json shows up to a thousand of each rule" in capsys.readouterr().out


def test_the_users_own_database_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRICES_URL", database(tmp_path, bars(range(50))))
    of_series = ("--instrument", "BTC-USD", "--interval", "1m")
    query = "SELECT * FROM candles WHERE symbol = :symbol ORDER BY open_time"

    assert check("--sql-url-env", "PRICES_URL", "--table", "candles", *of_series) == 0
    assert "candles of $PRICES_URL" in capsys.readouterr().out
    assert check("--sql-url-env", "PRICES_URL", "--query", query, "--param", "symbol=BTC-USD", *of_series) == 0
    assert check("--sql-url-env", "PRICES_URL", "--query", query, "--param", "symbol=ETH-USD", *of_series) == 2


def test_columns_format_and_unit_can_be_stated(tmp_path: Path) -> None:
    header = ("Day", "open", "high", "low", "close", "volume")
    path = tmp_path / "candles.txt"
    path.write_text(csv_text([cells(each, 1_000_000) for each in bars(range(5))], header), encoding="utf-8")
    stated = ("--instrument", "BTC-USD", "--interval", "1m", "--format", "csv", "--columns", "open_time=Day")

    assert check(path, *stated) == 0
    assert check(path, *stated, "--time-unit", "s") == 0
    assert check(path, *stated, "--time-unit", "ms") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check",), "data check: name files or datasets"),
        (("import",), "data import: name files"),
        (("check", "a_BTC-USD_1m.csv", "-o", "xml"), "-o xml: must be one of table, json, yaml"),
        (
            ("check", "a_BTC-USD_1m.csv", "--time-unit", "h"),
            "--time-unit h: must be one of auto, s, ms, us, ns, iso8601",
        ),
        (("check", "a_BTC-USD_1m.csv", "--format", "xls"), "--format xls: must be one of csv, parquet"),
        (("check", "a_BTC-USD_1m.csv", "--columns", "time=Day"), "columns: 'time=Day' must be one of open_time"),
        (("check", "a_BTC-USD_1m.csv", "--interval", "hourly"), "interval must be a whole number and one of"),
        (("check", "a_BTC-USD_1m.csv", "--table", "candles"), "say where with --sql-url-env"),
        (
            ("check", "--sql-url-env", "NOT_SET", "--table", "x"),
            "--sql-url-env NOT_SET: this environment variable is not",
        ),
        (("check", "--sql-url-env", "PATH", "--table", "x"), "--sql-url-env: state --instrument and --interval"),
        (("import", "nowhere.csv"), "nowhere.csv: there is no such file; check the path"),
        (("import", "BTC-USD_1m.csv"), "the files are not named after one venue; say where they go with --dataset"),
        (("import", "a_BTC-USD_1m.csv", "--dataset", "Spring!"), "dataset 'Spring!': must be NAME or NAMESPACE/NAME"),
        (
            ("import", "a_BTC-USD_1m.csv", "--exchange", "coinbase"),
            "--exchange coinbase: must be written NAMESPACE/NAME",
        ),
        (("import", "a_BTC-USD_1m.csv"), "there is no database to work on: start a fleet with"),
        (("list",), "there is no database to work on: start a fleet with"),
        (("list", "--data-dir", "nowhere"), "there is no fleet in "),
        (("check", "spring-2018"), "there is no database to work on: start a fleet with"),
    ],
)
def test_a_command_that_cannot_work_says_why_and_what_to_do(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRADEFLEET_HOME", str(tmp_path))
    for variable in ("TRADEFLEET_DATABASE_URL", "TRADEFLEET_DATABASE_URL_FILE", "NOT_SET"):
        monkeypatch.delenv(variable, raising=False)

    assert run("data", *arguments) == 2
    assert message in refusal(capsys)
