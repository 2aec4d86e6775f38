"""`tradefleet audit` and the demo's own audit: what is wrong is named, and the exit status says so. And the logs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from governor.local.database import Database
from governor.local.folder import ServiceFolder

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands
from tradefleet.domain.errors import FleetError
from tradefleet.store.roles import Component

GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    """A fleet that has traded a short history and is still up."""
    folder = tmp_path_factory.mktemp("audit")
    commands = FleetCommands(folder / "fleet", folder)
    bots = [files.bot("hold", "{name: buy-and-hold}"), files.bot("grid", GRID)]
    path = files.write(folder / "fleet.yaml", files.market(speed="lockstep", bars=120), *bots)
    try:
        commands.ok("up", path)
        commands.wait_for("the end of the replay", lambda: _phase(commands) == "Succeeded")
        yield commands
    finally:
        commands.stop()
    assert commands.processes() == []


def _phase(fleet: FleetCommands) -> str:
    return fleet.values("fd", "replay")[0]["status"]["phase"]


@contextmanager
def damage(fleet: FleetCommands, statement: str, repair: str, *parameters: object) -> Iterator[None]:
    """Do something to the rows, and undo it at the end."""
    fleet.query(statement, parameters)
    try:
        yield
    finally:
        fleet.query(repair, parameters)


def _findings(fleet: FleetCommands) -> list[tuple[str, str, str]]:
    """Return invariant, table and key of all that the audit finds; it must say by its exit status that it did."""
    done = fleet.run("audit", "-o", "json")
    assert done.code == 1, done.text
    return [
        (each["invariant"], finding["table"], finding["key"])
        for each in json.loads(done.out)
        for finding in each["findings"]
    ]


def test_a_fleet_that_traded_has_clean_books(fleet: FleetCommands) -> None:
    found = {each["invariant"]: each for each in json.loads(fleet.ok("audit", "-o", "json"))}

    looked_at = {name for name, each in found.items() if each["checked"]}
    assert found.keys() - looked_at == {
        "a deleted bot has no open orders unless it keeps them",
        "a dead letter that bears money is resolved",
    }


def test_every_fill_is_in_the_gateway_s_log_with_its_ids(fleet: FleetCommands) -> None:
    lines = [json.loads(line) for line in fleet.home.log("gateway-default-simulator").read_text().splitlines()]

    logged = {(line["bot"], line["client_order_id"], line["trade_id"]) for line in lines if "trade_id" in line}
    assert logged
    assert logged == set(fleet.query("SELECT bot, client_order_id, trade_id FROM tradefleet.fill"))
    assert {line["fleet"] for line in lines if "trade_id" in line} == {fleet.home.facts().fleet}


def test_every_line_of_a_bot_s_process_names_the_bot(fleet: FleetCommands) -> None:
    lines = [json.loads(line) for line in fleet.home.log("bot-default-hold").read_text().splitlines()]

    assert {line.get("bot") for line in lines if "bot" in line} == {"default/hold"}


def test_no_log_holds_a_secret(fleet: FleetCommands) -> None:
    services = [ServiceFolder(fleet.home.postgres, "postgres"), ServiceFolder(fleet.home.kafka, "kafka")]
    kept = [entry for service in services for entry in service.remembered().items()]
    secrets = [str(value) for name, value in kept if name.startswith("password.")]
    secrets += [path.read_text(encoding="ascii") for path in fleet.home.processes.glob("*.token")]
    assert len(secrets) > len(Component)

    logs = [path for path in fleet.folder.rglob("*.log") if path.is_file()]  # the topics' files are called so too
    assert len(logs) > 5
    for path in logs:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(secret in text for secret in secrets), path


def test_a_deleted_posting_is_named(fleet: FleetCommands) -> None:
    columns = "fleet, uid, seq, line, book, asset, atoms"
    row = fleet.query(f"SELECT {columns} FROM tradefleet.posting ORDER BY uid, seq DESC, line LIMIT 1")[0]
    key = f"uid {row[1]}, entry {row[2]}, asset {row[5]}"
    fleet.query("DELETE FROM tradefleet.posting WHERE (uid, seq, line) = (%s, %s, %s)", row[1:4])
    try:
        done = fleet.run("audit")
    finally:
        fleet.query(f"INSERT INTO tradefleet.posting ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)", row)

    assert done.code == 1
    assert f"posting {key}: sums to " in done.err
    assert "(every ledger transaction sums to zero per asset)" in done.err


def test_a_changed_fill_is_named(fleet: FleetCommands) -> None:
    trade, order, uid, symbol = fleet.query(
        "SELECT trade_id, client_order_id, uid, symbol FROM tradefleet.fill ORDER BY event_no LIMIT 1"
    )[0]
    changed = "UPDATE tradefleet.fill SET lots = lots {} 1 WHERE trade_id = %s AND client_order_id = %s"

    with damage(fleet, changed.format("+"), changed.format("-"), trade, order):
        found = _findings(fleet)

    assert ("an order's filled lots are its fills", "trade_order", f"order {order}") in found
    assert ("a position is the sum of unique fills", "gateway_blob", f"key bot/{uid}, position {symbol}") in found


@pytest.mark.parametrize("change", ["+ 1000", "- 1"], ids=["from the future", "of a zombie"])
def test_a_row_of_another_epoch_is_named(fleet: FleetCommands, change: str) -> None:
    uid, seq = fleet.query("SELECT uid, seq FROM tradefleet.ledger_entry ORDER BY uid, seq DESC LIMIT 1")[0]
    changed = "UPDATE tradefleet.ledger_entry SET epoch = epoch {} WHERE uid = %s AND seq = %s"
    repair = changed.format(change.translate(str.maketrans("+-", "-+")))

    with damage(fleet, changed.format(change), repair, uid, seq):
        found = _findings(fleet)

    assert found == [("only the newest epoch writes", "ledger_entry", f"uid {uid}, entry {seq}")]


def test_a_demo_whose_books_are_wrong_ends_with_1(tmp_path: Path) -> None:
    path = files.candles(tmp_path / "mine_BTC-USD_1m.csv", "BTC-USD", bars=200, price="7000")
    fleet = FleetCommands(tmp_path / "fleet", tmp_path)
    report = tmp_path / "report.html"
    demo = fleet.start("demo", "--data", str(path), "--data-dir", str(fleet.folder), "--report", str(report))
    try:
        fleet.wait_for("a trade", lambda: _spoil(fleet), timeout_s=180)
        out, err = demo.communicate(timeout=200)
    finally:
        demo.kill()

    assert demo.returncode == 1, err
    assert "sums to 1 atoms, must be 0 (every ledger transaction sums to zero per asset)" in out
    assert report.exists()
    assert fleet.processes() == []


def _spoil(fleet: FleetCommands) -> bool:
    """Let a trade have brought an atom more than it cost; False as long as there is none."""
    changed = (
        "UPDATE tradefleet.posting SET atoms = atoms + 1 WHERE ctid IN "
        "(SELECT ctid FROM tradefleet.posting WHERE book = 'TRADE' LIMIT 1)"
    )
    try:
        with psycopg.connect(Database(fleet.home.postgres).dsn(), autocommit=True) as connection:
            return connection.execute(changed).rowcount > 0
    except (FleetError, psycopg.OperationalError, psycopg.errors.UndefinedTable):  # it has not begun yet
        return False
