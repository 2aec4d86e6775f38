"""Log-ins of processes: one role each, member of its component's group, known in `login_role` by its fleet.

Needs a connection of the schema's owner or of the fleet's supervisor. Roles belong to the whole server, so their names
carry the fleet.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache

import psycopg
from psycopg import sql

from tradefleet.domain.ids import BotKey, BotUid, uid_hash
from tradefleet.store.components import Component, group_role

ROLE_LENGTH_MAX = 63  # an identifier of Postgres
CONNECTIONS_MAX = 4  # of one holder: its own, one that listens, and a restart before the old ones are noticed
_PASSWORD_BYTES = 24
_DIGEST_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Login:
    """A role and its password. The password is shown nowhere."""

    role: str
    password: str = field(repr=False)


def component_login(fleet: str, component: Component) -> str:
    """Return the role name of a fleet's feeds, gateways, venues, backtests, readers or supervisor."""
    return _role(fleet, component)


@lru_cache(maxsize=16_384)  # asked for again and again, of every bot
def holder_login(fleet: str, uid: BotUid) -> str:
    """Return the role name of the holder of one bot."""
    return _role(fleet, f"bot_{uid_hash(uid).lower()}")


def host_login(fleet: str, host: str) -> str:
    """Return the role name of a host of several bots, by the name of its workload."""
    return _role(fleet, f"host_{hashlib.sha256(host.encode()).hexdigest()[:_DIGEST_LENGTH]}")


def ensure_component_login(connection: psycopg.Connection, *, fleet: str, component: Component) -> Login:
    """Return the log-in of a component with a new password; processes that are connected stay so."""
    login = _ensure(connection, component_login(fleet, component))
    admit(connection, login.role, fleet=fleet, component=component)
    return login


def workload_login(fleet: str, component: Component, workload: str) -> str:
    """Return the role name of one feed, gateway, venue or recorder, where each has a log-in of its own."""
    mark = hashlib.sha256(workload.encode()).hexdigest()[:_DIGEST_LENGTH]
    return _role(fleet, f"{component}_{mark}")


def ensure_workload_login(connection: psycopg.Connection, *, fleet: str, component: Component, workload: str) -> Login:
    """Return the log-in of one workload of a component with a new password; who is connected stays so."""
    login = _ensure(connection, workload_login(fleet, component, workload))
    admit(connection, login.role, fleet=fleet, component=component)
    return login


def ensure_holder_role(connection: psycopg.Connection, *, fleet: str, bot: BotKey, uid: BotUid) -> Login:
    """Return the log-in of the holder of one bot with a new password, after assigning the bot's row to it.

    The row must be there (`FleetStore.register_bot`); it is what the role may write.
    """
    login = _ensure(connection, holder_login(fleet, uid))
    admit(connection, login.role, fleet=fleet, component=Component.HOLDER)
    connection.execute(
        "UPDATE tradefleet.bot SET db_role = %s WHERE fleet = %s AND uid = %s AND bot = %s",
        (login.role, fleet, uid, bot),
    )
    return login


def admit(connection: psycopg.Connection, role: str, *, fleet: str, component: Component) -> None:
    """Make an existing role a log-in of one component of one fleet, and of nothing else."""
    name = sql.Identifier(role)
    limit = CONNECTIONS_MAX if component is Component.HOLDER else -1
    connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(name, sql.Literal(limit)))
    groups = connection.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", (_quoted(connection, role),)
    ).fetchall()
    wanted = group_role(component)
    for (group,) in groups:
        if group != wanted and group in {group_role(other) for other in Component}:
            connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), name))
    # The role inherits the group's privileges and cannot become the group.
    connection.execute(sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET FALSE").format(sql.Identifier(wanted), name))
    if component is Component.SUPERVISOR:
        _admit_supervisor(connection, name)
    connection.execute(
        "INSERT INTO tradefleet.login_role (role, fleet, component) VALUES (%s, %s, %s) "
        "ON CONFLICT (role) DO UPDATE SET fleet = EXCLUDED.fleet, component = EXCLUDED.component",
        (role, fleet, component),
    )


def known_logins(connection: psycopg.Connection, roles: Collection[str]) -> set[str]:
    """Return those of these roles that are there."""
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(roles),)).fetchall()
    return {role for (role,) in rows}


def bot_logins(connection: psycopg.Connection, fleet: str) -> set[str]:
    """Return the log-ins of single bots that a fleet has."""
    some = BotUid("")
    begin = holder_login(fleet, some).removesuffix(uid_hash(some).lower())
    rows = connection.execute(
        "SELECT role FROM tradefleet.login_role WHERE fleet = %s AND starts_with(role, %s)", (fleet, begin)
    ).fetchall()
    return {role for (role,) in rows}


def drop_login(connection: psycopg.Connection, role: str) -> None:
    """Remove a log-in; harmless when it is not there. A process that is still connected with it sees no row more."""
    connection.execute("DELETE FROM tradefleet.login_role WHERE role = %s", (role,))
    connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def _admit_supervisor(connection: psycopg.Connection, name: sql.Identifier) -> None:
    """Let a supervisor make log-ins for the processes it starts."""
    connection.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(name))
    for component in Component:
        if component is not Component.SUPERVISOR:
            connection.execute(
                sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(
                    sql.Identifier(group_role(component)), name
                )
            )


def _ensure(connection: psycopg.Connection, role: str) -> Login:
    """Make the role when it is missing and give it a new password. Only the verifier reaches the server's log."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            sql.SQL("ALTER" if known is not None else "CREATE"), sql.Identifier(role), sql.Literal(verifier)
        )
    )
    return Login(role, password)


def _role(fleet: str, suffix: str) -> str:
    role = f"tf_{fleet}_{suffix}"
    if len(role.encode()) <= ROLE_LENGTH_MAX:
        return role
    return f"tf_{hashlib.sha256(fleet.encode()).hexdigest()[:_DIGEST_LENGTH]}_{suffix}"


def _quoted(connection: psycopg.Connection, role: str) -> str:
    return sql.Identifier(role).as_string(connection)
