"""One fleet's life, as a user leads it. The tests are one story and run in the order of the file."""

import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from governor.housekeeping import Housekeeping, Retention
from governor.local.fleet import LocalFleet
from governor.local.results import fleet_result
from governor.workload import Command

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands
from tradefleet.bus.errors import NotDelivered
from tradefleet.bus.kafka import KafkaBus
from tradefleet.domain.ids import AccountId
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.retention import PostgresRetentionStore

GRID = "{name: grid, params: {levels: 5, spacing: 0.01}}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("life")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def test_up_ends_when_everything_is_ready(fleet: FleetCommands) -> None:
    bots = [
        files.bot("hold", "{name: buy-and-hold}"),
        files.bot("cancels", GRID),
        files.bot("sells", GRID, "Flatten"),
        files.bot("keeps", GRID, "Keep"),
    ]
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="300x", bars=100_000), *bots)

    out = fleet.ok("up", path)

    assert "tradingbot/hold created" in out
    assert {each["status"]["phase"] for each in fleet.values("tb")} <= {"Running", "WarmingUp"}
    assert "created" not in fleet.ok("apply", path)


def test_up_on_a_running_fleet_names_apply(fleet: FleetCommands) -> None:
    done = fleet.run("up")

    assert done.code == 2
    assert "is running already" in done.err
    assert "tradefleet apply" in done.err


def test_the_table_shows_each_bot(fleet: FleetCommands) -> None:
    def has_figures() -> bool:
        return all("equity" in each["status"] and "vsHold" in each["status"] for each in fleet.values("tb"))

    fleet.wait_for("every bot has equity and vsHold", has_figures)

    out = fleet.ok("get", "tb", "-o", "wide")

    assert out.splitlines()[1].split()[:3] == ["Name", "Mode", "Exchange"]
    assert {line.split()[0] for line in out.splitlines()[2:]} == {"hold", "cancels", "sells", "keeps"}
    assert fleet.ok("get", "tb", "-o", "name").split() == [
        "tradingbot/cancels",
        "tradingbot/hold",
        "tradingbot/keeps",
        "tradingbot/sells",
    ]


def test_a_paused_bot_says_so_and_keeps_its_generation(fleet: FleetCommands) -> None:
    fleet.wait_for("the bot holds a position", lambda: _position(fleet, "hold") > 0)

    fleet.ok("pause", "hold")

    fleet.wait_for("Paused", lambda: fleet.bot("hold")["status"]["phase"] == "Paused")
    assert fleet.query("SELECT generation FROM tradefleet.bot WHERE bot = 'default/hold'") == [(1,)]


def test_flatten_sells_a_paused_bots_position(fleet: FleetCommands) -> None:
    fleet.ok("flatten", "hold")

    fleet.wait_for("flat", lambda: _position(fleet, "hold") == 0)


def test_a_resumed_bot_runs_again(fleet: FleetCommands) -> None:
    fleet.ok("resume", "hold")

    fleet.wait_for("Running", lambda: fleet.bot("hold")["status"]["phase"] == "Running")


def test_what_a_person_says_about_a_closed_stream_reaches_the_gateway(fleet: FleetCommands) -> None:
    fleet.ok("resume", "hold", "--reopen", "--skip-request", "41")

    fleet.wait_for(
        "the command says so",
        lambda: (
            fleet.query("SELECT reopen_no, skip_seq FROM tradefleet.bot_command WHERE bot = 'default/hold'")
            == [(1, 41)]
        ),
    )
    assert fleet.bot("hold")["status"]["phase"] == "Running"


def test_a_halt_is_shown_and_stops_new_risk_until_it_is_cleared(fleet: FleetCommands) -> None:
    fleet.wait_for("the bot has open buys", lambda: _open_buys(fleet, "cancels") > 0)

    said = fleet.ok("halt", "tb/cancels", "--reason", "a test")
    assert "it ends with `tradefleet halt tb/cancels --clear`" in said

    fleet.wait_for("no open buys", lambda: _open_buys(fleet, "cancels") == 0)
    assert "bot/default/cancels is halted" in fleet.ok("halt", "--show")
    fleet.wait_for("the status says so", lambda: "a test" in fleet.bot("cancels")["status"].get("reason", ""))
    fleet.ok("halt", "tb/cancels", "--clear")
    assert fleet.ok("halt", "--show") == "there is no halt\n"
    fleet.wait_for("buys again", lambda: _open_buys(fleet, "cancels") > 0)


def test_what_owners_want_and_halts_are_told_on_the_bus(fleet: FleetCommands) -> None:
    def read(topic: str, key: str) -> list[dict]:
        lines = fleet.ok("topic", "read", topic, "--from-beginning", "--key", key).splitlines()
        return [json.loads(line)["message"] for line in lines]

    states = [(each["state"], each["flatten_requests"]) for each in read("fleet.commands", "default/hold")]
    seen = [state for state, _ in groupby(states)]  # reopening the stream is told as well, and changes neither
    assert seen == [("Running", 0), ("Paused", 0), ("Paused", 1), ("Running", 1)]
    halts = [(each["action"], each["reason"]) for each in read("risk.management", "bot/default/cancels")]
    assert halts == [("HALT", "a test"), ("RESUME", "")]
    modes = [each["mode"] for each in read("risk.state", "bot/default/cancels")]
    assert "HALTED" in modes
    assert modes[-1] == "NORMAL"
    assert float(read("risk.state", "account/default/simulator:main")[-1]["exposure"]) > 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("instruments: [BTC-USD]\n  interval: 7m", ["other-fleet.yaml:", "7m"]),
        ("instruments: [LTC-USD]", ["instruments cannot change"]),
    ],
)
def test_apply_changes_all_or_nothing(fleet: FleetCommands, wrong: str, words: list[str]) -> None:
    good = files.bot("another", "{name: dca}")
    bad = files.bot("hold", "{name: buy-and-hold}").replace("instruments: [BTC-USD]", wrong)
    path = files.write(fleet.work / "other-fleet.yaml", good, bad)

    done = fleet.run("apply", path)

    assert done.code == 2, done.text
    assert all(word in done.err for word in words), done.err
    assert fleet.query("SELECT name FROM tradefleet.resource WHERE name = 'another'") == []


def test_describe_shows_conditions_and_books(fleet: FleetCommands) -> None:
    fleet.wait_for("the bot has open buys", lambda: _open_buys(fleet, "cancels") > 0)
    out = fleet.ok("describe", "tb", "cancels")

    for part in ("Ready", "Stalled", "Open orders", "Wallet", "Events", "created"):
        assert part in out


def test_logs_are_readable(fleet: FleetCommands) -> None:
    assert "bot-default-hold" in fleet.ok("logs").split()
    assert fleet.ok("logs", "hold") != ""


def test_fills_are_readable_in_sql_in_the_units_of_the_market(fleet: FleetCommands) -> None:
    fills = (
        "SELECT bool_and(price BETWEEN 1000 AND 1000000), bool_and(size < 1), bool_and(fee >= 0) "
        "FROM tradefleet.readable_fill"
    )

    assert fleet.query(fills) == [(True, True, True)]


def test_this_releases_schemas_are_published_for_those_of_others(fleet: FleetCommands) -> None:
    out = fleet.ok("topic", "read", "fleet.schemas", "--from-beginning")

    assert "OrderExecuted" in out


def test_topics_are_readable(fleet: FleetCommands) -> None:
    messages = [json.loads(line) for line in fleet.ok("topic", "read", "trading.executions").splitlines()]

    assert messages
    assert "ACCEPTED" in json.dumps(messages)


def test_market_data_that_cannot_be_read_is_put_aside_and_the_readers_go_on(fleet: FleetCommands) -> None:
    with KafkaBus(LocalFleet(fleet.home).kafka()) as bus:
        bus.publish("market.ohlc.stable", "default/simulator:BTC-USD", b"rubbish")
        bus.flush(10_000_000)

    letters = "SELECT split_part(reason, ':', 1), payload FROM tradefleet.dead_letter ORDER BY 1"
    rows = [("gateway-default-simulator", b"rubbish"), ("venue-default-simulator", b"rubbish")]
    fleet.wait_for("a row from each reader that may write one", lambda: fleet.query(letters) == rows)

    def readers() -> set[str]:
        found = [json.loads(line) for line in fleet.ok("topic", "read", "dead-letter").splitlines()]
        return {each["message"]["reader"] for each in found}

    bots = {f"bot-default-{name}" for name in ("hold", "cancels", "sells", "keeps")}
    everybody = {"gateway-default-simulator", "venue-default-simulator", *bots}
    fleet.wait_for("a message from each reader", lambda: readers() == everybody)
    assert 'tradefleet_dead_letters_total{topic="market.ohlc.stable"} 1.0' in _metrics(fleet, "bot-default-hold")
    assert "put aside a message of market.ohlc.stable" in fleet.ok("logs", "gateway-default-simulator", "--tail", "999")
    bars = fleet.values("fd", "replay")[0]["status"]["bars"]
    fleet.wait_for("more bars", lambda: fleet.values("fd", "replay")[0]["status"]["bars"] > bars)
    fleet.wait_for("Ready", lambda: all(_ready(each) for each in fleet.values("tb")))


def test_a_strategys_login_cannot_forge_the_next_bar(fleet: FleetCommands) -> None:
    environment = Path(f"/proc/{_pid_of(fleet, 'bot-default-hold')}/environ").read_text()
    assert '"sasl.username": "bot"' in environment
    answers: list[Exception | None] = []

    with KafkaBus(LocalFleet(fleet.home).kafka("bot")) as bus:
        bus.publish("market.ohlc.stable", "default/simulator:BTC-USD", b"forged", answers.append)
        with suppress(NotDelivered):
            bus.flush(10_000_000)

    assert "TOPIC_AUTHORIZATION_FAILED" in str(answers[0])


def test_a_killed_process_comes_back(fleet: FleetCommands) -> None:
    victim = _pid_of(fleet, "gateway-default-simulator")

    os.kill(victim, signal.SIGKILL)

    fleet.wait_for("another gateway", lambda: _pid_of(fleet, "gateway-default-simulator") not in {0, victim})
    fleet.wait_for("Ready", lambda: _ready(fleet.values("ex", "simulator")[0]))


def test_recorded_inputs_give_the_same_requests(fleet: FleetCommands) -> None:
    out = fleet.ok("verify-parity", "--all")

    assert out.count("the same byte for byte") == 4


def test_a_deleted_bot_has_no_open_orders(fleet: FleetCommands) -> None:
    out = fleet.ok("delete", "tb", "cancels")

    assert "tradingbot/cancels deleted" in out
    assert _open_orders(fleet, "cancels") == 0
    assert _pid_of(fleet, "bot-default-cancels") == 0


def test_a_deleted_bot_with_policy_flatten_has_no_position(fleet: FleetCommands) -> None:
    fleet.ok("delete", "tb/sells")

    assert _open_orders(fleet, "sells") == 0
    rows = fleet.query(
        "SELECT coalesce(sum(CASE side WHEN 'BUY' THEN lots ELSE -lots END), 0) FROM tradefleet.fill "
        "WHERE bot = 'default/sells'"
    )
    assert rows == [(0,)]


def test_the_books_of_deleted_bots_go_with_them(fleet: FleetCommands) -> None:
    left = (
        "SELECT key FROM tradefleet.gateway_blob WHERE key IN "
        "(SELECT 'bot/' || uid FROM tradefleet.bot WHERE bot IN ('default/cancels', 'default/sells'))"
    )

    fleet.wait_for("the gateway has let go of them", lambda: fleet.query(left) == [])


def test_books_and_venue_are_found_to_agree(fleet: FleetCommands) -> None:
    def status() -> dict:
        return fleet.values("ex", "simulator")[0]["status"]

    before = status().get("lastReconciledTime", "")
    fleet.wait_for("a look at the venue", lambda: status().get("lastReconciledTime", "") > before)
    assert not [each for each in status()["conditions"] if each["reason"] in ("NotReconciled", "ExternalOrders")]


def test_a_deleted_bot_with_policy_keep_leaves_its_orders(fleet: FleetCommands) -> None:
    fleet.wait_for("open orders", lambda: _open_orders(fleet, "keeps") > 0)

    fleet.ok("delete", "tb", "keeps")

    assert _open_orders(fleet, "keeps") > 0


def test_a_changed_spec_begins_a_new_generation(fleet: FleetCommands) -> None:
    text = files.bot("hold", "{name: buy-and-hold}") + '  sizing: {fraction: "0.5"}\n'

    assert "tradingbot/hold configured" in fleet.ok("apply", files.write(fleet.work / "hold.yaml", text), "--wait")

    generations = "SELECT record_generation FROM tradefleet.bot WHERE bot = 'default/hold' AND retired IS NULL"
    fleet.wait_for("a newer record", lambda: fleet.query(generations)[0][0] > 1)


def test_the_governor_registers_who_consumes(fleet: FleetCommands) -> None:
    registered = "SELECT split_part(consumer, '/', 1), count(*) FROM tradefleet.consumer GROUP BY 1 ORDER BY 1"

    # Of four bots only this one is left, and its gateway: who was deleted holds nothing back any more.
    fleet.wait_for("two consumers", lambda: fleet.query(registered) == [("bot", 1), ("gateway", 1)])


def test_messages_of_closed_records_go_and_nothing_is_lost(fleet: FleetCommands) -> None:
    rows = "SELECT DISTINCT bot FROM tradefleet.bot JOIN tradefleet.outbox ON stream = 'orders/' || uid ORDER BY bot"
    assert ("default/cancels",) in fleet.query(rows)

    def is_trimmed() -> bool:
        _keep_house(fleet)
        return set(fleet.query(rows)) <= {("default/hold",)}

    fleet.wait_for("no requests but of the bot that is left", is_trimmed)

    assert fleet.query("SELECT count(*) FROM tradefleet.bot_generation") == [(0,)]
    trimmed = "SELECT trimmed_seq FROM tradefleet.stream WHERE stream = 'executions/' || (%s)"
    uid = fleet.bot("hold")["metadata"]["uid"]

    def has_lost_executions() -> bool:
        _keep_house(fleet)
        return fleet.query(trimmed, [uid])[0][0] > 0

    fleet.wait_for("executions of a closed record to go", has_lost_executions)
    _results_are_whole(fleet, uid)
    fleet.ok("audit")
    assert fleet.ok("verify-parity", "hold").count("the same byte for byte") == 1


def _results_are_whole(fleet: FleetCommands, uid: str) -> None:
    """Results tell of every fill once, whether its message is trimmed or not."""
    booked = fleet.query("SELECT market_us, side, lots, price_ticks FROM tradefleet.fill WHERE uid = %s", [uid])
    local = LocalFleet(fleet.home)
    resources, session = local.resources(), local.session()
    try:
        result = fleet_result(session, resources.all(), title="Life", elapsed_s=1.0).result
    finally:
        resources.close()
        session.close()
    (found,) = [each for each in result.bots if each.key == "default/hold"]
    trades = [(each.market_us, each.side, each.lots, each.price_ticks) for each in found.record.trades]
    assert trades == sorted(trades, key=itemgetter(0))
    assert Counter(booked) <= Counter(trades)
    assert len(trades) == sum(fill.bot == "default/hold" for fill in result.fills)


def test_a_killed_supervisor_takes_its_children_along_and_up_carries_on(fleet: FleetCommands) -> None:
    fleet.kill_supervisor()

    out = fleet.ok("up")

    assert "the fleet is up" in out
    bars = fleet.values("fd", "replay")[0]["status"]["bars"]
    fleet.wait_for("more bars", lambda: fleet.values("fd", "replay")[0]["status"]["bars"] > bars)


def test_killed_services_come_back(fleet: FleetCommands) -> None:
    for folder in (fleet.home.postgres, fleet.home.kafka):
        pids = [pid for pid in fleet.processes() if _is_service(pid, folder)]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def is_going_on() -> bool:
        done = fleet.run("get", "fd", "replay", "-o", "json")
        return done.code == 0 and _ready_text(done.out)

    fleet.wait_for("Ready again", is_going_on)
    bars = fleet.values("fd", "replay")[0]["status"]["bars"]
    fleet.wait_for("more bars", lambda: fleet.values("fd", "replay")[0]["status"]["bars"] > bars)


def test_the_audit_is_clean_and_counts_what_it_checked(fleet: FleetCommands) -> None:
    out = fleet.ok("audit")

    assert "none" in out
    assert "ledger entries" in out


def test_down_leaves_no_process(fleet: FleetCommands) -> None:
    fleet.ok("down")

    assert fleet.processes() == []
    assert "stopped already" in fleet.ok("down")
    assert fleet.run("get").code == 2


def _position(fleet: FleetCommands, name: str) -> float:
    position = fleet.bot(name)["status"].get("position", {})
    return float(position.get("BTC-USD", 0))


def _open_orders(fleet: FleetCommands, name: str) -> int:
    statement = "SELECT count(*) FROM tradefleet.trade_order WHERE bot = %s AND is_open"
    return fleet.query(statement, [f"default/{name}"])[0][0]


def _open_buys(fleet: FleetCommands, name: str) -> int:
    statement = "SELECT count(*) FROM tradefleet.trade_order WHERE bot = %s AND is_open AND side = 'BUY'"
    return fleet.query(statement, [f"default/{name}"])[0][0]


def _ready(resource: dict) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in resource["status"]["conditions"])


def _ready_text(text: str) -> bool:
    return _ready(json.loads(text))


def _pid_of(fleet: FleetCommands, workload: str) -> int:
    """Return the pid of a workload's process by its settings file; 0 when there is none."""
    wanted = str(fleet.home.processes / f"{workload}.json")
    for pid in fleet.processes():
        try:
            if wanted in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0"):
                return pid
        except OSError:
            continue
    return 0


def _metrics(fleet: FleetCommands, workload: str) -> str:
    port = json.loads((fleet.home.processes / "ports.json").read_text())[f"health-{workload}"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def _keep_house(fleet: FleetCommands) -> None:
    """Do at once what the supervisor does after days."""
    local = LocalFleet(fleet.home)
    session = local.session()
    try:
        retention = Retention(every_s=0.0, closed_generations_us=0)
        house = Housekeeping(PostgresRetentionStore(session), time.monotonic, retention)
        found = PostgresCommandStore(session).bot_commands(AccountId("default/simulator:main"))
        commands = [Command(account=AccountId("default/simulator:main"), command=each) for each in found]
        house.tend(commands, runs={}, finished=(), kept={})
    finally:
        session.close()


def _is_service(pid: int, folder: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        return Path(f"/proc/{pid}/cwd").resolve().is_relative_to(folder) and (
            command[0].endswith("/java") or (command[0].endswith("postgres") and "-D" in command)
        )
    except OSError:
        return False
