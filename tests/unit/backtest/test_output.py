"""Tables, CSV and documents: exact amounts, and made-up data labelled wherever it shows."""

import csv
import io
import json
from decimal import Decimal

import pytest
import yaml

from tests.unit.backtest.scenes import BTC, LTC, bot, candle_file, plan
from workloads.backtest.output import COLUMNS, csv_text, document, result_text, summary_lines, table_columns
from workloads.backtest.quick import backtest
from workloads.backtest.results import BacktestResult
from workloads.backtest.run import run_backtest


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    return run_backtest(plan(bot("demo/a"), bot("demo/b", symbols=(LTC,)), notes=("one thing to know",)))


def test_csv_has_a_line_for_each_bot_with_exact_amounts_best_first(result: BacktestResult) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(result))))
    assert [row["bot"] for row in rows] == [each.key for each in result.ranked]
    for row, each in zip(rows, result.ranked, strict=True):
        assert Decimal(row["equity"]) == each.amount(each.equity_atoms)
        assert Decimal(row["fees"]) * 10**8 == each.fees_atoms
        assert each.vs_hold_atoms is not None
        assert Decimal(row["vsHold"]) * 10**8 == each.vs_hold_atoms


def test_made_up_data_is_labelled_in_every_form(result: BacktestResult) -> None:
    assert all(row["synthetic"] == "true" for row in csv.DictReader(io.StringIO(csv_text(result))))
    assert document(result)["synthetic"] is True
    assert "synthetic" in "\n".join(summary_lines(result))
    assert "synthetic" in result_text(result)


def test_recorded_data_is_not_called_synthetic(tmp_path) -> None:
    recorded = backtest("sma-cross", candle_file(tmp_path), fast=5, slow=20)
    assert "synthetic" not in result_text(recorded)
    assert document(recorded)["synthetic"] is False
    assert next(csv.DictReader(io.StringIO(csv_text(recorded))))["synthetic"] == "false"


def test_the_document_can_be_written_as_json_and_yaml_and_names_data_and_ledger(result: BacktestResult) -> None:
    values = document(result)
    assert json.loads(json.dumps(values)) == values
    assert yaml.safe_load(yaml.safe_dump(values)) == values
    assert values["ledgerHash"] == result.ledger_hash
    assert values["data"]["contentHash"] == result.data.content_hash
    assert values["data"]["from"] == "2024-01-01T00:00:00Z"
    assert [each["instrument"] for each in values["data"]["series"]] == [BTC, LTC]
    assert values["notes"] == ["one thing to know"]
    assert values["bots"][0]["parameters"] == {"fast": 5, "slow": 20}


def test_a_table_shows_the_quote_asset_only_where_there_are_several(result: BacktestResult) -> None:
    assert "Quote" not in [column.name for column in table_columns(result)]
    assert [column.name for column in table_columns(result, wide=True)] == [column.name for column in COLUMNS]


def test_text_has_a_line_for_each_bot_below_the_names_of_the_columns(result: BacktestResult) -> None:
    head, *lines = result_text(result).splitlines()
    for name in ("Bot", "Equity", "Return", "Hold", "VsHold", "MaxDD", "Fees", "Fills", "InMarket", "Wins", "Sharpe"):
        assert name in head.split()
    assert [line.split()[0] for line in lines[:2]] == [each.key for each in result.ranked]


def test_a_small_wallet_shows_enough_decimals_to_tell_results_apart() -> None:
    small = run_backtest(plan(bot(wallet={"USD": 2 * 10**8})))  # two dollars
    column = next(each for each in COLUMNS if each.key == "equity")
    assert len(column.text(small.bots[0]).partition(".")[2]) == 5
