"""What each workload alone may know: the URL of its own log-in to the database, and the token of its port.

Passwords are random, and kept in the workload's Secret and nowhere else. A Governor that starts takes over what the
Secrets say, so that nothing restarts because of it.
"""

import hmac
import logging
import secrets as random_secrets
import urllib.parse
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from governor.workload import Role, Workload, unique_name, workload_name
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.resources.common import ResourceKey
from tradefleet.store.components import Component
from tradefleet.store.logins import (
    drop_login,
    ensure_component_login,
    ensure_holder_role,
    ensure_workload_login,
    holder_login,
    known_logins,
    workload_login,
)
from tradefleet.store.upkeep import FleetStore

from .cache import Cache, Key
from .client import DEPLOYMENT
from .manifests import SECRET_ANNOTATION, TOKEN_KEY, URL_KEY, Credentials, object_name
from .secrets import Secrets

_LOG: Final = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 30_000
TOKEN_BYTES: Final = 16
COMPONENTS: Final = {
    Role.VENUE: Component.VENUE,
    Role.GATEWAY: Component.GATEWAY,
    Role.FEED: Component.FEED,
    Role.RECORDER: Component.RECORDER,
    Role.BOT: Component.HOLDER,
    Role.HOST: Component.HOLDER,
}

Connection = psycopg.Connection[tuple[Any, ...]]


class ClusterLogins:
    """Makes log-ins with the database owner's own, and takes them away. Not for several threads."""

    def __init__(
        self, url: str, fleet: str, *, secrets: Secrets, cache: Cache, store: Callable[[], FleetStore]
    ) -> None:
        self._url = url
        self._fleet = fleet
        self._secrets = secrets
        self._cache = cache
        self._store = store
        self._connection: Connection | None = None
        self._urls: dict[str, str] = {}  # by role
        self._assigned: dict[BotUid, str] = {}  # the role that a bot's row is assigned to
        self._tokens: dict[Key, str] = {}

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def supervisor_url(self) -> str:
        """Return the URL by which a Governor does its rounds, with a new password: an older Governor is shut out."""
        with self._owner() as connection:
            login = ensure_component_login(connection, fleet=self._fleet, component=Component.SUPERVISOR)
        return with_login(self._url, login.role, login.password)

    # --- bots -----------------------------------------------------------------------------------------------------

    def admit_bot(self, bot: BotKey, uid: BotUid, *, host: str = "") -> None:
        """Make the row of a bot, and assign it to its own log-in or to that of a shared host: no other may write it."""
        role = workload_login(self._fleet, Component.HOLDER, host) if host else holder_login(self._fleet, uid)
        if self._assigned.get(uid) != role:
            self._store().register_bot(bot, uid, db_role=role, host=host)
            self._assigned[uid] = role

    def dismiss_bot(self, uid: BotUid) -> None:
        """Take away the log-in of a bot that is gone."""
        self._assigned.pop(uid, None)
        self._dismiss(holder_login(self._fleet, uid))

    def known_hosts(self, hosts: Collection[str]) -> Collection[str]:
        """Return those of these shared hosts that have a log-in, whoever made it."""
        roles = {workload_login(self._fleet, Component.HOLDER, host): host for host in hosts}
        with self._owner() as connection:
            return {roles[role] for role in known_logins(connection, roles)}

    def dismiss_host(self, host: str) -> None:
        """Take away the log-in of a shared host that is gone. Harmless when there is none."""
        self._dismiss(workload_login(self._fleet, Component.HOLDER, host))

    def _dismiss(self, role: str) -> None:
        self._urls.pop(role, None)
        with self._owner() as connection:
            drop_login(connection, role)

    def dismiss_owner(self, owner: ResourceKey) -> None:
        """Take away the log-ins of the workloads and jobs of a resource that goes. Harmless when there are none."""
        roles = [
            *(workload_login(self._fleet, COMPONENTS[role], workload_name(role, owner)) for role in Role),
            workload_login(self._fleet, Component.BACKTEST, unique_name(owner.kind.lower(), owner)),
        ]
        with self._owner() as connection:
            for role in roles:
                self._urls.pop(role, None)
                drop_login(connection, role)

    # --- workloads ------------------------------------------------------------------------------------------------

    def credentials(self, workload: Workload) -> Credentials:
        """Return what a workload alone may know."""
        return Credentials(database_url=self._url_of(workload), token=self._token_of(workload))

    def _url_of(self, workload: Workload) -> str:
        if workload.bot_uid is not None:
            return self._bot_url(workload.owner, BotUid(workload.bot_uid))
        return self.login(workload.name, _place(workload, workload.name), COMPONENTS[workload.role])

    def _bot_url(self, owner: ResourceKey, uid: BotUid) -> str:
        """Return the URL of a bot's own log-in, made when it is missing."""
        bot = BotKey(f"{owner.namespace}/{owner.name}")
        self.admit_bot(bot, uid)
        role = holder_login(self._fleet, uid)
        if role not in self._urls:
            kept = self._kept(role, (owner.namespace, object_name(workload_name(Role.BOT, owner), owner)))
            if kept is None:
                with self._owner() as connection:
                    login = ensure_holder_role(connection, fleet=self._fleet, bot=bot, uid=uid)
                kept = with_login(self._url, login.role, login.password)
            self._urls[role] = kept
        return self._urls[role]

    def login(self, name: str, place: Key, component: Component = Component.BACKTEST) -> str:
        """Return the URL of the log-in of one workload or job, whose Secret is at `place`; made when it is missing."""
        role = workload_login(self._fleet, component, name)
        if role not in self._urls:
            kept = self._kept(role, place)
            if kept is None:
                with self._owner() as connection:
                    made = ensure_workload_login(connection, fleet=self._fleet, component=component, workload=name)
                kept = with_login(self._url, made.role, made.password)
            self._urls[role] = kept
        return self._urls[role]

    def _token_of(self, workload: Workload) -> str:
        if workload.token_name is None:
            return ""
        place = _place(workload, workload.token_name)
        if place not in self._tokens:
            self._tokens[place] = self._secrets.read(place).get(TOKEN_KEY) or random_secrets.token_hex(TOKEN_BYTES)
        return self._tokens[place]

    def _kept(self, role: str, place: Key) -> str | None:
        """Return the URL in a workload's Secret if it still leads where ours does, as that role."""
        stored = self._secrets.read(place)
        url = stored.get(URL_KEY, "")
        password = urllib.parse.urlsplit(url).password
        if not url or not password or url != with_login(self._url, role, urllib.parse.unquote(password)):
            return None
        with self._owner() as connection:
            is_known = connection.execute(
                "SELECT FROM pg_roles JOIN tradefleet.login_role ON role = rolname WHERE rolname = %s AND fleet = %s",
                (role, self._fleet),
            ).fetchone()
        if is_known is None:
            return None
        # What runs was started with this very Secret; one that somebody changed has to show that it opens.
        if hmac.compare_digest(
            self._noted(place), Credentials(database_url=url, token=stored.get(TOKEN_KEY, "")).digest
        ):
            return url
        return url if _opens(url) else None

    def _noted(self, place: Key) -> str:
        entry = self._cache.get(DEPLOYMENT, place)
        if entry is None:
            return ""
        template = entry.body().get("spec", {}).get("template", {}).get("metadata", {})
        return str((template.get("annotations") or {}).get(SECRET_ANNOTATION, ""))

    @contextmanager
    def _owner(self) -> Iterator[Connection]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    application_name="governor",
                    options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
                )
            yield self._connection
        except psycopg.OperationalError as error:
            self.close()
            raise Retryable(f"database: {str(error).strip()}") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise Permanent(
                f"database: {str(error).strip()}: give the Governor the URL of the schema's owner, who may make roles "
                "(CREATEROLE)"
            ) from error


def with_login(url: str, role: str, password: str) -> str:
    """Return the URL of the same database for another role."""
    parts = urllib.parse.urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    login = f"{urllib.parse.quote(role, safe='')}:{urllib.parse.quote(password, safe='')}"
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{login}@{hosts}"))


def _place(workload: Workload, planned: str) -> Key:
    return workload.owner.namespace, object_name(planned, workload.owner)


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        _LOG.warning("a Secret with a log-in that does not open is replaced: %s", str(error).strip().splitlines()[-1])
        return False
    return True
