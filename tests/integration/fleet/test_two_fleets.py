"""Two fleets of the same resources on one machine: neither notices the other, and nobody else can reach them.

The tests are one story and run in the order of the file.
"""

import ipaddress
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import COMMAND_S, FleetCommands
from tests.integration.local.sockets import listening_addresses

Pair = tuple[FleetCommands, FleetCommands]


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two fleets that were started at the same moment, from files that say the same."""
    made, starting = [], []
    for name in ("one", "two"):
        work = tmp_path_factory.mktemp(name)
        made.append(FleetCommands(work / "fleet", work))
    try:
        for fleet in made:
            market = files.market(speed="300x", bars=100_000)
            path = files.write(fleet.work / "fleet.yaml", market, files.bot("hold", "{name: buy-and-hold}"))
            starting.append(fleet.start("up", path))
        for fleet, process in zip(made, starting, strict=True):
            assert process.wait(COMMAND_S) == 0, fleet.log_tail()
        yield made[0], made[1]
    finally:
        for process in starting:
            _end(process)
        for fleet in made:
            fleet.stop()
    assert [fleet.processes() for fleet in made] == [[], []]


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_both_trade(fleets: Pair) -> None:
    one, two = fleets

    one.wait_for("a fill", lambda: _has_traded(one))
    two.wait_for("a fill", lambda: _has_traded(two))


def test_each_has_its_own_identity_and_processes(fleets: Pair) -> None:
    one, two = fleets
    uids = [{row[0] for row in fleet.query("SELECT uid FROM tradefleet.resource")} for fleet in fleets]

    assert one.home.facts().fleet != two.home.facts().fleet
    assert uids[0].isdisjoint(uids[1])
    assert set(one.processes()).isdisjoint(two.processes())


def test_everything_that_listens_does_so_on_loopback(fleets: Pair) -> None:
    found = {fleet: _listening(fleet) for fleet in fleets}

    for fleet, sockets in found.items():
        assert {address for address, _ in sockets if not ipaddress.ip_address(address).is_loopback} == set()
        # Postgres, the broker (two doors), the simulator's, and the health pages of its four processes.
        assert len({port for _, port in sockets}) >= 8, fleet.log_tail()
    one, two = ({port for _, port in sockets} for sockets in found.values())
    assert one.isdisjoint(two)


def test_a_halt_of_one_is_none_of_the_other(fleets: Pair) -> None:
    one, two = fleets

    one.ok("halt", "--reason", "a drill")

    assert "is halted" in one.ok("halt", "--show")
    assert "is halted" not in two.ok("halt", "--show")
    one.ok("halt", "--clear")


def test_a_change_of_one_is_none_of_the_other(fleets: Pair) -> None:
    one, two = fleets

    one.ok("apply", files.write(one.work / "more.yaml", files.bot("another", "{name: dca}")), "--wait")

    assert one.ok("get", "tb", "-o", "name").split() == ["tradingbot/another", "tradingbot/hold"]
    assert two.ok("get", "tb", "-o", "name").split() == ["tradingbot/hold"]


def test_one_goes_on_when_the_other_is_killed_and_stopped(fleets: Pair) -> None:
    one, two = fleets
    one.kill_supervisor()

    two.wait_for("more bars", _grows(two))
    one.ok("up")
    one.ok("down")

    two.wait_for("more bars", _grows(two))
    two.ok("audit")


def _has_traded(fleet: FleetCommands) -> bool:
    return fleet.query("SELECT count(*) > 0 FROM tradefleet.fill")[0][0]


def _grows(fleet: FleetCommands) -> Callable[[], bool]:
    """Return whether there are more bars than at this moment."""
    before = _bars(fleet)
    return lambda: _bars(fleet) > before


def _bars(fleet: FleetCommands) -> int:
    return fleet.query("SELECT sum(last_seq) FROM tradefleet.stream WHERE starts_with(stream, 'bars/')")[0][0]


def _listening(fleet: FleetCommands) -> set[tuple[str, int]]:
    found = set()
    for pid in fleet.processes():
        if Path(f"/proc/{pid}").exists():
            found |= listening_addresses(pid)
    return found
