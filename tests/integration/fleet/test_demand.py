"""A market without a Feed: the fleet makes the one that its bots need; one story, in the order of the file."""

from collections.abc import Iterator

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

REPLAY = "    replay: {datasetRefs: [{name: made-up}], speed: SPEED}\n"
SIMULATOR = '  simulator: {market: replay, slippageBps: "2"}\n'
FILLS = "SELECT count(*) FROM tradefleet.fill WHERE bot = %s"
BARS = "SELECT sum(last_seq) FROM tradefleet.stream WHERE starts_with(stream, 'bars/')"


def exchange(speed: str) -> str:
    assert SIMULATOR in files.EXCHANGE
    return files.EXCHANGE.replace(SIMULATOR, '  simulator:\n    slippageBps: "2"\n' + REPLAY.replace("SPEED", speed))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("demand")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def test_a_folder_without_a_feed_trades(fleet: FleetCommands) -> None:
    folder = fleet.work / "resources"
    folder.mkdir()
    files.write(folder / "market.yaml", exchange("300x"), files.DATASET.replace("BARS", "100000"))
    files.write(folder / "alpha.yaml", files.bot("alpha", "{name: buy-and-hold}"))
    files.write(folder / "beta.yaml", files.bot("beta", "{name: buy-and-hold}", "Flatten"))

    fleet.ok("up", str(folder))

    fleet.wait_for("trades", lambda: all(fleet.query(FILLS, [f"default/{name}"])[0][0] for name in ("alpha", "beta")))
    (feed,) = fleet.values("feeds")
    assert feed["metadata"]["name"] == "simulator"
    assert feed["metadata"]["labels"] == {"tradefleet.dev/derived-from": "simulator"}
    assert feed["status"]["bots"] == 2
    assert fleet.values("ex")[0]["status"]["reason"] == "Feed simulator was made for 2 bots"
    fleet.ok("logs", "simulator")


def test_a_feed_that_bots_need_cannot_be_deleted_alone(fleet: FleetCommands) -> None:
    done = fleet.run("delete", "fd", "simulator")

    assert done.code == 2
    assert "belongs to Exchange simulator, which would make it again: it goes when no bot" in done.err


def test_a_feed_of_the_users_own_takes_its_place_and_gives_it_back(fleet: FleetCommands) -> None:
    path = files.write(fleet.work / "own.yaml", files.FEED.replace("SPEED", "300x"))

    fleet.ok("apply", path)
    fleet.wait_for("it is alone", lambda: _feeds(fleet) == {"replay"})
    before = fleet.query(BARS)
    fleet.wait_for("it plays on", lambda: fleet.query(BARS) > before)

    fleet.ok("delete", "-f", path)
    fleet.wait_for("the fleet's own is back", lambda: _feeds(fleet) == {"simulator"})
    before = fleet.query(BARS)
    fleet.wait_for("it plays on", lambda: fleet.query(BARS) > before)


def test_a_changed_replay_is_played(fleet: FleetCommands) -> None:
    fleet.ok("apply", files.write(fleet.work / "faster.yaml", exchange("600x")), "--wait")

    assert fleet.values("fd", "simulator")[0]["spec"]["replay"]["speed"] == "600x"


def test_the_feed_goes_with_the_last_bot_once_that_has_sold(fleet: FleetCommands) -> None:
    fleet.ok("delete", "tb", "alpha")
    assert _feeds(fleet) == {"simulator"}

    fleet.ok("delete", "tb", "beta")

    fleet.wait_for("the feed is released", lambda: _feeds(fleet) == set())
    sold = "SELECT sum(CASE side WHEN 'BUY' THEN lots ELSE -lots END) FROM tradefleet.fill WHERE bot = 'default/beta'"
    assert fleet.query(sold) == [(0,)]
    fleet.wait_for("the exchange is Ready", lambda: fleet.values("ex")[0]["status"].get("phase") == "Running")
    fleet.ok("audit")


def test_a_later_bot_goes_on_with_the_market(fleet: FleetCommands) -> None:
    bars = fleet.query(BARS)

    fleet.ok("apply", files.write(fleet.work / "gamma.yaml", files.bot("gamma", "{name: buy-and-hold}")))

    fleet.wait_for("it trades", lambda: fleet.query(FILLS, ["default/gamma"])[0][0] > 0)
    assert fleet.query(BARS) > bars


def test_the_exchange_takes_its_feed_along(fleet: FleetCommands) -> None:
    fleet.ok("delete", "tb/gamma", "ex/simulator", "dset/made-up")

    fleet.wait_for("nothing is left", lambda: fleet.query("SELECT kind, name FROM tradefleet.resource") == [])


def _feeds(fleet: FleetCommands) -> set[str]:
    return {each["metadata"]["name"] for each in fleet.values("feeds")}
