"""The trials of Backtests in processes of their own, a few at a time: the bots come first on a small machine.

What came of a trial stands in the database. So a supervisor that starts again looks which are missing, and goes on.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from governor.simulation import (
    INDEX_VARIABLE,
    MODULE,
    RETRIES_PER_INDEX,
    TRIAL_FAILED,
    WORDS_VARIABLE,
    Asked,
    Simulation,
    SimulationFacts,
)

from .allowance import allowance_bytes
from .home import Home
from .processes import Command, Process, Start, spawn

Missing = Callable[[Simulation], Collection[int]]


def slots_of_machine() -> int:
    """Return how many processes may run at the same time: one processor is left for the bots."""
    return max(1, (os.cpu_count() or 1) - 1)


@dataclass(slots=True)
class _Started:
    """A simulation that was begun, by the indexes that are still to be run."""

    simulation: Simulation
    pending: list[int]
    running: dict[int, Process] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    failed: int = 0


class LocalSimulations:
    """Implements `governor.simulating.SimulationRunner`. `missing` tells which trials have no result yet."""

    def __init__(self, home: Home, *, role: str, missing: Missing, slots: int, start: Start = spawn) -> None:
        self._home = home
        self._role = role
        self._missing = missing
        self._spawn = start
        self._folder = home.make(home.path / "jobs")
        self._started: dict[str, _Started] = {}
        self.slots = slots
        self.code_folders: tuple[str, ...] = ()
        self.environment: Mapping[str, str] = {}  # how a trial reaches the fleet's database

    def children(self) -> list[Process]:
        """Return the running children."""
        return [child for each in self._started.values() for child in each.running.values()]

    def role(self, simulation: Simulation) -> str:
        """Return the log-in that writes the results: on one machine all Backtests share it."""
        del simulation
        return self._role

    def tend(self, asked: Collection[Asked]) -> dict[str, SimulationFacts]:
        """Start and end processes as asked; return where each simulation is, by name."""
        wanted = {each.simulation.name: each for each in asked}
        for name, started in list(self._started.items()):
            if name not in wanted or wanted[name].simulation.digest != started.simulation.digest:
                _end(started, len(started.running))
                del self._started[name]
                self._settings(name).unlink(missing_ok=True)
        return {name: self._tend(each) for name, each in wanted.items()}

    def stop(self) -> None:
        """End all processes; what they had not finished is done again."""
        for each in self._started.values():
            _end(each, len(each.running))
        self._started.clear()

    def _tend(self, asked: Asked) -> SimulationFacts:
        simulation = asked.simulation
        started = self._started.get(simulation.name)
        if started is None:
            if not asked.slots:
                return SimulationFacts()
            started = self._started[simulation.name] = self._begin(simulation)
        for index, child in list(started.running.items()):
            if child.wait(0) is not None:
                del started.running[index]
                self._note_end(started, index, child.exit_code or 0)
        _end(started, len(started.running) - asked.slots)
        is_given_up = started.failed + len(started.lost) > simulation.indexes_failed_max
        while started.pending and len(started.running) < asked.slots and not is_given_up:
            index = started.pending.pop(0)
            started.running[index] = self._start(simulation, index)
        is_over = not started.running and (is_given_up or not started.pending)
        early = f"was not run, since {started.failed + len(started.lost)} others had failed" if is_given_up else ""
        return SimulationFacts(
            running=len(started.running),
            slots=asked.slots,
            is_over=is_over,
            lost=dict(started.lost),
            ended_early=early,
        )

    def _begin(self, simulation: Simulation) -> _Started:
        told = dict(simulation.told)
        if simulation.makes_report:
            folder = self._home.make(self._home.path / "reports")
            told["report"] = str(folder / f"{simulation.name}.html")
        self._settings(simulation.name).write_text(json.dumps(told, default=str), encoding="utf-8")
        self._home.turn_log(simulation.name)
        return _Started(simulation, sorted({simulation.index_of(trial) for trial in self._missing(simulation)}))

    def _start(self, simulation: Simulation, index: int) -> Process:
        search = [*self.code_folders, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        command = Command(
            name=f"{simulation.name}-{index}",
            arguments=(sys.executable, "-m", MODULE, str(self._settings(simulation.name))),
            folder=self._folder,
            log=self._home.log(simulation.name),
            memory_bytes=allowance_bytes(simulation.memory_bytes),
            environment={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(search),
                **self.environment,
                INDEX_VARIABLE: str(index),
                WORDS_VARIABLE: str(self._words(simulation.name, index)),
            },
        )
        return self._spawn(command, self._folder)

    def _note_end(self, started: _Started, index: int, code: int) -> None:
        """Take in how an index has ended: done, to be tried again, or lost."""
        if code in (0, TRIAL_FAILED):
            started.failed += code == TRIAL_FAILED
            return
        started.tries[index] = started.tries.get(index, 0) + 1
        if started.tries[index] <= RETRIES_PER_INDEX:
            started.pending.insert(0, index)
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        name = started.simulation.name
        words = self._take_words(name, index)
        log = self._home.log(name)
        started.lost[index] = f"its process {how}, {started.tries[index]} times{words}; its log is {log}"

    def _take_words(self, name: str, index: int) -> str:
        """Return what an index said last, if it said anything."""
        path = self._words(name, index)
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        path.unlink(missing_ok=True)
        return f": {words.get('message', '')}"

    def _words(self, name: str, index: int) -> Path:
        return self._folder / f"{name}-{index}.words"

    def _settings(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _end(started: _Started, count: int) -> None:
    """End the `count` indexes that began last; they are run again later, and it is not held against them."""
    for index in sorted(started.running, reverse=True)[: max(0, count)]:
        started.running.pop(index).kill()
        started.pending.insert(0, index)
