"""A strategy that raises in a lockstep fleet: what its owner reads then, and after the fleet was started again."""

from collections.abc import Iterator

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

BARS = 20_000  # more than the test can see
BREAKS = """
from workloads.strategy.api import Bar, Strategy


class Breaks(Strategy):
    def on_bar(self, bar: Bar) -> None:
        if self.bars_seen() >= 3:
            raise ZeroDivisionError("nothing left to divide by")

    def bars_seen(self) -> int:
        self.seen = getattr(self, "seen", 0) + 1
        return self.seen
"""


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("broken")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def _status(fleet: FleetCommands) -> tuple[str, str]:
    status = fleet.bot("breaks")["status"]
    return status["phase"], status.get("reason", "")


def test_a_bot_whose_strategy_failed_is_failed_after_a_restart_of_the_fleet_too(fleet: FleetCommands) -> None:
    (fleet.work / "boom.py").write_text(BREAKS)
    bots = [files.bot("hold", "{name: buy-and-hold}"), files.bot("breaks", "{name: 'boom:Breaks'}")]
    market = files.market(speed="lockstep", bars=BARS)
    fleet.run("up", files.write(fleet.work / "fleet.yaml", market, *bots))
    fleet.wait_for("its failure", lambda: _status(fleet)[0] == "Failed")
    phase, reason = _status(fleet)
    assert "raised ZeroDivisionError: nothing left to divide by (boom.py:8 in on_bar: raise ZeroDivision" in reason
    assert "it left the lockstep run at market time 20" in reason

    fleet.ok("down")
    fleet.run("up")

    fleet.wait_for("its failure is known again", lambda: _status(fleet)[0] == "Failed")
    phase, reason = _status(fleet)
    assert "it left the lockstep run at market time 20" in reason, phase
    assert "mend the strategy's code" in reason
    assert "nothing left to divide by (boom.py:8" in fleet.ok("describe", "tb", "breaks")
    assert fleet.bot("hold")["status"]["phase"] == "Running"
