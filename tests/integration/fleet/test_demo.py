"""The demo on two small files: it ends by itself, and its ledger is that of the backtest on the same resources."""

import re
import signal
from pathlib import Path

import pytest
from governor.local.demo import fleet_of_files

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands
from tradefleet.resources.documents import read_documents
from tradefleet.resources.load import Loaded
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.run import run_backtest

BARS = 150


def test_the_demo_ends_with_a_ranking_a_clean_audit_and_the_ledger_of_the_backtest(tmp_path: Path) -> None:
    paths = [
        files.candles(tmp_path / "mine_BTC-USD_1m.csv", "BTC-USD", bars=BARS, price="7000"),
        files.candles(tmp_path / "mine_LTC-USD_1m.csv", "LTC-USD", bars=BARS, price="120"),
    ]
    fleet = FleetCommands(tmp_path / "fleet", tmp_path)

    out = fleet.ok(
        "demo",
        *(part for path in paths for part in ("--data", str(path))),
        "--data-dir",
        str(fleet.folder),
        "--report",
        str(tmp_path / "report.html"),
    )

    assert fleet.processes() == []
    ranking = out.partition("ranked by VsHold")[2].partition("\n\n")[0]
    assert ranking.count("\ndemo-") == 8
    assert "a bot's ledger has no gap" in out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "demo-buy-and-hold-btc-usd" in page
    ledger = re.search(r"^ledger +([0-9a-f]{64})$", out, re.MULTILINE)
    assert ledger is not None, out
    assert ledger[1] == _ledger_of_backtest(paths)


@pytest.mark.parametrize("speed", ["lockstep", "max"])
def test_a_demo_without_trades_fails(tmp_path: Path, speed: str) -> None:
    """There is no bar after the one that the bots decide on, however far they are ahead of the exchange."""
    path = files.candles(tmp_path / "mine_BTC-USD_1m.csv", "BTC-USD", bars=1, price="7000")
    fleet = FleetCommands(tmp_path / "fleet", tmp_path)

    done = fleet.run("demo", "--data", str(path), "--speed", speed, "--report", str(tmp_path / "report.html"))

    assert done.code == 1, done.text
    assert "no bot has traded" in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_ended_early_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    path = files.candles(tmp_path / "mine_BTC-USD_1m.csv", "BTC-USD", bars=5000, price="7000")
    fleet = FleetCommands(tmp_path / "fleet", tmp_path)
    process = fleet.start("demo", "--data", str(path), "--data-dir", str(fleet.folder))
    assert process.stdout is not None
    for line in process.stdout:
        if " Running" in line:
            break

    process.send_signal(number)
    process.communicate(timeout=120)

    assert process.returncode == code
    assert fleet.processes() == []
    assert not (tmp_path / "tradefleet-demo.html").exists()


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> None:
    assert not FleetCommands(tmp_path / "fleet", tmp_path).processes()


def _ledger_of_backtest(paths: list[Path]) -> str:
    document = read_documents("{}", "<demo>")[0]
    wanted = fleet_of_files(paths, speed="lockstep")
    loaded = [Loaded(resource=each, file="<stdin>", document=document) for each in wanted.resources]
    return run_backtest(plan_backtest(loaded, Wish())).ledger_hash
