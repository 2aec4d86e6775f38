"""Strategies that never return, or eat memory: what their owners read, and that nobody else notices. One story."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

BROKEN_OFF_WITHIN_S = 120  # a minute, and what a busy machine adds to it
STRATEGIES = """
import re
import time

from workloads.strategy.api import Strategy, param


class Loops(Strategy):
    after: int = param(3, ge=1)

    def on_start(self):
        self.seen = 0

    def on_bar(self, bar):
        self.seen += 1
        while self.seen > self.after:
            pass


class Waits(Strategy):
    def on_start(self):
        time.sleep(1_000_000)


class Matches(Strategy):
    def on_bar(self, bar):
        re.match("(a+)+$", "a" * 60 + "b")


class Eats(Strategy):
    def on_bar(self, bar):
        kept = []
        while True:
            kept.append(bytes(2**20))
"""
LIMITED = "  podTemplate: {resources: {limits: {memory: 64Mi}}}\n"
BACKTEST = """
apiVersion: tradefleet.dev/v1alpha1
kind: Backtest
metadata: {name: NAME}
spec:
  datasetRef: {name: short}
  exchangeRef: {name: simulator}
  instruments: [BTC-USD]
  strategy: STRATEGY
  wallet: {USD: "10000"}
"""
SHORT = files.DATASET.replace("made-up", "short").replace("BARS", "100")
LIMIT_REMEDY = "raise podTemplate.resources.limits.memory, or let the strategy keep less"
LOOP_REMEDY = "give the loop an end, or the wait a time-out"
BROKEN_OFF = {
    "loops": "on_bar at 20",
    "matches": 'in on_bar: re.match("(a+)+$", "a" * 60 + "b")',
    "waits": "in on_start: time.sleep(1_000_000)",
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("runaway")
    commands = FleetCommands(folder / "fleet", folder)
    (folder / "runaway.py").write_text(STRATEGIES)
    bots = [
        files.bot("hold", "{name: buy-and-hold}"),
        files.bot("loops", "{name: 'runaway:Loops'}"),
        files.bot("waits", "{name: 'runaway:Waits'}"),
        files.bot("matches", "{name: 'runaway:Matches'}"),
        files.bot("eats", "{name: 'runaway:Eats'}") + LIMITED,
    ]
    grid = "  search: {space: {after: {values: [5, 500]}}}\n"
    backtests = [
        BACKTEST.replace("NAME", "eats").replace("STRATEGY", "{name: 'runaway:Eats'}") + LIMITED,
        BACKTEST.replace("NAME", "loops").replace("STRATEGY", "{name: 'runaway:Loops'}") + grid,
    ]
    market = files.market(speed="60x", bars=20_000)
    commands.ok("up", "--no-wait", files.write(folder / "fleet.yaml", market, SHORT, *bots, *backtests))
    yield commands
    commands.stop()
    assert commands.processes() == []


def _message(fleet: FleetCommands, kind: str, name: str, condition: str) -> str:
    """Return what a condition says that is True; empty when it is not."""
    status = fleet.values(kind, name)[0].get("status", {})
    found = (each for each in status.get("conditions", ()) if each["type"] == condition and each["status"] == "True")
    return next((each["message"] for each in found), "")


def _stalled(fleet: FleetCommands, name: str) -> str:
    return _message(fleet, "tb", name, "Stalled")


def test_a_bot_that_eats_memory_is_refused_more_and_says_so(fleet: FleetCommands) -> None:
    fleet.wait_for("its failure", lambda: LIMIT_REMEDY in _stalled(fleet, "eats"))

    told = _stalled(fleet, "eats")
    assert "needed more memory than its process may use (runaway.py:34 in on_bar: kept.append(bytes(2**20)))" in told
    assert "it is tried again every 30 s" in told
    assert LIMIT_REMEDY in fleet.ok("describe", "tb", "eats")


def test_a_trial_that_eats_memory_fails_with_the_remedy(fleet: FleetCommands) -> None:
    fleet.wait_for("its failure", lambda: LIMIT_REMEDY in _message(fleet, "bt", "eats", "Stalled"))

    assert "runaway.py:34 in on_bar" in _message(fleet, "bt", "eats", "Stalled")


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_a_bot_that_does_not_return_is_broken_off_and_says_where(fleet: FleetCommands, name: str) -> None:
    fleet.wait_for("its failure", lambda: LOOP_REMEDY in _stalled(fleet, name), timeout_s=BROKEN_OFF_WITHIN_S)

    told = _stalled(fleet, name)
    assert BROKEN_OFF[name] in told
    assert "did not return within 45 s and was broken off (runaway.py:" in told
    assert "it is tried again every 30 s" in told
    assert LOOP_REMEDY in fleet.ok("describe", "tb", name), "an event says it, too"


def test_a_trial_that_does_not_return_fails_and_the_others_go_on(fleet: FleetCommands) -> None:
    fleet.wait_for(
        "the end of the grid",
        lambda: fleet.values("bt", "loops")[0].get("status", {}).get("phase") == "Succeeded",
        timeout_s=BROKEN_OFF_WITHIN_S,
    )

    told = _message(fleet, "bt", "loops", "Warning")
    assert told.startswith("1 of 2 trials failed, the first: after=5: bot default/loops: on_bar at ")
    assert told.endswith(LOOP_REMEDY)


def test_nobody_else_was_disturbed(fleet: FleetCommands) -> None:
    before = fleet.bot("hold")["status"]["lastBarTime"]

    fleet.wait_for("the neighbour to trade on", lambda: fleet.bot("hold")["status"]["lastBarTime"] > before)

    assert fleet.bot("hold")["status"]["phase"] == "Running"
    starts = fleet.home.log("bot-default-hold").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line).get("message") == "ready" for line in starts if line.startswith("{")) == 1
    fleet.ok("audit")
