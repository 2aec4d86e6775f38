"""What a local fleet stands on: its Postgres with schema and log-ins, its Kafka with topics."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from tradefleet.bus.access import ADMINISTRATOR, WRITERS, grant_access
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.schemas import prepare_topics
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.runtime.clock import SystemClock
from tradefleet.store import schema
from tradefleet.store.components import Component
from tradefleet.store.logins import (
    admit,
    bot_logins,
    component_login,
    drop_login,
    holder_login,
    host_login,
    known_logins,
)
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.upkeep import PostgresFleetStore

from .broker import Broker
from .database import Database
from .home import FleetFacts, Home, now_us
from .patience import insist

TOPICS_TIMEOUT_US: Final = 90_000_000  # as long as the broker may take to start

Tell = Callable[[str], None]


class Services:
    """The embedded database and broker of one fleet."""

    def __init__(self, home: Home, facts: FleetFacts, tell: Tell) -> None:
        self.fleet = facts.fleet
        self._tell = tell
        self._database = Database(home.postgres, port=facts.ports.get("postgres"))
        self._broker = Broker(
            home.kafka, port=facts.ports.get("kafka"), users=(ADMINISTRATOR, *WRITERS), progress=self._on_download
        )
        self._logins: dict[str, str] = {}
        self._assigned: dict[BotUid, str] = {}  # the role that runs each bot, as far as this process has seen to it

    @property
    def bootstrap(self) -> str:
        """Where the broker listens."""
        return self._broker.bootstrap

    def kafka(self, user: str = ADMINISTRATOR) -> KafkaSettings:
        """Return how a user of the broker connects. It holds a password."""
        return KafkaSettings(bootstrap=self.bootstrap, client_id=user, security=self._broker.security(user))

    def start(self) -> None:
        """Return once both serve, with schema, log-ins and topics in place. Raises Permanent or Retryable."""
        self._tell("starting Postgres")
        self._database.start()
        self._tell("preparing the database")
        schema.upgrade(self._database.dsn())
        session = Session(self._database.dsn(), fleet=self.fleet, application="supervisor")
        try:
            PostgresFleetStore(session).create_fleet()
        finally:
            session.close()
        for component in Component:
            if component is not Component.HOLDER:
                self._logins[component] = self._ensure_login(component_login(self.fleet, component), component)
        self._tell("starting Kafka")
        self._broker.start()
        self._tell("creating topics")
        # A broker answers before it does what it is asked; on a busy machine that takes its time.
        insist(
            self._prepare_topics,
            timeout_us=TOPICS_TIMEOUT_US,
            clock=SystemClock(),
            tell=lambda error: self._tell(f"creating topics: {error}"),
        )

    def revive(self) -> bool:
        """Start again what has died; True when something had."""
        died = False
        if not self._database.is_alive():
            self._tell("restarting Postgres")
            self._database.start()
            died = True
        if not self._broker.is_alive():
            self._tell("restarting Kafka")
            self._broker.start()
            died = True
        return died

    def stop(self) -> None:
        """Stop both, the broker first: the database holds what it may lose."""
        self._tell("stopping Kafka")
        self._broker.stop()
        self._tell("stopping Postgres")
        self._database.stop()

    def url(self, component: Component) -> str:
        """Return the URL by which a component of the fleet connects. It holds a password."""
        return self._logins[component]

    def admit_bot(self, bot: BotKey, uid: BotUid, *, host: str = "") -> str:
        """Return the URL of a bot's own log-in or of its shared host, made when it is missing.

        The bot is assigned to it: it may write the rows of the bots that are, and no others.
        """
        role = host_login(self.fleet, host) if host else holder_login(self.fleet, uid)
        url = self._holder(role)
        if self._assigned.get(uid) != role:
            session = Session(self._logins[Component.SUPERVISOR], fleet=self.fleet, application="supervisor")
            try:
                PostgresFleetStore(session).register_bot(bot, uid, db_role=role, host=host)
            finally:
                session.close()
            self._assigned[uid] = role
        return url

    def admit_bots(self, bots: Sequence[tuple[BotKey, BotUid, str]]) -> None:
        """Do the same for many bots, each with its host."""
        for bot, uid, host in bots:
            self.admit_bot(bot, uid, host=host)

    def host_url(self, host: str) -> str:
        """Return the URL of the log-in of a shared host, made when it is missing."""
        return self._holder(host_login(self.fleet, host))

    def dismiss_bot(self, uid: BotUid) -> None:
        """Take away the log-in of a bot that is gone."""
        self._assigned.pop(uid, None)
        self._dismiss(holder_login(self.fleet, uid))

    def dismiss_strangers(self, uids: Collection[BotUid]) -> None:
        """Take away the log-ins of all bots but these."""
        kept = {holder_login(self.fleet, uid) for uid in uids}
        with self._database.owner() as connection:
            strangers = bot_logins(connection, self.fleet) - kept
        for role in sorted(strangers):
            self._dismiss(role)

    def known_hosts(self, hosts: Collection[str]) -> Collection[str]:
        """Return those of these shared hosts that have a log-in, whoever made it."""
        roles = {host_login(self.fleet, host): host for host in hosts}
        with self._database.owner() as connection:
            return {roles[role] for role in known_logins(connection, roles)}

    def dismiss_host(self, host: str) -> None:
        """Take away the log-in of a shared host that is gone."""
        self._dismiss(host_login(self.fleet, host))

    def _holder(self, role: str) -> str:
        if role not in self._logins:
            self._logins[role] = self._ensure_login(role, Component.HOLDER)
        return self._logins[role]

    def _dismiss(self, role: str) -> None:
        self._logins.pop(role, None)
        with self._database.owner() as connection:
            drop_login(connection, role)

    def _ensure_login(self, role: str, component: Component) -> str:
        url = self._database.ensure_login(role)
        with self._database.owner() as connection:
            admit(connection, role, fleet=self.fleet, component=component)
        return url

    def _prepare_topics(self) -> None:
        """Grant access and make topics. What was done before is left as it is, so it may be cut short and repeated."""
        grant_access(self.kafka(), SystemClock())
        with KafkaBus(self.kafka()) as bus:
            prepare_topics(bus, now_us())

    def _on_download(self, label: str, done: int, total: int) -> None:
        self._tell(f"{label}: {done} of {total}")
