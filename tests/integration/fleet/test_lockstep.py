"""A lockstep fleet that a person meddles with, and what is left to do when its replay is over. One story, in order."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

BARS = 1200
GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"
OWN_STRATEGY = '''
from workloads.strategy.api import Bar, Strategy


class EveryTenth(Strategy):
    """Buy or sell on each tenth bar."""

    def on_bar(self, bar: Bar) -> None:
        if self.can_trade() and bar.close_us // 60_000_000 % 10 == 0:
            self.target(0.0 if self.position(bar.symbol).lots else 0.5)
'''
BACKTEST = """
apiVersion: tradefleet.dev/v1alpha1
kind: Backtest
metadata: {name: what-if}
spec:
  datasetRef: {name: made-up}
  exchangeRef: {name: simulator}
  strategy: {name: sma-cross}
  wallet: {USD: "10000"}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("lockstep")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def _market_time(fleet: FleetCommands) -> str:
    return fleet.values("fd", "replay")[0]["status"].get("marketTime", "")


def _open_orders(fleet: FleetCommands, name: str) -> int:
    statement = "SELECT count(*) FROM tradefleet.trade_order WHERE bot = %s AND is_open"
    return fleet.query(statement, [f"default/{name}"])[0][0]


@contextmanager
def stopped(fleet: FleetCommands, name: str) -> Iterator[None]:
    """Stop a process of the fleet for a while, as a debugger does."""
    pids = [pid for pid in fleet.processes() if name in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pids[0], signal.SIGCONT)


def test_a_strategy_of_ones_own_runs_beside_the_built_in_ones(fleet: FleetCommands) -> None:
    (fleet.work / "mybots.py").write_text(OWN_STRATEGY)
    bots = [
        files.bot("hold", "{name: buy-and-hold}"),
        files.bot("early", GRID),
        files.bot("late", GRID),
        files.bot("mine", "{name: 'mybots:EveryTenth'}"),
    ]

    fleet.ok("up", files.write(fleet.work / "fleet.yaml", files.market(speed="lockstep", bars=BARS), *bots))

    fleet.wait_for("its first fill", lambda: (fleet.bot("mine")["status"].get("fills") or 0) > 0)


def test_a_bot_that_is_deleted_leaves_and_the_run_goes_on(fleet: FleetCommands) -> None:
    fleet.ok("delete", "tb", "early")

    assert _open_orders(fleet, "early") == 0
    reached = _market_time(fleet)
    fleet.wait_for("the market goes on", lambda: _market_time(fleet) > reached)


def test_a_bot_that_comes_during_the_run_is_told_to_wait(fleet: FleetCommands) -> None:
    # Nobody goes on without this one: the run cannot end before the newcomer is there.
    with stopped(fleet, "bot-default-mine"):
        fleet.ok("apply", files.write(fleet.work / "new.yaml", files.bot("newcomer", "{name: dca}")))

        fleet.wait_for(
            "the reason", lambda: "began without this bot" in fleet.bot("newcomer")["status"].get("reason", "")
        )
    fleet.ok("delete", "tb", "newcomer")


def test_the_run_comes_to_its_end(fleet: FleetCommands) -> None:
    def is_over() -> bool:
        return fleet.values("fd", "replay")[0]["status"]["phase"] == "Succeeded"

    fleet.wait_for("the end of the replay", is_over, timeout_s=200)
    steps = "SELECT count(DISTINCT market_us) FROM tradefleet.statistics WHERE bot = 'default/hold'"
    assert fleet.query(steps) == [(BARS,)]


def test_bots_can_be_wound_down_after_the_end(fleet: FleetCommands) -> None:
    assert _open_orders(fleet, "late") > 0

    fleet.ok("delete", "tb", "late")

    assert _open_orders(fleet, "late") == 0


def test_everything_decided_is_decided_again(fleet: FleetCommands) -> None:
    assert fleet.ok("verify-parity", "--all").count("the same byte for byte") == 2


def test_a_backtest_is_run_and_reported(fleet: FleetCommands) -> None:
    fleet.ok("apply", files.write(fleet.work / "backtest.yaml", BACKTEST), "--wait")

    status = fleet.values("bt", "what-if")[0]["status"]
    assert status["phase"] == "Succeeded"
    assert status["synthetic"] is True
    assert "vsHold" in status
    assert status["datasetHash"] == fleet.values("dset", "made-up")[0]["status"]["contentHash"]


def test_the_audit_is_clean(fleet: FleetCommands) -> None:
    fleet.ok("audit")
