"""What a log-in must be refused: tried as the log-in itself."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import errors, sql

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    EXCHANGE,
    OTHER_BOT,
    OTHER_UID,
    SYMBOL,
    TTL_US,
    UID,
    bar,
    bot_commit,
    entry,
    executions,
    gateway_commit,
    order,
    take_bot,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import PostgresWorld
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotKey, BotUid, orders_stream
from tradefleet.domain.ledger import Book
from tradefleet.store.components import Component, group_role
from tradefleet.store.logins import (
    CONNECTIONS_MAX,
    Login,
    admit,
    component_login,
    drop_login,
    ensure_component_login,
    ensure_holder_role,
    holder_login,
)
from tradefleet.store.ports import FeedCommit, bot_lease, feed_lease, venue_lease
from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.feeds import PostgresFeedStore
from tradefleet.store.postgres.session import Session
from tradefleet.store.roles import RULES
from tradefleet.store.tables import metadata

TABLES = sorted(table.name for table in metadata.sorted_tables)


def url_of(world: PostgresWorld, login: Login) -> str:
    parts = urlsplit(world.url)
    return parts._replace(netloc=f"{login.role}:{quote(login.password)}@{parts.hostname}:{parts.port}").geturl()


def connect(world: PostgresWorld, component: Component) -> psycopg.Connection:
    login = ensure_component_login(world.admin, fleet=world.fleet, component=component)
    return psycopg.connect(url_of(world, login), autocommit=True)


def holder_url(world: PostgresWorld, bot: str = BOT, uid: str = UID) -> str:
    world.fleets().register_bot(bot, uid)
    return url_of(world, ensure_holder_role(world.admin, fleet=world.fleet, bot=bot, uid=uid))


@pytest.fixture
def fleet(world: PostgresWorld) -> PostgresWorld:
    """A fleet with two bots, each with a request, an execution, an order, books and a ledger entry."""
    for bot, uid in ((BOT, UID), (OTHER_BOT, OTHER_UID)):
        holder_url(world, bot, uid)
        store = PostgresBotStore(world.session())
        lease, record = take_bot(store, bot=bot, uid=uid)
        store.commit_bots([bot_commit(lease, record.version, bot=bot, uid=uid, requests=[1], payloads={0: b"x"})])
        store.release(lease)
    gateway = world.gateway()
    rows = [order(1), order(1, bot=OTHER_BOT, uid=OTHER_UID)]
    deposits = [entry(1, (Book.FREE, "USD", 5), (Book.EXTERNAL, "USD", -5), bot=bot) for bot in (BOT, OTHER_BOT)]
    write(
        gateway,
        gateway_commit(
            take_gateway(gateway),
            orders=rows,
            entries=deposits,
            executions=[*executions([1]), *executions([1], OTHER_UID)],
            blobs={f"bot/{UID}": b"{}", f"bot/{OTHER_UID}": b"{}", "account": b"{}"},
        ),
    )
    feed = world.feed()
    lease = feed.acquire(feed_lease("ns/candles"), holder="f", generation=1, ttl_us=TTL_US)
    feed.commit_feed(FeedCommit(lease=lease, bars=[(BARS, 1, bar(0))], exchange=EXCHANGE))
    return world


@pytest.fixture
def holder(fleet: PostgresWorld) -> Iterator[psycopg.Connection]:
    """The bot's own log-in, in the hands of a strategy that wants to do harm."""
    with psycopg.connect(holder_url(fleet), autocommit=True) as connection:
        yield connection


def test_a_holder_does_its_work_with_what_it_may(fleet: PostgresWorld) -> None:
    store = PostgresBotStore(Session(holder_url(fleet), fleet=fleet.fleet))
    lease, record = take_bot(store, generation=2)
    commit = bot_commit(lease, record.version, requests=[2], payloads={0: b"x"}, snapshot=b"s")
    assert store.commit_bots([commit]) == {BOT}
    assert store.read_bars(BARS, after=0, limit=5) == [(1, bar(0))]
    assert len(store.read_stream(orders_stream(UID), after=0, limit=5)) == 2
    assert store.read_record(UID, 1, after=0, limit=5) == (b"\x02", {0: b"x"})
    store.mark_published({orders_stream(UID): 2})
    assert store.published_seq(orders_stream(UID)) == 2
    store.release(store.renew(lease, ttl_us=TTL_US))


def test_a_holder_reads_its_own_command_and_books(fleet: PostgresWorld) -> None:
    own, other = _command(BOT, UID), _command(OTHER_BOT, OTHER_UID)
    for command in (own, other):
        fleet.commands().put_command(ACCOUNT, command)
    store = PostgresCommandStore(Session(holder_url(fleet), fleet=fleet.fleet))
    assert store.bot_command(UID) == own
    assert store.bot_books(UID) == (b"{}", [order(1)])
    assert store.bot_command(OTHER_UID) is None
    assert store.bot_books(OTHER_UID) is None
    with pytest.raises(Permanent, match="this role may not do that"):
        store.put_command(ACCOUNT, own)


def _command(bot: str, uid: str) -> BotCommand:
    config = BotConfig(
        key=BotKey(bot),
        uid=BotUid(uid),
        generation=1,
        strategy="dca",
        symbols=(SYMBOL,),
        interval_us=60_000_000,
        wallet={"USD": 1},
    )
    return BotCommand(config=config)


@pytest.mark.parametrize(
    ("table", "column", "own"),
    [
        ("bot", "uid", {UID}),
        ("bot_record_payload", "uid", {UID}),
        ("trade_order", "uid", {UID}),
        ("gateway_blob", "key", {f"bot/{UID}"}),
        ("outbox", "stream", {f"orders/{UID}", f"executions/{UID}"}),
        ("stream", "stream", {f"orders/{UID}", f"executions/{UID}", BARS}),
        ("bar", "exchange", {EXCHANGE}),
    ],
)
def test_a_holder_sees_its_own_rows_only(holder: psycopg.Connection, table: str, column: str, own: set[str]) -> None:
    found = holder.execute(f"SELECT {column} FROM tradefleet.{table}").fetchall()
    assert {value for (value,) in found} == own


def test_a_holder_sees_its_own_log_in_only(fleet: PostgresWorld, holder: psycopg.Connection) -> None:
    found = holder.execute("SELECT role, fleet, component FROM tradefleet.login_role").fetchall()
    assert found == [(holder_login(fleet.fleet, UID), fleet.fleet, "holder")]


HARM = {
    "its own epoch": "UPDATE tradefleet.bot SET epoch = 99",
    "its own lease": "UPDATE tradefleet.bot SET lease_until_us = 99, holder = 'me'",
    "its assigned role": "UPDATE tradefleet.bot SET db_role = 'x'",
    "its retirement": "UPDATE tradefleet.bot SET retired = NULL",
    "a new bot": "INSERT INTO tradefleet.bot (fleet, uid, bot) VALUES ('f', 'u', 'b')",
    "deleting its bot": "DELETE FROM tradefleet.bot",
    "requests of another bot": "INSERT INTO tradefleet.outbox SELECT fleet, '{beta_orders}', 2, 't', 'k', 1, '', 1 "
    "FROM tradefleet.bot",
    "executions of its own": "INSERT INTO tradefleet.outbox SELECT fleet, '{alpha_executions}', 2, 't', 'k', 1, '', 1 "
    "FROM tradefleet.bot",
    "a changed request": "UPDATE tradefleet.outbox SET payload = 'x'",
    "a removed request": "DELETE FROM tradefleet.outbox",
    "a changed record": "UPDATE tradefleet.bot_record_payload SET payload = 'x'",
    "a record of another bot": "INSERT INTO tradefleet.bot_record_payload SELECT fleet, '{beta}', 1, 1, '' "
    "FROM tradefleet.bot",
    "a step of the gateway": "INSERT INTO tradefleet.progress SELECT fleet, 'run', 1, 0, 2, 'gateway' "
    "FROM tradefleet.bot",
    "a step of another bot": "INSERT INTO tradefleet.progress SELECT fleet, 'run', 1, 0, 3, 'bot:ns/beta@{beta}' "
    "FROM tradefleet.bot",
    "the ledger": "SELECT FROM tradefleet.ledger_entry",
    "a posting": "INSERT INTO tradefleet.posting VALUES ('f', 'u', 1, 1, 'FREE', 'USD', 1)",
    "a fill": "INSERT INTO tradefleet.fill SELECT FROM tradefleet.bot",
    "an order": "UPDATE tradefleet.trade_order SET status = 'CANCELED'",
    "its own books": "UPDATE tradefleet.gateway_blob SET value = 'x'",
    "a bar": "UPDATE tradefleet.bar SET close = 1",
    "a halt": "UPDATE tradefleet.halt SET is_on = false",
    "the gateway's row": "SELECT FROM tradefleet.gateway",
    "its fleet": "UPDATE tradefleet.login_role SET fleet = 'another'",
    "a broker's topic": "UPDATE tradefleet.broker_topic SET topic_id = 'x'",
    "a table of its own": "CREATE TABLE tradefleet.mine (i int)",
    "a table in public": "CREATE TABLE public.mine (i int)",
    "a temporary table": "CREATE TEMPORARY TABLE mine (i int)",
    "its group": "SET ROLE tradefleet_holder",
    "the gateway's group": "SET ROLE tradefleet_gateway",
    "another bot's lease": "SELECT tradefleet.acquire_bot('{fleet}', 'bot/ns/beta/{beta}', 'bot', 'ns/beta', "
    "'{beta}', 'me', 'uid', 99, 1000)",
    "ending another bot's lease": "SELECT tradefleet.prolong_bot('{fleet}', 'bot', '{beta}', 1, 0)",
    "a lease that lies about its kind": "SELECT tradefleet.acquire_bot('{fleet}', 'x', 'feed', 'ns/beta', '{beta}', "
    "'me', 'uid', 99, 1000)",
    "a lease that names its own component": "SELECT tradefleet.acquire_bot('{fleet}', 'x', 'holder', 'ns/beta', "
    "'{beta}', 'me', 'uid', 99, 1000)",
    "ending a lease as its own component": "SELECT tradefleet.prolong_bot('{fleet}', 'holder', '{beta}', 1, 0)",
    "the gateway's lease": "SELECT tradefleet.acquire_gateway('{fleet}', 'gateway/{account}', 'gateway', '{account}', "
    "'{account}', 'me', 'uid', 99, 1000)",
    "a feed's lease": "SELECT tradefleet.acquire_lease('{fleet}', 'feed/ns/candles', 'feed', 'ns/candles', "
    "'feed/ns/candles', 'me', 'uid', 99, 1000)",
    "ending a server process": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "a file of the server": "SELECT pg_read_file('PG_VERSION')",
    "passwords": "SELECT rolpassword FROM pg_authid",
    "another role": "CREATE ROLE mine",
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_a_holder_is_refused(holder: psycopg.Connection, fleet: PostgresWorld, harm: str) -> None:
    statement = harm.format(
        fleet=fleet.fleet,
        beta=OTHER_UID,
        beta_orders=f"orders/{OTHER_UID}",
        alpha_executions=f"executions/{UID}",
        account=ACCOUNT,
    )
    with pytest.raises(errors.InsufficientPrivilege), holder.transaction():
        holder.execute(statement)


@pytest.mark.parametrize("table", TABLES)
def test_a_holder_locks_no_table(holder: psycopg.Connection, table: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege), holder.transaction():
        holder.execute(sql.SQL("LOCK TABLE tradefleet.{} IN SHARE MODE").format(sql.Identifier(table)))


def test_what_a_holder_cannot_see_it_cannot_change(holder: psycopg.Connection) -> None:
    assert (
        holder.execute("UPDATE tradefleet.bot SET version = 0 WHERE uid = %s RETURNING uid", (OTHER_UID,)).fetchall()
        == []
    )
    assert (
        holder.execute(
            "UPDATE tradefleet.stream SET last_seq = 99 WHERE stream <> %s RETURNING stream", (orders_stream(UID),)
        ).fetchall()
        == []
    )


def test_a_host_holds_the_bots_that_are_assigned_to_it(fleet: PostgresWorld) -> None:
    login = ensure_holder_role(fleet.admin, fleet=fleet.fleet, bot=BOT, uid=UID)
    fleet.fleets().register_bot(OTHER_BOT, OTHER_UID, db_role=login.role)
    store = PostgresBotStore(Session(url_of(fleet, login), fleet=fleet.fleet))
    commits = []
    for bot, uid in ((BOT, UID), (OTHER_BOT, OTHER_UID)):
        lease, record = take_bot(store, bot=bot, uid=uid)
        commits.append(bot_commit(lease, record.version, bot=bot, uid=uid, first_ordinal=1, requests=[2]))
    assert store.commit_bots(commits) == {BOT, OTHER_BOT}
    fleet.fleets().register_bot(OTHER_BOT, OTHER_UID, db_role="somebody_else")
    with pytest.raises(Permanent, match="may not take it"):
        store.acquire(bot_lease(OTHER_BOT, OTHER_UID), holder="slot-1", generation=2, ttl_us=TTL_US)


def test_a_holder_has_few_connections(fleet: PostgresWorld) -> None:
    url = holder_url(fleet)
    connections = [psycopg.connect(url) for _ in range(CONNECTIONS_MAX)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        psycopg.connect(url)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("component", list(Component))
def test_a_component_may_do_what_is_declared_and_no_more(store_url: str, component: Component) -> None:
    declared = {(rule.table, privilege.partition(" ")[0]) for rule in RULES[component] for privilege in rule.privileges}
    found = set()
    with psycopg.connect(store_url) as connection:
        for table in TABLES:
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                # Of a column: then a table-wide right shows as well.
                function = "has_table_privilege" if privilege == "DELETE" else "has_any_column_privilege"
                row = connection.execute(
                    f"SELECT {function}(%s, %s, %s)", (group_role(component), f"tradefleet.{table}", privilege)
                ).fetchone()
                if row == (True,):
                    found.add((table, privilege))
            for privilege in ("TRUNCATE", "TRIGGER", "REFERENCES", "MAINTAIN"):
                row = connection.execute(
                    "SELECT has_table_privilege(%s, %s, %s)",
                    (group_role(component), f"tradefleet.{table}", privilege),
                ).fetchone()
                assert row == (False,), (table, privilege)
    assert found == declared


def test_nobody_but_the_owner_writes_an_epoch(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        for component in set(Component) - {Component.SUPERVISOR}:
            for table in ("bot", "gateway", "lease"):
                row = connection.execute(
                    "SELECT has_column_privilege(%s, %s, 'epoch', 'UPDATE')",
                    (group_role(component), f"tradefleet.{table}"),
                ).fetchone()
                assert row == (False,), (component, table)


def test_every_table_has_its_rows_secured(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'tradefleet'::regnamespace AND relkind = 'r' "
            "AND NOT relrowsecurity"
        ).fetchall()
    assert rows == [("schema_version",)]


@pytest.mark.parametrize("component", list(Component))
def test_a_component_sees_nothing_of_another_fleet(fleet: PostgresWorld, component: Component) -> None:
    stranger = fleet.neighbour()
    assert isinstance(stranger, PostgresWorld)
    readable = {rule.table for rule in RULES[component] if "SELECT" in rule.privileges}
    with connect(stranger, component) as connection:
        for table in sorted(readable):
            fleets = connection.execute(
                sql.SQL("SELECT DISTINCT fleet FROM {}").format(sql.Identifier("tradefleet", table))
            ).fetchall()
            assert {name for (name,) in fleets} <= {stranger.fleet}, table


def test_a_gateway_writes_nothing_of_another_fleet(fleet: PostgresWorld) -> None:
    stranger = fleet.neighbour()
    assert isinstance(stranger, PostgresWorld)
    with connect(stranger, Component.GATEWAY) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("INSERT INTO tradefleet.halt (fleet, scope) VALUES (%s, 'x')", (fleet.fleet,))
        assert connection.execute("UPDATE tradefleet.gateway SET version = 0 RETURNING fleet").fetchall() == []


def test_a_feed_cannot_take_a_venues_lease(fleet: PostgresWorld) -> None:
    store = PostgresFeedStore(fleet.as_component(Component.FEED))
    with pytest.raises(Permanent, match="may not take it"):
        store.acquire(venue_lease(EXCHANGE), holder="f", generation=1, ttl_us=TTL_US)
    with connect(fleet, Component.FEED) as connection:
        fleet.venue().acquire(venue_lease(EXCHANGE), holder="v", generation=1, ttl_us=TTL_US)
        name = venue_lease(EXCHANGE)
        with pytest.raises(psycopg.Error, match="holds it"):
            connection.execute(
                "SELECT tradefleet.acquire_lease(%s, %s, 'feed', %s, %s, 'v', 'uid', 1, 1000)",
                (fleet.fleet, name, EXCHANGE, name),
            )


def test_a_supervisor_makes_log_ins_for_its_fleet(fleet: PostgresWorld) -> None:
    gamma, gamma_uid = BotKey("ns/gamma"), BotUid("uid-gamma")
    fleet.fleets().register_bot(gamma, gamma_uid)
    with connect(fleet, Component.SUPERVISOR) as connection:
        login = ensure_holder_role(connection, fleet=fleet.fleet, bot=gamma, uid=gamma_uid)
        again = ensure_holder_role(connection, fleet=fleet.fleet, bot=gamma, uid=gamma_uid)
        reader = ensure_component_login(connection, fleet=fleet.fleet, component=Component.READER)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO tradefleet.login_role VALUES (%s, 'another fleet', 'gateway')", (login.role,)
            )
        drop_login(connection, reader.role)
    assert again.role == login.role
    assert again.password != login.password
    store = PostgresBotStore(Session(url_of(fleet, again), fleet=fleet.fleet))
    lease, _ = take_bot(store, bot=gamma, uid=gamma_uid)
    assert lease.epoch == 1


def test_a_log_in_that_is_dropped_is_gone(fleet: PostgresWorld) -> None:
    url = holder_url(fleet)
    drop_login(fleet.admin, holder_login(fleet.fleet, UID))
    drop_login(fleet.admin, holder_login(fleet.fleet, UID))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_role_belongs_to_one_component_only(fleet: PostgresWorld) -> None:
    role = component_login(fleet.fleet, Component.GATEWAY)
    ensure_component_login(fleet.admin, fleet=fleet.fleet, component=Component.GATEWAY)
    admit(fleet.admin, role, fleet=fleet.fleet, component=Component.READER)
    rows = fleet.admin.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", (f'"{role}"',)
    ).fetchall()
    assert rows == [(group_role(Component.READER),)]


def test_a_password_is_shown_nowhere(world: PostgresWorld) -> None:
    login = ensure_component_login(world.admin, fleet=world.fleet, component=Component.READER)
    assert login.password not in repr(login)
    assert len(login.password) >= 24


def test_a_long_fleet_name_still_gives_a_role_name_that_fits() -> None:
    long = "fleet-" + "x" * 80
    names = {component_login(long, component) for component in Component} | {holder_login(long, UID)}
    assert len(names) == len(Component) + 1
    assert all(len(name.encode()) <= 63 for name in names)
    assert component_login(long, Component.FEED) != component_login(long + "y", Component.FEED)
