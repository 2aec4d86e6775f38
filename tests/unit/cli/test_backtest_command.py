"""`tradefleet backtest`: from files to a table, a report, a ledger, and an exit status."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest
import yaml

from tests.unit.backtest.scenes import BACKTEST, BOT, BTC, EXCHANGE, LTC, MARKET, candle_file
from tests.unit.cli.running import Run, run

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "quickstart"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fleet.yaml").write_text(EXCHANGE + MARKET + BOT)
    (tmp_path / "no-data.yaml").write_text(EXCHANGE + BOT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrong(result: Run) -> str:
    """Return the error of a command that ended with 2 and printed nothing else."""
    assert (result.status, result.out) == (2, "")
    assert "Traceback" not in result.err
    assert all(line.startswith("error: ") for line in result.err.splitlines())
    return result.err


def test_the_table_ranks_the_bots_and_says_what_was_played(fleet: Path) -> None:
    result = run("backtest", "fleet.yaml")
    assert result.status == 0, result.err
    title, head, row, *rest = result.out.splitlines()
    assert "synthetic" in title
    assert head.split()[:2] == ["Bot", "Strategy"]
    assert row.split()[:3] == ["trend", "sma-cross", "BTC-USD"]
    assert any(line.startswith("ledger  ") for line in rest)
    assert any(line.startswith("hash    ") for line in rest)


def test_two_runs_are_alike_but_for_nothing(fleet: Path) -> None:
    assert run("backtest", "fleet.yaml", "-o", "json") == run("backtest", "fleet.yaml", "-o", "json")


def test_the_ledger_file_has_the_hash_that_is_printed(fleet: Path) -> None:
    result = run("backtest", "fleet.yaml", "--ledger", "ledger.txt", "-o", "json")
    printed = json.loads(result.out)["ledgerHash"]
    assert hashlib.sha256((fleet / "ledger.txt").read_bytes()).hexdigest() == printed
    assert "ledger written to ledger.txt" in result.err
    assert " fill default/trend " in (fleet / "ledger.txt").read_text()


def test_the_report_is_one_html_file(fleet: Path) -> None:
    result = run("backtest", "fleet.yaml", "--report", "report.html")
    assert result.status == 0, result.err
    text = (fleet / "report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "trend" in text


@pytest.mark.parametrize("output", ["csv", "json", "yaml", "wide"])
def test_other_forms_hold_the_same_figures(fleet: Path, output: str) -> None:
    result = run("backtest", "fleet.yaml", "-o", output)
    assert result.status == 0, result.err
    assert result.err == ""
    equity = json.loads(run("backtest", "fleet.yaml", "-o", "json").out)["bots"][0]["equity"]
    match output:
        case "csv":
            assert next(csv.DictReader(io.StringIO(result.out)))["equity"] == equity
        case "json" | "yaml":
            assert yaml.safe_load(result.out)["bots"][0]["equity"] == equity
        case _:
            assert "Slippage" in result.out.splitlines()[1]


def test_given_data_takes_the_place_of_the_files_own(fleet: Path) -> None:
    candle_file(fleet, BTC, bars=80)
    result = run("backtest", "no-data.yaml", "--data", "test_BTC-USD_1m.csv", "-o", "json")
    assert result.status == 0, result.err
    values = json.loads(result.out)
    assert values["data"]["bars"] == 80
    assert values["synthetic"] is False


def test_a_file_whose_name_says_nothing_is_described_by_options(fleet: Path) -> None:
    candle_file(fleet, BTC, bars=80, name="prices.csv")
    described = ("--instrument", "BTC-USD", "--interval", "1m")
    assert run("backtest", "no-data.yaml", "--data", "prices.csv", *described).status == 0
    assert "state --instrument" in wrong(run("backtest", "no-data.yaml", "--data", "prices.csv"))
    assert "--data" in wrong(run("backtest", "fleet.yaml", *described))


def test_a_range_is_read_as_days_or_times(fleet: Path) -> None:
    result = run(
        "backtest", "fleet.yaml", "--from", "2024-01-01T01:00:00Z", "--to", "2024-01-01T02:00:00Z", "-o", "json"
    )
    assert json.loads(result.out)["data"]["steps"] == 60


def test_one_backtest_is_run_by_its_name(fleet: Path) -> None:
    (fleet / "trial.yaml").write_text(BACKTEST)
    result = run("backtest", "fleet.yaml", "trial.yaml", "--backtest", "trial", "-o", "json")
    assert [each["bot"] for each in json.loads(result.out)["bots"]] == ["default/trial"]


def test_the_example_of_the_help_runs() -> None:
    result = run("backtest", str(EXAMPLE), "-o", "json")
    assert result.status == 0, result.err
    values = json.loads(result.out)
    assert len(values["bots"]) == 8
    assert values["synthetic"] is True


def test_a_strategy_that_raises_ends_with_1_and_names_bot_hook_time_and_line(fleet: Path) -> None:
    (fleet / "breaking_bots.py").write_text(
        "from workloads.strategy.api import Strategy\n\n\nclass Breaks(Strategy):\n"
        "    def on_bar(self, bar):\n        raise ValueError('no more')\n"
    )
    (fleet / "breaks.yaml").write_text(
        EXCHANGE + MARKET + BOT.replace("sma-cross, params: {fast: 5, slow: 20}", '"breaking_bots:Breaks"')
    )
    result = run("backtest", "breaks.yaml", "--ledger", "out.txt", "--report", "out.html")
    assert (result.status, result.out) == (1, "")
    assert "bot default/trend: on_bar at 2024-01-01T00:01:00Z raised ValueError: no more" in result.err
    assert "breaking_bots.py:6 in on_bar: raise ValueError('no more')" in result.err
    assert not (fleet / "out.txt").exists()
    assert not (fleet / "out.html").exists()


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.yaml",), "nothing.yaml: there is no such file or folder; check the path"),
        (("fleet.yaml", "-o", "xml"), "-o xml: must be one of table, wide, json, yaml, csv"),
        (("fleet.yaml", "--from", "yesterday"), "--from yesterday: must be a UTC day or time"),
        (("fleet.yaml", "--from", "2030-01-01"), "there is no bar in the range"),
        (("fleet.yaml", "--data", "nowhere_BTC-USD_1m.csv"), "nowhere_BTC-USD_1m.csv: there is no such file"),
        (("fleet.yaml", "--report", "missing/report.html"), "--report missing/report.html: there is no folder missing"),
        (("fleet.yaml", "--backtest", "trial"), "there is no Backtest trial"),
        (("no-data.yaml",), "no-data.yaml:"),
    ],
)
def test_wrong_input_is_one_clear_message_and_exit_status_2(
    fleet: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in wrong(run("backtest", *arguments))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("kind: TradingBot", "kind: TradingBto", "did you mean TradingBot?"),
        ("wallet:", "walet:", "did you mean wallet?"),
        ("name: sma-cross", "name: sma-crss", "did you mean sma-cross?"),
        ("fast: 5", "fsat: 5", "did you mean fast?"),
        ("fast: 5", "fast: 0", "must be >= 2, was 0"),
        ("instruments: [BTC-USD]\n  wallet", "instruments: [BTC-EUR]\n  wallet", "BTC-EUR has no tick and lot"),
        ('USD: "10000"', 'BTC: "1"', "quoted in USD"),
        (', tickSize: "0.01", lotSize: "0.0001", minNotional: "1"', "", "each with its tickSize and lotSize"),
    ],
)
def test_a_wrong_resource_is_named_with_file_line_field_and_remedy(
    fleet: Path, before: str, after: str, message: str
) -> None:
    text = EXCHANGE + MARKET + BOT
    assert before in text
    (fleet / "fleet.yaml").write_text(text.replace(before, after))
    found = wrong(run("backtest", "fleet.yaml"))
    assert message in found
    assert found.startswith("error: fleet.yaml:")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1704067260000,1,0.5,2,1,1", "0.5 is below low 2"),
        ("1704067200000,1,1,1,1,1", "line 4"),
        ("1704067080000,1,1,1,1,1", "comes after"),
        ("1704067260000,1,1,1,nan,1", "must be a finite number"),
        ("1704067260000,1,1", "line 4"),
    ],
    ids=["high-below-low", "duplicate", "out-of-order", "no-number", "cut-off"],
)
def test_a_broken_candle_is_named_with_its_line(fleet: Path, line: str, message: str) -> None:
    head = "open_time,open,high,low,close,volume\n1704067140000,1,1,1,1,1\n1704067200000,1,1,1,1,2\n"
    (fleet / "bad_BTC-USD_1m.csv").write_text(head + line + "\n")
    found = wrong(run("backtest", "no-data.yaml", "--data", "bad_BTC-USD_1m.csv", "--ledger", "out.txt"))
    assert "bad_BTC-USD_1m.csv line 4" in found
    assert message in found
    assert not (fleet / "out.txt").exists()


def test_a_corrupt_data_file_is_named(fleet: Path) -> None:
    candle_file(fleet, BTC, bars=80, name="cut_BTC-USD_1m.csv.gz")
    path = fleet / "cut_BTC-USD_1m.csv.gz"
    path.write_bytes(path.read_bytes()[:200])
    assert "cut_BTC-USD_1m.csv.gz" in wrong(run("backtest", "no-data.yaml", "--data", str(path)))


def test_data_without_the_bots_instrument_is_named_at_the_bot(fleet: Path) -> None:
    candle_file(fleet, LTC, bars=80)
    found = wrong(run("backtest", "no-data.yaml", "--data", "test_LTC-USD_1m.csv"))
    assert "spec.instruments[0]" in found
    assert "BTC-USD" in found
