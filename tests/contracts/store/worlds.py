"""A world: one fleet, and handles on it as its processes would have them."""

import itertools
import uuid
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import psycopg

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.store.components import Component
from tradefleet.store.logins import Login, component_login, ensure_component_login
from tradefleet.store.ports import (
    CommandStore,
    DeadLetterStore,
    FeedStore,
    GatewayStore,
    HaltStore,
    LeaseName,
    RunStore,
    VenueStore,
)
from tradefleet.store.ports.trials import TrialBooks, TrialStore
from tradefleet.store.postgres.bot_database import BotDatabase
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.dead_letters import PostgresDeadLetterStore
from tradefleet.store.postgres.feeds import PostgresFeedStore
from tradefleet.store.postgres.gateways import PostgresGatewayStore
from tradefleet.store.postgres.halts import PostgresHaltStore
from tradefleet.store.postgres.leases import row_key
from tradefleet.store.postgres.retention import PostgresRetentionStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.trials import PostgresTrials
from tradefleet.store.postgres.upkeep import (
    PostgresFleetStore,
    PostgresTopicStore,
)
from tradefleet.store.postgres.venues import PostgresVenueStore
from tradefleet.store.upkeep import Action, FleetStore, RetentionStore, TopicStore

_numbers = itertools.count()


class World(Protocol):
    """Handles, each as if it were another process's. A second call makes a second handle."""

    def bot(self, bot: BotKey, uid: BotUid) -> "BotDatabase | MemoryStore": ...

    def register(self, bot: BotKey, uid: BotUid) -> None:
        """Let the handles of bots hold this one too."""

    def handle_role(self) -> str:
        """Return the role of the handles of bots."""

    def trouble(self, uid: BotUid) -> str:
        """Return why a bot is out of its host, as its row says."""

    def gateway(self) -> GatewayStore: ...

    def feed(self) -> FeedStore: ...

    def venue(self) -> VenueStore: ...

    def runs(self) -> RunStore: ...

    def halts(self) -> HaltStore: ...

    def commands(self) -> CommandStore: ...

    def fleets(self) -> FleetStore: ...

    def retention(self) -> RetentionStore: ...

    def topics(self) -> TopicStore: ...

    def actions(self) -> list[Action]:
        """Return the log of who did what, in its order. No part of a fleet reads it; people do."""

    def dead_letters(self) -> DeadLetterStore: ...

    def books_of_trials(self) -> TrialBooks: ...

    def trials(self) -> TrialStore:
        """Return a handle of the log-in `trials_role`."""

    def trials_role(self) -> str:
        """Return the role of the handles of Backtests."""

    def expire(self, name: LeaseName) -> None:
        """Let the lease's time be over."""

    def neighbour(self) -> "World":
        """Another fleet in the same database."""


class MemoryWorld:
    def __init__(self, database: MemoryDatabase | None = None, fleet: str = "fleet") -> None:
        self.now_us = 1_000_000
        self.database = database or MemoryDatabase(lambda: self.now_us)
        self._fleet = fleet
        self.kept: dict[str, Any] = {}

    def register(self, bot: BotKey, uid: BotUid) -> None:
        self.handle().register_bot(bot, uid, db_role=self.handle_role())

    def handle_role(self) -> str:
        return "holder"

    def trouble(self, uid: BotUid) -> str:
        return self.handle()._rows.bots[uid].trouble

    def trials_role(self) -> str:
        return "backtest"

    def handle(self) -> MemoryStore:
        return MemoryStore(self.database, fleet=self._fleet)

    def bot(self, bot: BotKey, uid: BotUid) -> MemoryStore:
        self.register(bot, uid)
        return self.handle()

    gateway = feed = venue = runs = halts = commands = fleets = retention = topics = dead_letters = books_of_trials = (
        trials
    ) = handle

    def actions(self) -> list[Action]:
        return [action for _, action in self.handle()._rows.actions]

    def expire(self, name: LeaseName) -> None:
        self.handle()._lease_row(name).until_us = 0

    def neighbour(self) -> "World":
        return MemoryWorld(self.database, f"fleet-{next(_numbers)}")


class PostgresWorld:
    """A new fleet in a database that all tests of a session share."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fleet = f"fleet-{uuid.uuid4().hex[:12]}"
        self.admin = psycopg.connect(url, autocommit=True)
        self._sessions: list[Session] = []
        self._urls: dict[Component, str] = {}
        self.kept: dict[str, Any] = {}
        self.fleets().create_fleet()

    def session(self, url: str | None = None) -> Session:
        session = Session(url or self.url, fleet=self.fleet)
        self._sessions.append(session)
        return session

    def as_component(self, component: Component) -> Session:
        """Return a session that may do what the component may."""
        if component not in self._urls:
            login = ensure_component_login(self.admin, fleet=self.fleet, component=component)
            self._urls[component] = self._url_of(login)
        return self.session(self._urls[component])

    def register(self, bot: BotKey, uid: BotUid) -> None:
        # One log-in for all bots of this world, as a shared host has: some tests commit several in one transaction.
        PostgresFleetStore(self._kept_session()).register_bot(bot, uid, db_role=self.handle_role())

    def handle_role(self) -> str:
        return component_login(self.fleet, Component.HOLDER)

    def trouble(self, uid: BotUid) -> str:
        row = self.admin.execute("SELECT trouble FROM tradefleet.bot WHERE fleet = %s AND uid = %s", (self.fleet, uid))
        found = row.fetchone()
        assert found is not None
        return str(found[0])

    def _kept_session(self) -> Session:
        if "supervisor" not in self.kept:
            self.kept["supervisor"] = self.as_component(Component.SUPERVISOR)
        session: Session = self.kept["supervisor"]
        return session

    def _url_of(self, login: Login) -> str:
        parts = urlsplit(self.url)
        return parts._replace(netloc=f"{login.role}:{quote(login.password)}@{parts.hostname}:{parts.port}").geturl()

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self.admin.close()

    def bot(self, bot: BotKey, uid: BotUid) -> BotDatabase:
        self.register(bot, uid)
        return BotDatabase(self.as_component(Component.HOLDER))

    def gateway(self) -> GatewayStore:
        return PostgresGatewayStore(self.as_component(Component.GATEWAY))

    def feed(self) -> FeedStore:
        return PostgresFeedStore(self.as_component(Component.FEED))

    def venue(self) -> VenueStore:
        return PostgresVenueStore(self.as_component(Component.VENUE))

    def runs(self) -> RunStore:
        return PostgresRuns(self.as_component(Component.FEED))

    def halts(self) -> HaltStore:
        return PostgresHaltStore(self.as_component(Component.SUPERVISOR))

    def commands(self) -> CommandStore:
        return PostgresCommandStore(self.as_component(Component.SUPERVISOR))

    def fleets(self) -> FleetStore:
        return PostgresFleetStore(self.as_component(Component.SUPERVISOR))

    def retention(self) -> RetentionStore:
        return PostgresRetentionStore(self.as_component(Component.SUPERVISOR))

    def actions(self) -> list[Action]:
        rows = self.admin.execute(
            "SELECT actor, action, object, detail FROM tradefleet.audit_log WHERE fleet = %s ORDER BY entry",
            (self.fleet,),
        )
        return [
            Action(actor=actor, action=action, target=target, detail=detail) for actor, action, target, detail in rows
        ]

    def dead_letters(self) -> DeadLetterStore:
        return PostgresDeadLetterStore(self.as_component(Component.VENUE))

    def books_of_trials(self) -> TrialBooks:
        return PostgresTrials(self.as_component(Component.SUPERVISOR))

    def trials(self) -> TrialStore:
        return PostgresTrials(self.as_component(Component.BACKTEST))

    def trials_role(self) -> str:
        return component_login(self.fleet, Component.BACKTEST)

    def topics(self) -> TopicStore:
        return PostgresTopicStore(self.as_component(Component.GATEWAY))

    def expire(self, name: LeaseName) -> None:
        for table, key in (("bot", "uid"), ("gateway", "account"), ("lease", "name")):
            self.admin.execute(
                f"UPDATE tradefleet.{table} SET lease_until_us = 0 WHERE fleet = %s AND {key} = %s",
                (self.fleet, row_key(name)),
            )

    def neighbour(self) -> "World":
        world = PostgresWorld(self.url)
        self._sessions += world._sessions
        return world
