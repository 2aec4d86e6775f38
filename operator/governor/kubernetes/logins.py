"""What each workload alone may know: the URL of its own log-in to the database, and the token of its port.

Passwords are random, and kept in the workload's Secret and nowhere else. A Governor that starts takes over what the
Secrets say, so that nothing restarts because of it.
"""

import hmac
import itertools
import logging
import secrets as random_secrets
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg

from governor.workload import Role, Workload, unique_name, workload_name
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.resources.common import ResourceKey
from tradefleet.store.components import Component
from tradefleet.store.logins import (
    bot_logins,
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
from .manifests import SECRET_ANNOTATION, TOKEN_KEY, URL_KEY, Credentials, object_key
from .secrets import Secrets

_LOG: Final = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 30_000
TOKEN_BYTES: Final = 16
SCRAM_ITERATIONS: Final = 1
"""How often a password is hashed. More than once would slow down whoever guesses at weak ones; ours are random numbers
of 192 bits, nobody's guess, and a thousand bots' roles would take half a minute of processor time.
"""
SCRAM_SETTING_SINCE: Final = 16_00_00  # Postgres 16
AT_ONCE: Final = 50  # log-ins that are made in one transaction
COMPONENTS: Final = {
    Role.VENUE: Component.VENUE,
    Role.GATEWAY: Component.GATEWAY,
    Role.FEED: Component.FEED,
    Role.RECORDER: Component.RECORDER,
    Role.BOT: Component.HOLDER,
    Role.HOST: Component.HOLDER,
}

ValueT = TypeVar("ValueT")
Connection = psycopg.Connection[tuple[Any, ...]]


class ClusterLogins:
    """Makes log-ins with the database owner's own, and takes them away. Not for several threads.

    `home_of` says in which namespace the workloads of one run.
    """

    def __init__(
        self,
        url: str,
        fleet: str,
        *,
        secrets: Secrets,
        cache: Cache,
        store: Callable[[], FleetStore],
        home_of: Callable[[str], str] = lambda namespace: namespace,
    ) -> None:
        self._url = url
        self._fleet = fleet
        self._secrets = secrets
        self._cache = cache
        self._store = store
        self._home_of = home_of
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
        self.admit_bots([(bot, uid, host)])

    def admit_bots(self, bots: Sequence[tuple[BotKey, BotUid, str]]) -> None:
        """Do the same for many, each with its host, a few commits in all."""
        roles = {
            uid: workload_login(self._fleet, Component.HOLDER, host) if host else holder_login(self._fleet, uid)
            for _, uid, host in bots
        }
        for some in batched([each for each in bots if self._assigned.get(each[1]) != roles[each[1]]], AT_ONCE):
            self._store().register_bots([(bot, uid, roles[uid], host) for bot, uid, host in some])
            self._assigned |= {uid: roles[uid] for _, uid, _ in some}

    def dismiss_bot(self, uid: BotUid) -> None:
        """Take away the log-in of a bot that is gone."""
        self._assigned.pop(uid, None)
        self._dismiss(holder_login(self._fleet, uid))

    def dismiss_strangers(self, uids: Collection[BotUid]) -> None:
        """Take away the log-ins of all bots but these."""
        kept = {holder_login(self._fleet, uid) for uid in uids}
        with self._owner() as connection:
            for role in sorted(bot_logins(connection, self._fleet) - kept):
                _LOG.info("log-in %s belonged to a bot that is gone", role)
                self._urls.pop(role, None)
                drop_login(connection, role)

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

    def prepare(self, workloads: Collection[Workload]) -> None:
        """Make the log-ins of bots that have none yet, many of them in one transaction: a commit waits for a disk."""
        missing = [
            (workload, holder_login(self._fleet, BotUid(workload.bot_uid)))
            for workload in workloads
            if workload.bot_uid is not None and holder_login(self._fleet, BotUid(workload.bot_uid)) not in self._urls
        ]
        if len(missing) < 2:
            return
        places = {
            role: self._place(workload.owner, workload_name(Role.BOT, workload.owner)) for workload, role in missing
        }
        self._secrets.read_all(places.values())
        known = self._known(places)
        new = []
        for workload, role in missing:
            kept = self._stored(role, places[role]) if role in known else None
            if kept is not None:
                self._urls[role] = kept
                continue
            bot, uid = BotKey(workload.owner.full_name), BotUid(workload.bot_uid or "")
            self.admit_bot(bot, uid)
            new.append((bot, uid, role))
        for some in batched(new, AT_ONCE):
            made = {}
            with self._owner() as connection, connection.transaction():
                for bot, uid, role in some:
                    made[role] = ensure_holder_role(connection, fleet=self._fleet, bot=bot, uid=uid)
            self._urls |= {role: with_login(self._url, login.role, login.password) for role, login in made.items()}

    def credentials(self, workload: Workload) -> Credentials:
        """Return what a workload alone may know."""
        return Credentials(database_url=self._url_of(workload), token=self._token_of(workload))

    def _url_of(self, workload: Workload) -> str:
        if workload.bot_uid is not None:
            return self._bot_url(workload.owner, BotUid(workload.bot_uid))
        return self.login(workload.name, self._place(workload.owner, workload.name), COMPONENTS[workload.role])

    def _bot_url(self, owner: ResourceKey, uid: BotUid) -> str:
        """Return the URL of a bot's own log-in, made when it is missing."""
        bot = BotKey(owner.full_name)
        self.admit_bot(bot, uid)
        role = holder_login(self._fleet, uid)
        if role not in self._urls:
            kept = self._kept(role, self._place(owner, workload_name(Role.BOT, owner)))
            if kept is None:
                with self._owner() as connection, connection.transaction():
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
                with self._owner() as connection, connection.transaction():
                    made = ensure_workload_login(connection, fleet=self._fleet, component=component, workload=name)
                kept = with_login(self._url, made.role, made.password)
            self._urls[role] = kept
        return self._urls[role]

    def _token_of(self, workload: Workload) -> str:
        if workload.token_name is None:
            return ""
        place = self._place(workload.owner, workload.token_name)
        if place not in self._tokens:
            self._tokens[place] = self._secrets.read(place).get(TOKEN_KEY) or random_secrets.token_hex(TOKEN_BYTES)
        return self._tokens[place]

    def _place(self, owner: ResourceKey, planned: str) -> Key:
        return object_key(planned, owner, self._home_of(owner.namespace))

    def _kept(self, role: str, place: Key) -> str | None:
        """Return the URL in a workload's Secret if it still leads where ours does, as that role, which is there."""
        return self._stored(role, place) if self._known([role]) else None

    def _known(self, roles: Iterable[str]) -> set[str]:
        """Return those of these log-ins that the database knows, as ours."""
        with self._owner() as connection:
            rows = connection.execute(
                "SELECT rolname FROM pg_roles JOIN tradefleet.login_role ON role = rolname "
                "WHERE rolname = ANY(%s) AND fleet = %s",
                (list(roles), self._fleet),
            ).fetchall()
        return {role for (role,) in rows}

    def _stored(self, role: str, place: Key) -> str | None:
        stored = self._secrets.read(place)
        url = stored.get(URL_KEY, "")
        password = urllib.parse.urlsplit(url).password
        if not url or not password or url != with_login(self._url, role, urllib.parse.unquote(password)):
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
                if self._connection.info.server_version >= SCRAM_SETTING_SINCE:
                    self._connection.execute(f"SET scram_iterations = {SCRAM_ITERATIONS}".encode())
            yield self._connection
        except psycopg.OperationalError as error:
            self.close()
            raise Retryable(f"database: {str(error).strip()}") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise Permanent(
                f"database: {str(error).strip()}: give the Governor the URL of the schema's owner, who may make roles "
                "(CREATEROLE)"
            ) from error


def batched(values: Iterable[ValueT], size: int) -> Iterator[list[ValueT]]:
    """Yield values, so many at a time. (`itertools.batched` is there from Python 3.12 on.)"""
    rest = iter(values)
    while some := list(itertools.islice(rest, size)):
        yield some


def with_login(url: str, role: str, password: str) -> str:
    """Return the URL of the same database for another role."""
    parts = urllib.parse.urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    login = f"{urllib.parse.quote(role, safe='')}:{urllib.parse.quote(password, safe='')}"
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{login}@{hosts}"))


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        _LOG.warning("a Secret with a log-in that does not open is replaced: %s", str(error).strip().splitlines()[-1])
        return False
    return True
