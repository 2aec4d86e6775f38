"""Many bots in one process, and a policy that halts them. The tests are one story and run in the order of the file."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

HOST = "host-default-simulator-0"
RAISING = "13"
GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"
BUSY = "{name: random, params: {probability: 0.5}}"
INJECTED = Path(__file__).with_name("injected")
POLICY = """
apiVersion: tradefleet.dev/v1alpha1
kind: RiskPolicy
metadata: {name: careful}
spec:
  selector: {matchLabels: {team: busy}}
  halt: HALT
"""
RISING = """
SELECT count(*) FROM tradefleet.trade_order
WHERE side = 'BUY' AND bot = %s AND event_no > (
    SELECT max(set_no) FROM tradefleet.halt_period WHERE scope = 'policy/' || %s
) AND status <> 'DENIED'"""


def shared(name: str, strategy: str, *, more: str = "", labels: str = "") -> str:
    text = files.bot(name, strategy) + "  placement: Shared\n" + more
    return text.replace(f"{{name: {name}}}", f"{{name: {name}, labels: {{{labels}}}}}", 1)


def bots() -> list[str]:
    """Twenty shared bots: some that trade all the time, some that rest orders, one that raises."""
    found = [shared(f"busy-{number}", BUSY, more=f"  seed: {number}\n", labels="team: busy") for number in range(4)]
    found += [shared(f"grid-{number}", GRID) for number in range(5)]
    found += [shared(f"dca-{number}", "{name: dca, params: {every_bars: 5}}") for number in range(10)]
    return [*found, shared("bad", f"{{name: dca, params: {{purchases: {RAISING}}}}}")]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("shared")
    commands = FleetCommands(folder / "fleet", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(INJECTED), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("RAISING_PURCHASES", RAISING)
        yield commands
        commands.stop()
    assert commands.processes() == []


def _host_pid(fleet: FleetCommands) -> int:
    path = fleet.home.processes / f"{HOST}.process"
    return int(json.loads(path.read_text())["pid"]) if path.exists() else 0


def _phases(fleet: FleetCommands) -> dict[str, str]:
    return {each["metadata"]["name"]: each["status"].get("phase", "") for each in fleet.values("tb")}


def _fills(fleet: FleetCommands, name: str) -> int:
    return fleet.query("SELECT count(*) FROM tradefleet.fill WHERE bot = %s", [f"default/{name}"])[0][0]


def _positions(fleet: FleetCommands, name: str) -> int:
    statement = "SELECT input_count FROM tradefleet.bot WHERE bot = %s AND retired IS NULL"
    return fleet.query(statement, [f"default/{name}"])[0][0]


def _neighbours_go_on(fleet: FleetCommands, pid: int) -> None:
    before = {name: _positions(fleet, name) for name in ("busy-0", "grid-4")}
    for name, inputs in before.items():
        fleet.wait_for(f"{name} goes on", lambda name=name, inputs=inputs: _positions(fleet, name) > inputs)
    assert _host_pid(fleet) == pid, "the host was started again"


def test_twenty_bots_run_in_one_process_and_the_one_that_raises_is_put_out(fleet: FleetCommands) -> None:
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="60x", bars=100_000), *bots())

    fleet.ok("up", path, "--no-wait")

    fleet.wait_for("the bad one is out", lambda: _phases(fleet).get("bad") == "Failed", timeout_s=120)
    assert "ZeroDivisionError: as a bug" in fleet.bot("bad")["status"]["reason"]
    fleet.wait_for(
        "the others run", lambda: {phase for name, phase in _phases(fleet).items() if name != "bad"} == {"Running"}
    )
    names = {path.stem for path in fleet.home.processes.glob("*.process")}
    assert names == {HOST, "feed-default-replay", "gateway-default-simulator", "venue-default-simulator"}
    assert fleet.bot("grid-0")["status"]["host"] == HOST


def test_deleted_bots_go_without_their_neighbours(fleet: FleetCommands) -> None:
    pid = _host_pid(fleet)

    fleet.ok("delete", "tb", "grid-0", "bad")

    assert not {"grid-0", "bad"} & _phases(fleet).keys()
    _neighbours_go_on(fleet, pid)


def test_new_parameters_and_a_pause_restart_nobody(fleet: FleetCommands) -> None:
    pid = _host_pid(fleet)
    changed = shared("dca-1", "{name: dca, params: {every_bars: 7}}")

    fleet.ok("apply", files.write(fleet.work / "changed.yaml", changed), "--wait")
    fleet.ok("pause", "dca-2")

    generation = "SELECT record_generation FROM tradefleet.bot WHERE bot = 'default/dca-1'"
    fleet.wait_for("its new generation", lambda: fleet.query(generation) == [(2,)])
    fleet.wait_for("Paused", lambda: _phases(fleet)["dca-2"] == "Paused")
    _neighbours_go_on(fleet, pid)


def test_a_bot_moves_to_a_process_of_its_own_and_back_without_a_lost_order(fleet: FleetCommands) -> None:
    pid = _host_pid(fleet)
    own = files.bot("grid-1", GRID)
    epoch = fleet.bot("grid-1")["status"]["epoch"]

    fleet.ok("apply", files.write(fleet.work / "own.yaml", own), "--wait")

    assert (fleet.home.processes / "bot-default-grid-1.process").exists()
    assert "host" not in fleet.bot("grid-1")["status"]
    assert fleet.bot("grid-1")["status"]["epoch"] > epoch
    _neighbours_go_on(fleet, pid)
    inputs = _positions(fleet, "grid-1")
    fleet.wait_for("it trades on", lambda: _positions(fleet, "grid-1") > inputs)

    fleet.ok("apply", files.write(fleet.work / "back.yaml", shared("grid-1", GRID)), "--wait")

    assert not (fleet.home.processes / "bot-default-grid-1.process").exists()
    assert fleet.bot("grid-1")["status"]["host"] == HOST
    _neighbours_go_on(fleet, pid)


def test_a_policy_halts_its_bots_within_a_second(fleet: FleetCommands) -> None:
    policy = files.write(fleet.work / "policy.yaml", POLICY.replace("HALT", "true"))
    fleet.wait_for("it buys", lambda: _fills(fleet, "busy-0") > 0)

    fleet.ok("apply", policy)
    applied_us = fleet.query(
        "SELECT max(at_us) FROM tradefleet.audit_log WHERE object LIKE '%%careful' AND action <> 'halt'"
    )[0][0]
    halted = "SELECT max(changed_us), count(*) FROM tradefleet.halt WHERE scope LIKE 'policy/default/busy-%%' AND is_on"
    fleet.wait_for("all four are halted", lambda: fleet.query(halted)[0][1] == 4)

    assert fleet.query(halted)[0][0] - applied_us < 1_000_000
    time.sleep(3)  # market time goes on: an hour of orders
    for number in range(4):
        assert fleet.query(RISING, [f"default/busy-{number}", f"default/busy-{number}"]) == [(0,)]
    status = fleet.values("rp", "careful")[0]["status"]
    assert (status["bots"], status["haltedBots"], status["state"]) == (4, 4, "Halted")
    assert "RiskPolicy default/careful" in fleet.bot("busy-0")["status"]["reason"]


def test_a_new_bot_that_the_policy_chooses_never_buys(fleet: FleetCommands) -> None:
    new = shared("busy-9", BUSY, labels="team: busy")

    fleet.ok("apply", files.write(fleet.work / "new.yaml", new), "--wait")

    denied = "SELECT count(*) FROM tradefleet.trade_order WHERE bot = 'default/busy-9' AND reason = 'HALTED'"
    fleet.wait_for("its buys are denied", lambda: fleet.query(denied)[0][0] > 0)
    assert _fills(fleet, "busy-9") == 0


def test_the_policys_end_leaves_what_a_person_halted(fleet: FleetCommands) -> None:
    fleet.ok("halt", "tb/busy-1", "--reason", "a test")

    fleet.ok("apply", files.write(fleet.work / "policy.yaml", POLICY.replace("HALT", "false")))

    fleet.wait_for("it buys again", lambda: fleet.query(RISING, ["default/busy-0"] * 2)[0][0] > 0)
    assert "bot/default/busy-1 is halted by" in fleet.ok("halt", "--show")
    assert fleet.query(RISING, ["default/busy-1"] * 2) == [(0,)]
    fleet.ok("halt", "tb/busy-1", "--clear")


def test_everything_decided_is_decided_again(fleet: FleetCommands) -> None:
    fleet.ok("verify-parity", "grid-1")
    fleet.ok("verify-parity", "busy-0")


def test_the_audit_is_clean(fleet: FleetCommands) -> None:
    fleet.ok("audit")
