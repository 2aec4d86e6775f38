"""The three lines of a strategy's author."""

import runpy
import textwrap
from pathlib import Path

import pytest

from tests.unit.backtest.scenes import BTC, LTC, MINUTE_US, BuysOnce, bot, candle_file, plan, settings, synthetic
from tradefleet.domain.errors import InvalidValue
from workloads.backtest import quick
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.quick import backtest, result_text
from workloads.backtest.run import run_backtest
from workloads.feeds.replay import Replay
from workloads.strategy.registry import StrategyNotFound


def test_a_class_and_a_file_are_enough(tmp_path: Path) -> None:
    result = backtest(BuysOnce, candle_file(tmp_path))
    assert result.bots[0].fills == 3
    assert "BuysOnce" in result_text(result)


def test_the_example_of_the_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    code = textwrap.dedent((quick.__doc__ or "").partition("\n\n")[2].partition("\n\nIt is")[0])
    assert "backtest(" in code
    candle_file(tmp_path, name="coinbase_BTC-USD_1m.csv.gz")
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "example.py"
    script.write_text("from workloads.strategy.builtins.sma_cross import SmaCross\n" + code)
    runpy.run_path(str(script))
    assert "sma-cross" in capsys.readouterr().out


def test_it_is_the_run_of_a_plan(tmp_path: Path) -> None:
    wanted = settings(symbols=(BTC,), slippage_ppm=0)
    config = bot(key=quick.KEY, parameters={"fast": 5, "slow": 20})
    market = MarketPlan(settings=wanted, bots=(config,), replays=(Replay([synthetic(BTC, bars=300)]),))
    lots = {"tick": "0.01", "lot": "0.0001"}
    result = backtest("sma-cross", candle_file(tmp_path, bars=300), fast=5, slow=20, **lots)
    assert result.ledger_hash == run_backtest(BacktestPlan(title="a", markets=(market,))).ledger_hash
    assert run_backtest(plan(bot())).ledger_hash != result.ledger_hash


def test_several_files_are_traded_by_one_bot(tmp_path: Path) -> None:
    result = backtest("buy-and-hold", [candle_file(tmp_path, BTC), candle_file(tmp_path, LTC)], wallet={"USD": "500"})
    assert result.bots[0].config.symbols == (BTC, LTC)
    assert {each.symbol for each in result.bots[0].record.trades} == {BTC, LTC}
    assert result.bots[0].start_atoms == 500 * 10**8


def test_longer_bars_are_made_and_fills_follow_the_finest(tmp_path: Path) -> None:
    result = backtest("buy-and-hold", candle_file(tmp_path, bars=300), interval="15m")
    assert result.bots[0].config.interval_us == 15 * MINUTE_US
    assert len(result.bots[0].record.market_us) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wallet": {"EUR": 5}}, "wallet must hold USD and nothing else, holds EUR"),
        ({"fast": 1}, "parameter fast must be >= 2, was 1"),
        ({"wallet": {"USD": "much"}}, "wallet USD must be a decimal number"),
    ],
)
def test_arguments_that_cannot_be_are_named(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        backtest("sma-cross", candle_file(tmp_path), **arguments)


def test_an_unknown_strategy_is_named_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(StrategyNotFound, match="did you mean sma-cross"):
        backtest("sma-cros", candle_file(tmp_path))


def test_data_of_two_quote_assets_is_refused(tmp_path: Path) -> None:
    files = [candle_file(tmp_path, BTC), candle_file(tmp_path, LTC, name="x_LTC-BTC_1m.csv")]
    with pytest.raises(InvalidValue, match="must be of one quote asset, was of BTC, USD"):
        backtest("buy-and-hold", files)
