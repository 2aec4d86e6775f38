"""An exchange that is edited while bots trade on it, and what `verify-parity` makes of records. One story, in order."""

from collections.abc import Iterator

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands

GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"
BOTS = [files.bot("grid", GRID), files.bot("random", "{name: random, params: {probability: 0.9}}")]
MARKET = files.market(speed="300x", bars=100_000)
CHEAP, DEAR = 1_000, 5_000  # parts per million


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("terms")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def test_bots_trade_on_after_an_edit_of_fees_and_least_orders(fleet: FleetCommands) -> None:
    fleet.ok("up", files.write(fleet.work / "fleet.yaml", MARKET, *BOTS))
    fleet.wait_for("trades", lambda: _fills(fleet, "random") > 2 and _fills(fleet, "grid") > 0)
    dearer = MARKET.replace("instruments:\n    -", 'fees: {makerBps: "50", takerBps: "50"}\n  instruments:\n    -', 1)
    dearer = dearer.replace('minNotional: "1"', 'minNotional: "5"')
    assert dearer.count("takerBps") == 1

    fleet.ok("apply", files.write(fleet.work / "dearer.yaml", dearer))

    fleet.wait_for("fills at the new fee", lambda: _fees_ppm(fleet)[-1] == DEAR)
    assert _fees_ppm(fleet)[0] == CHEAP
    fleet.wait_for("the new terms in both records", lambda: _terms(fleet) == {"default/grid": 2, "default/random": 2})
    fleet.wait_for("Ready", lambda: all(_ready(fleet, kind) for kind in ("tb", "ex")))
    out = fleet.ok("verify-parity", "--all")
    assert out.count("the same byte for byte") == 2
    assert fleet.query("SELECT DISTINCT record_generation FROM tradefleet.bot") == [(1,)]
    fleet.ok("audit")


def test_another_tick_is_refused_where_it_is_made(fleet: FleetCommands) -> None:
    done = fleet.run("apply", files.write(fleet.work / "tick.yaml", MARKET.replace('"0.01"', '"0.05"')))

    assert done.code == 2, done.text
    assert "tickSize and lotSize cannot change" in done.err


def test_a_spoilt_snapshot_does_not_matter_to_parity(fleet: FleetCommands) -> None:
    fleet.wait_for("a snapshot", lambda: fleet.query("SELECT 1 FROM tradefleet.bot_snapshot LIMIT 1") != [])
    fleet.query("UPDATE tradefleet.bot_snapshot SET state = 'rubbish'")

    assert fleet.ok("verify-parity", "--all").count("the same byte for byte") == 2


def test_a_request_that_was_changed_behind_the_bots_back_is_found(fleet: FleetCommands) -> None:
    fleet.query(
        "UPDATE tradefleet.outbox SET payload = set_byte(payload, length(payload) - 1, "
        "get_byte(payload, length(payload) - 1) # 1) "
        "WHERE stream = (SELECT 'orders/' || uid FROM tradefleet.bot WHERE bot = 'default/random') AND seq = 2"
    )

    done = fleet.run("verify-parity", "--all")

    assert done.code == 1, done.text
    assert "default/grid: generation 1" in done.out
    assert "DIFFERENT: request 2 differs" in done.out


def _fills(fleet: FleetCommands, bot: str) -> int:
    return int(fleet.query("SELECT count(*) FROM tradefleet.fill WHERE bot = %s", [f"default/{bot}"])[0][0])


def _fees_ppm(fleet: FleetCommands) -> list[int]:
    """Return the fees of all fills of the bot that trades at market, oldest first, as parts of their worth."""
    rows = fleet.query(
        "SELECT round(fee * 1000000 / (price * size)) FROM tradefleet.readable_fill WHERE bot = 'default/random' "
        "ORDER BY market_time"
    )
    return [int(ppm) for (ppm,) in rows]


def _terms(fleet: FleetCommands) -> dict[str, int]:
    """Return how often each bot's record holds terms."""
    rows = fleet.query(
        "SELECT bot, count(*) FROM tradefleet.bot_record_payload JOIN tradefleet.bot USING (fleet, uid) "
        "WHERE encode(payload, 'escape') LIKE '[\"Terms\"%%' GROUP BY bot"
    )
    return dict(rows)


def _ready(fleet: FleetCommands, kind: str) -> bool:
    return all(
        condition["status"] == "True"
        for each in fleet.values(kind)
        for condition in each["status"]["conditions"]
        if condition["type"] == "Ready"
    )
