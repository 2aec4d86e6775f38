"""What every part of the store in memory stands on: the shared rows, and the places where a commit may break."""

from collections.abc import Callable
from typing import Protocol

from tests.fakes.memory_database import (
    FleetRows,
    MemoryDatabase,
)
from tradefleet.store.ports import (
    RunId,
)


class Faults(Protocol):
    """What the simulation puts in: called at named points of every commit, and may raise there.

    `before_commit` and `inside_commit_lost`: nothing is written yet, and nothing will be when it raises.
    `inside_commit_applied` and `after_commit`: everything is written.
    """

    def at(self, point: str) -> None:
        """Go on, or raise what the process shall see."""


class NoFaults:
    """A database that works."""

    def at(self, point: str) -> None:
        """Go on."""


class MemoryHandle:
    """One process's handle on the database."""

    def __init__(
        self,
        database: MemoryDatabase,
        *,
        fleet: str = "fleet",
        faults: Faults | None = None,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self._database = database
        self._rows: FleetRows = database.fleets[fleet]
        self._faults: Faults = faults or NoFaults()
        self._clock_us = clock_us or database.clock_us  # the process's own monotonic clock
        self._lock = database.changed
        self._hints: dict[tuple[RunId, str], int] = {}

    def _commit(self, check: Callable[[], Callable[[], None]]) -> None:
        """Run `check`, then what it returns: the write. The fault points stand where a real commit can break."""
        with self._lock:
            write = check()
            self._faults.at("before_commit")
            self._faults.at("inside_commit_lost")
            write()
            self._lock.notify_all()
        self._faults.at("inside_commit_applied")
        self._faults.at("after_commit")
