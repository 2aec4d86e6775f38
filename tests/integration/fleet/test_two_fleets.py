"""Two fleets on one machine, each in its folder: neither knows of the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FleetCommands, FleetCommands]]:
    work = tmp_path_factory.mktemp("side-by-side")
    both = FleetCommands(work / "one", work), FleetCommands(work / "two", work)
    yield both
    for each in both:
        each.stop()
        assert each.processes() == []


def _bars(fleet: FleetCommands) -> int:
    return fleet.values("fd", "replay")[0]["status"].get("bars") or 0


def _goes_on(fleet: FleetCommands) -> None:
    bars = _bars(fleet)
    fleet.wait_for("more bars", lambda: _bars(fleet) > bars)


def test_two_fleets_run_side_by_side(fleets: tuple[FleetCommands, FleetCommands]) -> None:
    one, two = fleets
    market = files.market(speed="300x", bars=100_000)
    started = [
        each.start("up", files.write(each.work / f"{name}.yaml", market, files.bot(name, "{name: buy-and-hold}")))
        for each, name in ((one, "alpha"), (two, "beta"))
    ]
    for process in started:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "the fleet is up" in out

    assert [each["metadata"]["name"] for each in one.values("tb")] == ["alpha"]
    assert [each["metadata"]["name"] for each in two.values("tb")] == ["beta"]
    _goes_on(one)
    _goes_on(two)


def test_the_death_of_one_is_nothing_to_the_other(fleets: tuple[FleetCommands, FleetCommands]) -> None:
    one, two = fleets
    processes = set(two.processes())

    one.kill_supervisor()

    _goes_on(two)
    assert set(two.processes()) == processes
    assert one.run("get").code == 2


def test_what_a_killed_fleet_left_is_cleared_by_its_own_up_alone(fleets: tuple[FleetCommands, FleetCommands]) -> None:
    one, two = fleets
    processes = set(two.processes())

    one.ok("up")

    _goes_on(one)
    assert set(two.processes()) == processes
    one.ok("down")
    _goes_on(two)


def test_a_folder_belongs_to_one_fleet_at_a_time(fleets: tuple[FleetCommands, FleetCommands]) -> None:
    _, two = fleets

    done = two.run("up", "--data-dir", str(Path(two.folder) / ".." / "two"))

    assert done.code == 2, done.text
    assert "is running already" in done.err
