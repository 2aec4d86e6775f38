"""A set of bots in a fleet that runs: made, changed a few at a time, ended; one story, in the order of the file."""

from collections.abc import Iterator

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

BOTS = 3
SET = """
apiVersion: tradefleet.dev/v1alpha1
kind: BotSet
metadata: {name: many}
spec:
  maxUnavailable: 1
  matrix:
    strategies: [{name: sma-cross, params: {slow: 30}, paramLists: {fast: [5, 10, 15]}}]
    instruments: [BTC-USD]
  template: {spec: {exchangeRef: {name: simulator}, wallet: {USD: "1000"}, feedRef: {name: replay}, seed: SEED}}
"""

BOTS_NOW = "SELECT (spec ->> 'seed')::int, generation, status FROM tradefleet.resource WHERE kind = 'TradingBot'"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("sets")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def test_a_set_comes_up_with_its_bots(fleet: FleetCommands) -> None:
    market = files.market(speed="60x", bars=100_000)
    fleet.ok("up", files.write(fleet.work / "fleet.yaml", market, SET.replace("SEED", "1")))

    status = _set(fleet)["status"]

    assert (status["bots"], status["ready"], status["updated"], status["phase"]) == (BOTS, BOTS, BOTS, "Running")


def test_a_change_goes_through_the_set_one_bot_at_a_time(fleet: FleetCommands) -> None:
    fleet.ok("apply", files.write(fleet.work / "set.yaml", SET.replace("SEED", "2")))

    looks: list[tuple[int, int]] = []

    def is_through() -> bool:
        changed = [row for row in fleet.query(BOTS_NOW) if row[0] == 2]
        looks.append((len(changed), sum(not _is_ready(*row[1:]) for row in changed)))
        return looks[-1] == (BOTS, 0)

    fleet.wait_for("all bots have the change", is_through)
    assert max(down for _, down in looks) == 1
    assert {1, 2} <= {changed for changed, _ in looks}, "the others went on meanwhile"
    fleet.wait_for("the set says so", lambda: _set(fleet)["status"]["updated"] == BOTS)
    assert {bot["metadata"]["generation"] for bot in fleet.values("tb")} == {2}


def test_a_deleted_set_takes_its_bots_along(fleet: FleetCommands) -> None:
    fleet.ok("delete", "bs", "many")

    left = "SELECT name FROM tradefleet.resource WHERE kind IN ('BotSet', 'TradingBot')"
    fleet.wait_for("the bots are gone", lambda: fleet.query(left) == [])
    fleet.ok("audit")


def _set(fleet: FleetCommands) -> dict:
    return fleet.values("bs", "many")[0]


def _is_ready(generation: int, status: dict) -> bool:
    is_judged = status.get("observedGeneration") == generation
    return is_judged and any(each["type"] == "Ready" and each["status"] == "True" for each in status["conditions"])
