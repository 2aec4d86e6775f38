"""A real fleet for these tests: the supervisor of `tradefleet up` with everything it starts, looked at from outside."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psycopg
from governor.local.database import Database
from governor.local.fleet import LocalFleet
from governor.local.home import Home
from governor.local.processes import ProcessRecord

from tests.integration.lockstep.reference import INJECTED
from tradefleet.resources.load import load
from tradefleet.store.ports import RunId

SUPERVISOR, BROKER, POSTGRES = "supervisor", "broker", "postgres"
RUN_S = 60.0  # until the supervisor has planned the run, on a machine that others use too
POLL_S = 0.05


class Fleet:
    """A fleet in a data folder of its own. What it runs passes the points in `points`."""

    def __init__(self, folder: Path, resources: Path) -> None:
        self.points = folder / "points"
        self.points.mkdir()
        self.run = RunId("")
        self._resources = resources
        self._environment = ExitStack()
        self._home = Home(folder / "fleet")
        self._local = LocalFleet(self._home)

    @property
    def name(self) -> str:
        """The fleet's id."""
        return self._home.facts().fleet

    @property
    def dsn(self) -> str:
        """The database owner's URL."""
        return Database(self._home.postgres).dsn()

    def __enter__(self) -> Self:
        """Start, and return once the run has been planned."""
        # The supervisor hands its environment on to all that it starts, as any process does.
        self._environment.enter_context(variable("LOCKSTEP_POINTS", str(self.points)))
        search = [str(INJECTED), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment.enter_context(variable("PYTHONPATH", os.pathsep.join(search)))
        # Processes start again and again here: they shall not compile everything each time, whatever our own setting.
        self._environment.enter_context(variable("PYTHONDONTWRITEBYTECODE", ""))
        try:
            self.run = self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of it."""
        if self._local.is_running:
            self._local.supervisor().stop(lambda step: None)
        self._environment.close()

    def _start(self) -> RunId:
        self._local.prepare(ports={}, code_folder=INJECTED)
        self.revive()
        resources = self._local.resources()
        resources.apply([each.resource for each in load([self._resources])])
        resources.close()
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            with psycopg.connect(self.dsn) as connection:
                found = connection.execute("SELECT run FROM tradefleet.run").fetchone()
            if found is not None:
                return RunId(found[0])
            time.sleep(POLL_S)
        raise AssertionError(f"no run within {RUN_S:.0f} s\n{self.log_tails()}")

    def revive(self) -> None:
        """Start the supervisor, which carries on where the fleet was. It dies with us."""
        self._local.start(lambda step: None, attached=True)

    def names(self, kind: str) -> list[str]:
        """Return the workloads of a kind."""
        return [path.stem for path in sorted(self._home.processes.glob(f"{kind or '*'}-*.json"))]

    def pid(self, name: str) -> int | None:
        """Return the pid of a workload, a service or the supervisor; None while it is dead."""
        if name == SUPERVISOR:
            found = self._home.running()
            return None if found is None else found.pid
        path = {
            BROKER: self._home.kafka / "kafka.process",
            POSTGRES: self._home.postgres / "postgres.process",
        }.get(name, self._home.processes / f"{name}.process")
        try:
            record = ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return None
        return record.pid if record.is_alive() else None

    def log_tails(self, characters: int = 2_000) -> str:
        """Return the end of each process's log."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-characters:]}"
            for path in sorted(self._home.logs.glob("*.log"))
        )


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of our environment inside the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
