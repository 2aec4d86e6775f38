"""A broker that has lost its data: what Postgres holds goes on, and a simulator's accounts are not made up anew."""

import json
import shutil
from pathlib import Path

from governor.local.broker import TOPICS

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands


def test_a_simulator_says_that_its_journal_is_lost_and_a_new_one_starts(tmp_path: Path) -> None:
    fleet = FleetCommands(tmp_path / "fleet", tmp_path)
    market = files.market(speed="300x", bars=100_000)
    try:
        fleet.ok("up", files.write(tmp_path / "fleet.yaml", market, files.bot("hold", "{name: buy-and-hold}")))
        fleet.wait_for("a position", lambda: bool(fleet.bot("hold")["status"].get("position")))
        fleet.ok("down")
        shutil.rmtree(fleet.home.kafka / TOPICS)

        assert fleet.run("up", "--timeout", "60").code == 1

        exchange = fleet.values("ex", "simulator")[0]
        assert [each["reason"] for each in exchange["status"]["conditions"] if each["type"] == "Stalled"] == [
            "JournalLost"
        ]
        assert "its journal is lost" in exchange["status"]["reason"]
        assert fleet.query("SELECT count(*) FROM tradefleet.venue_request WHERE NOT is_settled") == [(0,)]
        renamed = files.EXCHANGE.replace("simulator}", "another}")
        fleet.ok("apply", files.write(tmp_path / "another.yaml", renamed))
        fleet.wait_for("the other exchange is Ready", lambda: '"Ready", "status": "True"' in _conditions(fleet))
    finally:
        fleet.stop()
    assert fleet.processes() == []


def _conditions(fleet: FleetCommands) -> str:
    found = fleet.values("ex", "another")[0]["status"]["conditions"]
    return json.dumps([{"type": each["type"], "status": each["status"]} for each in found])
