"""A fleet of real processes for these tests: started, restarted when they die, and looked at from outside."""

import json
import os
import secrets
import sys
import threading
from pathlib import Path

from governor.local.broker import Broker
from governor.local.database import Database
from governor.local.loopback import free_port
from governor.local.processes import Child, Command, spawn
from governor.plan import Observed, expand_sets, plan
from governor.workload import Role, Workload

from tests.integration.lockstep.reference import INJECTED
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.messages.topics import TOPICS
from tradefleet.resources.load import load
from tradefleet.store import schema
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.upkeep import PostgresFleetStore
from workloads.backtest.strategies import warmup_of

MODULES = {
    Role.VENUE: ("workloads.exchange.main", "venue"),
    Role.GATEWAY: ("workloads.exchange.main", "gateway"),
    Role.FEED: ("workloads.feeds.main",),
    Role.BOT: ("workloads.strategy.main",),
}
LOOK_S = 0.05
BROKER, POSTGRES = "broker", "postgres"


class Fleet:
    """Services, the workloads that `plan` wants, and a thread that starts again what has died."""

    name = "lockstep"

    def __init__(self, folder: Path, resources: Path) -> None:
        self.folder = folder
        self.points = folder / "points"
        self.points.mkdir()
        self._resources = resources
        self._database = Database(folder / "postgres-data")
        self._broker = Broker(folder / "kafka-data")
        self._workloads: dict[str, Workload] = {}
        self._children: dict[str, Child] = {}
        self.starts: dict[str, int] = {}
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._port = free_port()
        self._token = folder / "token"
        self.run = RunId("")

    @property
    def dsn(self) -> str:
        """The owner's URL."""
        return self._database.dsn()

    def start(self) -> None:
        """Return when everything was started once."""
        self._database.start()
        self._broker.start()
        schema.upgrade(self.dsn)
        with KafkaBus(KafkaSettings(bootstrap=self._broker.bootstrap)) as bus:
            bus.ensure_topics(list(TOPICS.values()))
        self._token.write_text(secrets.token_hex(16), encoding="ascii")
        session = Session(self.dsn, fleet=self.name)
        fleets, commands, runs = PostgresFleetStore(session), PostgresCommandStore(session), PostgresRuns(session)
        fleets.create_fleet()
        resources = [
            each.resource.model_copy(
                update={"metadata": each.resource.metadata.model_copy(update={"uid": f"uid-{number}", "generation": 1})}
            )
            for number, each in enumerate(load([self._resources]))
        ]
        wanted = plan([*resources, *expand_sets(resources)], Observed(), warmup_of)
        assert not wanted.verdicts, wanted.verdicts
        for each in wanted.commands:
            fleets.register_bot(each.command.config.key, each.command.config.uid)
            commands.put_command(each.account, each.command)
        for run in wanted.runs:
            self.run = RunId(run.run)
            runs.create_run(self.run, run.feed, run.participants)
        session.close()
        self._workloads = {each.name: each for each in wanted.workloads}
        self._keeper.start()

    def stop(self) -> None:
        """Return when nothing runs any more."""
        self._ended.set()
        self._keeper.join()
        for child in self._children.values():
            child.kill()
        self._broker.stop()
        self._database.stop()

    def names(self, role: str = "") -> list[str]:
        """Return the workloads whose name begins so."""
        return [name for name in sorted(self._workloads) if name.startswith(role)]

    def pid(self, name: str) -> int | None:
        """Return the pid of a workload or service; None while it is dead."""
        child = {BROKER: self._broker.child, POSTGRES: self._database.child}.get(name) or self._children.get(name)
        return child.pid if child is not None and child.is_alive() else None

    def log_tails(self, characters: int = 2_000) -> str:
        """Return the end of each process's log."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-characters:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def _keep(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._database.start()
            self._broker.start()
            for name, workload in self._workloads.items():
                child = self._children.get(name)
                if child is None or not child.is_alive():
                    self._children[name] = self._spawn(workload)

    def _spawn(self, workload: Workload) -> Child:
        settings = dict(workload.settings)
        if workload.role in (Role.VENUE, Role.GATEWAY):
            settings["token_file"] = str(self._token)
            settings["port" if workload.role is Role.VENUE else "venue_port"] = self._port
        path = self.folder / f"{workload.name}.json"
        path.write_text(json.dumps(settings, default=str), encoding="utf-8")
        self.starts[workload.name] = self.starts.get(workload.name, 0) + 1
        return spawn(
            Command(
                name=workload.name,
                arguments=(sys.executable, "-m", *MODULES[workload.role], str(path)),
                folder=self.folder,
                log=self.folder / f"{workload.name}.log",
                environment={
                    **os.environ,
                    "PYTHONPATH": str(INJECTED),
                    "LOCKSTEP_POINTS": str(self.points),
                    "TRADEFLEET_FLEET": self.name,
                    "TRADEFLEET_COMPONENT": workload.name,
                    "TRADEFLEET_HOLDER": f"slot-{workload.name}",
                    "TRADEFLEET_DATABASE_URL": self.dsn,
                    "TRADEFLEET_KAFKA_BOOTSTRAP": self._broker.bootstrap,
                    "TRADEFLEET_LOG_FORMAT": "text",
                },
            ),
            self.folder / "records",
        )
