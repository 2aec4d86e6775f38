"""What each component may do in Postgres (rule 26): grants on columns, and row-level security on rows.

One group role per component holds the privileges; every process has a log-in of its own that is a member of one group
(see `logins`). Which rows a log-in sees follows from the row of `login_role` (its fleet) and, for the holder of bots,
from `bot.db_role`. The policies look at `session_user`, which SET ROLE does not change.

A strategy shares a process with a holder's log-in. What it can do with it: write the state, the record and the
requests of its own bot, and read market data, its own executions, orders and books, and the progress of runs. Columns
are granted one by one where it may update, so it cannot lock a table either. Not limited here: how much it writes, and
the load of its queries (a log-in has few connections); NOTIFY, which is only a hint, is open to everybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tradefleet.domain.errors import Permanent
from tradefleet.store.components import Component, group_role
from tradefleet.store.migrations import VERSION_TABLE
from tradefleet.store.routines import ROUTINES, VIEWS
from tradefleet.store.tables import SCHEMA, metadata


@dataclass(frozen=True, slots=True)
class Rule:
    """A component's privileges on one table. `own` restricts the rows further than to the fleet.

    A privilege is SELECT, INSERT, UPDATE or DELETE; UPDATE may name its columns. `any_fleet` leaves the fleet out where
    `own` implies it.
    """

    table: str
    privileges: tuple[str, ...]
    own: str | None = None
    any_fleet: bool = False


_READ = ("SELECT",)
_ADD = ("SELECT", "INSERT")
_WRITE = ("SELECT", "INSERT", "UPDATE")
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")

# Each of these is evaluated once for a statement, not once for a row.
_OWN_UID = "uid = ANY ((SELECT tradefleet.own_uids('')) :: text[])"
_OWN_STREAM = "stream = ANY ((SELECT tradefleet.own_uids('orders/') || tradefleet.own_uids('executions/')) :: text[])"
_OWN_REQUESTS = "stream = ANY ((SELECT tradefleet.own_uids('orders/')) :: text[])"
_OWN_BOOKS = "key = ANY ((SELECT tradefleet.own_uids('bot/')) :: text[])"
_OWN_PARTICIPANT = "participant = ANY ((SELECT tradefleet.own_participants()) :: text[])"

# What the inner query sees is restricted by that table's own policy, too.
_OWN_TRIALS = (
    "(uid, question) IN (SELECT run.uid, run.question FROM tradefleet.backtest_run AS run "
    "WHERE run.db_role = session_user :: text)"
)

# Every policy looks up its log-in's fleet, so everybody may read the row of its own log-in.
_OWN_LOGIN = Rule("login_role", _READ, "role = session_user :: text", any_fleet=True)

_STATE_OF_BOT = (
    "UPDATE (version, positions, input_count, tail, request_count, request_hash, record_generation, start_positions, "
    "first_request_seq, trouble)"
)

_SNAPSHOT = "UPDATE (generation, ordinal, positions, request_count, request_hash, state)"

_DATASETS = tuple(Rule(table, _READ) for table in ("dataset", "dataset_import", "dataset_coverage", "dataset_series"))

RULES: dict[Component, tuple[Rule, ...]] = {
    Component.FEED: (
        _OWN_LOGIN,
        Rule("lease", ("SELECT", "UPDATE (lease_until_us)")),  # a row lock needs the right to update something
        Rule("stream", _WRITE),
        Rule("bar", ("SELECT", "INSERT", "UPDATE (seq)")),
        Rule("outbox", _READ),
        Rule("run", _ADD),
        Rule("run_participant", _ADD),
        Rule("progress", _ADD),
        Rule("dead_letter", _ADD),
        Rule("broker_topic", _WRITE),
        *_DATASETS,
    ),
    Component.RECORDER: (
        _OWN_LOGIN,
        Rule("bar", _READ),
        Rule("ticker", _ADD),
        Rule("market_trade", _ADD),
        Rule("dataset", _ADD),
        Rule("dataset_series", ("SELECT", "INSERT", "UPDATE (bars, content_hash)")),
        Rule("dataset_coverage", ("SELECT", "INSERT", "DELETE")),
        Rule("dead_letter", _ADD),
    ),
    Component.GATEWAY: (
        _OWN_LOGIN,
        Rule("gateway", ("SELECT", "UPDATE (version, positions, request_no, requests_before)")),
        Rule("gateway_blob", _ALL),
        Rule("trade_order", _WRITE),
        Rule("fill", _ADD),
        Rule("ledger_entry", _ADD),
        Rule("posting", _ADD),
        Rule("venue_request", _WRITE),
        Rule("statistics", _WRITE),
        Rule("halt", _WRITE),  # one that is missing is made, and FOR SHARE needs the right to update something
        Rule("stream", _WRITE),
        Rule("outbox", _ADD),
        Rule("bar", _READ),
        Rule("bot", _READ),
        Rule("bot_command", _READ),
        Rule("run", _READ),
        Rule("run_participant", _READ),
        Rule("progress", _ADD),
        Rule("dead_letter", _ADD),
        Rule("broker_topic", _WRITE),
        Rule("instrument", _READ),
        Rule("audit_log", _ADD),
    ),
    Component.VENUE: (
        _OWN_LOGIN,
        Rule("lease", ("SELECT", "UPDATE (lease_until_us)")),
        Rule("venue_snapshot", _WRITE),
        Rule("venue_request", _READ),
        Rule("stream", ("SELECT", "UPDATE (published_seq)")),
        Rule("outbox", _READ),
        Rule("bar", _READ),
        Rule("run", _READ),
        Rule("run_participant", _READ),
        Rule("progress", _ADD),
        Rule("dead_letter", _ADD),
        Rule("broker_topic", _WRITE),
    ),
    Component.HOLDER: (
        _OWN_LOGIN,
        Rule("bot", ("SELECT", _STATE_OF_BOT), "db_role = session_user :: text", any_fleet=True),
        Rule("bot_snapshot", ("SELECT", "INSERT", _SNAPSHOT), _OWN_UID),
        Rule("bot_generation", _ADD, _OWN_UID),
        Rule("bot_record_chunk", _ADD, _OWN_UID),
        Rule("bot_record_payload", _ADD, _OWN_UID),
        Rule("bot_command", _READ, _OWN_UID),
        Rule("trade_order", _READ, _OWN_UID),
        Rule("gateway_blob", _READ, _OWN_BOOKS),
        Rule("stream", _READ, f"(starts_with(stream, 'bars/') OR {_OWN_STREAM})"),
        Rule("stream", ("UPDATE (last_seq, published_seq)",), _OWN_REQUESTS),
        Rule("outbox", _READ, _OWN_STREAM),
        Rule("outbox", ("INSERT",), _OWN_REQUESTS),
        Rule("bar", _READ),
        Rule("run", _READ),
        Rule("run_participant", _READ),
        Rule("progress", _READ),
        Rule("progress", ("INSERT",), _OWN_PARTICIPANT),
        Rule("broker_topic", _READ),
    ),
    Component.BACKTEST: (
        _OWN_LOGIN,
        Rule("bar", _READ),
        Rule("ticker", _READ),
        Rule("market_trade", _READ),
        *_DATASETS,
        Rule("instrument", _READ),
        Rule("backtest_run", _READ, "db_role = session_user :: text"),
        Rule("backtest_result", _ADD, _OWN_TRIALS),
    ),
    Component.READER: (
        _OWN_LOGIN,
        *(Rule(table.name, _READ) for table in metadata.sorted_tables if table.name != "login_role"),
    ),
    Component.SUPERVISOR: tuple(Rule(table.name, _ALL) for table in metadata.sorted_tables),
}

_SEQUENCES = {Component.GATEWAY, Component.SUPERVISOR}
_VIEW_READERS = {Component.READER, Component.SUPERVISOR}


def install_roles(connection: psycopg.Connection) -> None:
    """Make groups, grants and policies those of this release, in the caller's transaction.

    Raises Permanent, with the remedy, when a group is missing and the owner may not make roles.
    """
    missing = _missing_groups(connection)
    may_create = connection.execute(
        "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if missing and not (may_create and may_create[0]):
        raise Permanent(
            f"database: the roles {missing} are missing and this role may not make them: let an administrator run "
            f"CREATE ROLE {missing[0]} NOLOGIN (and so on) once, or grant it CREATEROLE"
        )
    for role in missing:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    remove_policies(connection)
    for statement in _statements(connection):
        connection.execute(statement)


def remove_policies(connection: psycopg.Connection) -> None:
    """Remove every policy, those of another release included: until they are back, only the owner sees rows."""
    rows = connection.execute("SELECT tablename, policyname FROM pg_policies WHERE schemaname = %s", (SCHEMA,))
    for table, policy in rows.fetchall():
        connection.execute(
            sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), sql.Identifier(SCHEMA, table))
        )


def role_differences(connection: psycopg.Connection) -> list[str]:
    """Return what `install_roles` would change, one line each: groups, secured tables, policies by name."""
    lines = [f"role {role}: missing" for role in _missing_groups(connection)]
    found = connection.execute(
        "SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
        (SCHEMA,),
    ).fetchall()
    secured = {name for name, is_secured in found if is_secured}
    lines += [
        f"table {table.name}: row-level security is off"
        for table in metadata.sorted_tables
        if table.name not in secured
    ]
    policies = connection.execute("SELECT tablename, policyname FROM pg_policies WHERE schemaname = %s", (SCHEMA,))
    known = {(table, name) for table, name in policies.fetchall()}
    wanted = {(table, name) for table, name, _ in _policies()}
    lines += [f"policy {name} on {table}: missing" for table, name in sorted(wanted - known)]
    return lines + [f"policy {name} on {table}: not this release's" for table, name in sorted(known - wanted)]


def _missing_groups(connection: psycopg.Connection) -> list[str]:
    wanted = [group_role(component) for component in Component]
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (wanted,)).fetchall()
    return [role for role in wanted if role not in {name for (name,) in rows}]


def _statements(connection: psycopg.Connection) -> Iterator[sql.Composed | sql.SQL]:
    """Yield everything after the groups: first nobody may anything, then each component what its rules say."""
    groups = sql.SQL(", ").join(sql.Identifier(group_role(component)) for component in Component)
    database = sql.Identifier(connection.info.dbname)
    schema = sql.Identifier(SCHEMA)
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    yield sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, groups)
    supervisor = sql.Identifier(group_role(Component.SUPERVISOR))
    yield sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, supervisor)  # imports are staged there
    yield sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM PUBLIC, {}").format(schema, groups)
    yield sql.SQL("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {} FROM PUBLIC, {}").format(schema, groups)
    yield sql.SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {} FROM PUBLIC, {}").format(schema, groups)
    yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, groups)
    version = sql.Identifier(SCHEMA, VERSION_TABLE)  # who works for a person checks it first, to name the remedy
    yield sql.SQL("GRANT SELECT ON {} TO {}").format(version, supervisor)
    for table in metadata.sorted_tables:
        yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(SCHEMA, table.name))
    yield from _grants()
    for _, _, statement in _policies():
        yield statement


def _grants() -> Iterator[sql.Composed]:
    for component, rules in RULES.items():
        group = sql.Identifier(group_role(component))
        for rule in rules:
            privileges = sql.SQL(", ".join(rule.privileges))
            yield sql.SQL("GRANT {} ON {} TO {}").format(privileges, sql.Identifier(SCHEMA, rule.table), group)
        if component in _SEQUENCES:
            yield sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(sql.Identifier(SCHEMA, "event_no"), group)
        if component in _VIEW_READERS:
            for view in VIEWS:
                yield sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(SCHEMA, view), group)
        for routine in ROUTINES:
            if component in routine.callers:
                yield sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(routine.signature), group)


def _fleet_of(component: Component, table: str) -> str:
    """Return the condition that a row is of the log-in's fleet. It is evaluated once for a statement.

    The policy of `login_role` itself cannot read that table: it asks a function with the owner's rights, which costs
    some 20 us more.
    """
    if table == "login_role":
        return f"fleet = (SELECT tradefleet.login_fleet('{component}'))"
    return (
        "fleet = (SELECT login.fleet FROM tradefleet.login_role AS login "  # noqa: S608 - constants
        f"WHERE login.role = session_user :: text AND login.component = '{component}')"
    )


def _policies() -> Iterator[tuple[str, str, sql.Composed]]:
    """Yield table, name and statement of each policy: one for every privilege of every rule."""
    for component, rules in RULES.items():
        for rule in rules:
            conditions = [] if rule.any_fleet else [_fleet_of(component, rule.table)]
            rows = " AND ".join(conditions + ([rule.own] if rule.own else []))
            for privilege in rule.privileges:
                command = privilege.partition(" ")[0]
                name = f"{component}_{command.lower()}"
                condition = {
                    "SELECT": f"USING ({rows})",
                    "DELETE": f"USING ({rows})",
                    "INSERT": f"WITH CHECK ({rows})",
                    "UPDATE": f"USING ({rows}) WITH CHECK ({rows})",
                }[command]
                yield (
                    rule.table,
                    name,
                    sql.SQL("CREATE POLICY {} ON {} FOR {} TO {} {}").format(
                        sql.Identifier(name),
                        sql.Identifier(SCHEMA, rule.table),
                        sql.SQL(command),
                        sql.Identifier(group_role(component)),
                        sql.SQL(condition),
                    ),
                )
