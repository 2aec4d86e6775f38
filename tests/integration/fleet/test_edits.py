"""What a user changes, deletes and makes again in a fleet that runs: one story, in the order of the file."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"
DELETED_S = 60.0
BARS = "SELECT sum(last_seq) FROM tradefleet.stream WHERE starts_with(stream, 'bars/')"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("edits")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


MARKET = files.market(speed="300x", bars=100_000)
BOTS = [files.bot("grid", GRID), files.bot("sells", "{name: buy-and-hold}", "Flatten")]


def test_a_fleet_trades(fleet: FleetCommands) -> None:
    fleet.ok("up", files.write(fleet.work / "fleet.yaml", MARKET, *BOTS))

    fleet.wait_for("a position", lambda: _position(fleet, "sells") > 0)


def test_a_suspended_feed_leaves_its_exchange_at_work(fleet: FleetCommands) -> None:
    _apply_feed(fleet, suspend=True)

    fleet.wait_for("suspended", lambda: fleet.values("fd", "replay")[0]["status"]["phase"] == "Stopped")
    fleet.wait_for("a simulator without bars", lambda: _configured_intervals(fleet) == {"[]"})
    fleet.wait_for("the exchange is Ready", lambda: _ready(fleet, "ex", "simulator"))
    fleet.ok("audit")


def test_a_feed_that_is_resumed_goes_on(fleet: FleetCommands) -> None:
    bars = fleet.values("fd", "replay")[0]["status"]["bars"]

    _apply_feed(fleet, suspend=False)

    fleet.wait_for("more bars", lambda: fleet.values("fd", "replay")[0]["status"]["bars"] > bars + 10)
    fleet.wait_for("the exchange is Ready", lambda: _ready(fleet, "ex", "simulator"))
    fleet.ok("audit")


def test_an_exchange_that_was_edited_trades_on(fleet: FleetCommands) -> None:
    before = fleet.query("SELECT count(*) FROM tradefleet.fill")
    text = files.EXCHANGE + '  fees: {makerBps: "20", takerBps: "30"}\n'

    fleet.ok("apply", files.write(fleet.work / "exchange.yaml", text), "--wait")

    fleet.wait_for("more fills", lambda: fleet.query("SELECT count(*) FROM tradefleet.fill") > before)
    fleet.ok("audit")


def test_delete_f_ends_everything_that_a_file_names(fleet: FleetCommands) -> None:
    out = fleet.ok("delete", "-f", str(fleet.work / "fleet.yaml"), "--timeout", str(DELETED_S))

    for name in ("tradingbot/grid", "tradingbot/sells", "feed/replay", "dataset/made-up", "exchange/simulator"):
        assert f"{name} deleted" in out
    sold = fleet.query(
        "SELECT coalesce(sum(CASE side WHEN 'BUY' THEN lots ELSE -lots END), 0) FROM tradefleet.fill "
        "WHERE bot = 'default/sells'"
    )
    assert sold == [(Decimal(0),)]
    assert {path.name for path in fleet.home.processes.glob("*.json")} == {"ports.json"}


def test_what_is_made_again_after_edits_runs_again(fleet: FleetCommands) -> None:
    generations = "SELECT max(generation) FROM tradefleet.{}"
    assert fleet.query(generations.format("gateway")) == [(2,)]
    assert fleet.query(generations.format("lease"))[0][0] > 1
    bars = fleet.query(BARS)

    fleet.ok("apply", str(fleet.work / "fleet.yaml"), "--wait")

    assert {each["metadata"]["generation"] for kind in ("ex", "fd", "tb") for each in fleet.values(kind)} == {1}
    fleet.wait_for("more bars", lambda: fleet.query(BARS) > bars)
    fleet.wait_for("a position", lambda: _position(fleet, "sells") > 0)
    fleet.ok("audit")
    fleet.ok("delete", "-f", str(fleet.work / "fleet.yaml"), "--timeout", str(DELETED_S))


def test_a_lockstep_run_over_bars_that_were_played_says_what_to_do(fleet: FleetCommands) -> None:
    lockstep = files.write(fleet.work / "lockstep.yaml", files.market(speed="lockstep", bars=100_000), BOTS[0])

    fleet.ok("apply", lockstep)

    def reasons() -> list[str]:
        conditions = fleet.values("fd", "replay")[0]["status"].get("conditions", [])
        return [each["reason"] for each in conditions if each["type"] == "Stalled" and each["status"] == "True"]

    fleet.wait_for("Stalled", lambda: reasons() == ["PlayedBefore"])
    assert "speed: max" in fleet.values("fd", "replay")[0]["status"]["reason"]
    bars = fleet.query(BARS)
    fleet.ok("apply", files.write(fleet.work / "max.yaml", files.FEED.replace("SPEED", "300x")))
    fleet.wait_for("more bars", lambda: fleet.query(BARS) > bars)


def test_a_bot_that_cannot_sell_may_keep_its_position_after_all(fleet: FleetCommands) -> None:
    _apply_feed(fleet, suspend=False)
    fleet.ok("apply", files.write(fleet.work / "stuck.yaml", files.bot("stuck", "{name: buy-and-hold}", "Flatten")))
    fleet.wait_for("a position", lambda: _position(fleet, "stuck") > 0)
    _apply_feed(fleet, suspend=True)
    fleet.wait_for("suspended", lambda: fleet.values("fd", "replay")[0]["status"]["phase"] == "Stopped")

    fleet.ok("delete", "tb/stuck", "--no-wait")

    fleet.wait_for("no Feed plays", lambda: "no Feed plays" in fleet.bot("stuck")["status"].get("reason", ""))
    keeping = files.bot("stuck", "{name: buy-and-hold}", "CancelOrders")
    more = files.write(fleet.work / "more.yaml", keeping + '  sizing: {fraction: "0.5"}\n')
    assert "is being deleted" in fleet.run("apply", more).err
    fleet.ok("apply", files.write(fleet.work / "keeping.yaml", keeping))
    gone = "SELECT count(*) FROM tradefleet.resource WHERE name = 'stuck'"
    fleet.wait_for("gone", lambda: fleet.query(gone) == [(0,)])
    assert fleet.query("SELECT count(*) FROM tradefleet.trade_order WHERE bot = 'default/stuck' AND is_open") == [(0,)]
    fleet.ok("audit")


def test_a_bot_whose_gateway_is_away_is_let_go_by_force_and_forgotten_when_it_is_back(fleet: FleetCommands) -> None:
    _apply_feed(fleet, suspend=False)
    fleet.ok("apply", files.write(fleet.work / "away.yaml", files.bot("away", GRID)))
    open_orders = "SELECT count(*) FROM tradefleet.trade_order WHERE bot = 'default/away' AND is_open"
    fleet.wait_for("orders that rest", lambda: fleet.query(open_orders) > [(0,)])
    _apply_exchange(fleet, suspend=True)
    fleet.wait_for("suspended", lambda: fleet.values("ex", "simulator")[0]["status"]["phase"] == "Stopped")
    left = fleet.query(open_orders)
    fleet.ok("delete", "tb/away", "--no-wait")

    out = fleet.ok("delete", "tb/away", "--force")

    assert "tradingbot/away let go: what it has open at the venue stays" in out
    assert "tradingbot/away deleted" in out
    assert fleet.query(open_orders) == left > [(0,)]
    events = "SELECT detail FROM tradefleet.audit_log WHERE object LIKE '%%away%%' AND action = 'let go'"
    ((detail,),) = fleet.query(events)
    assert "stay at the venue" in detail["text"]
    fleet.ok("audit")

    _apply_exchange(fleet, suspend=False)

    told = "SELECT count(*) FROM tradefleet.bot_command WHERE bot = 'default/away'"
    fleet.wait_for("its gateway to know, and the fleet to forget", lambda: fleet.query(told) == [(0,)])
    fleet.ok("audit")


def test_a_change_waits_for_a_word_and_no_longer(fleet: FleetCommands) -> None:
    manual = files.bot("careful", "{name: buy-and-hold}") + "  updateStrategy: Manual\n"
    fleet.ok("apply", files.write(fleet.work / "careful.yaml", manual), "--wait")
    changed = files.write(fleet.work / "changed.yaml", manual + '  sizing: {fraction: "0.5"}\n')
    fleet.ok("apply", changed)
    fleet.wait_for("the drift", lambda: _drift(fleet, "careful") == "True")
    running = "SELECT config ->> 'generation' FROM tradefleet.bot_command WHERE bot = 'default/careful'"
    assert fleet.query(running) == [("1",)]

    assert "generation 2 of its spec comes into force" in fleet.ok("rollout", "careful")

    fleet.wait_for("generation 2", lambda: fleet.query(running) == [("2",)])
    fleet.wait_for("no drift", lambda: _drift(fleet, "careful") == "False")
    refused = fleet.run("rollback", "careful")
    assert "there is no such spec to go back to" in refused.err


def _apply_exchange(fleet: FleetCommands, *, suspend: bool) -> None:
    text = files.EXCHANGE + f"  suspend: {str(suspend).lower()}\n"
    fleet.ok("apply", files.write(fleet.work / "exchange.yaml", text))


def _drift(fleet: FleetCommands, name: str) -> str:
    found = fleet.bot(name)["status"].get("conditions", [])
    return next((each["status"] for each in found if each["type"] == "ConfigDrift"), "")


def _apply_feed(fleet: FleetCommands, *, suspend: bool) -> None:
    text = files.FEED.replace("SPEED", "300x") + f"  suspend: {str(suspend).lower()}\n"
    fleet.ok("apply", files.write(fleet.work / "feed.yaml", text))


def _configured_intervals(fleet: FleetCommands) -> set[str]:
    """Return the intervals that the simulator's settings name."""
    settings = json.loads((fleet.home.processes / "venue-default-simulator.json").read_text())
    return {str(each["intervals_us"]) for each in settings["exchange"]["instruments"]}


def _position(fleet: FleetCommands, name: str) -> float:
    return float(fleet.bot(name)["status"].get("position", {}).get("BTC-USD", 0))


def _ready(fleet: FleetCommands, *words: str) -> bool:
    found = fleet.values(*words)[0]["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)
