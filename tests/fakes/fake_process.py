"""Processes that do nothing until they are told to end."""

import os
import signal
from pathlib import Path

from governor.local.processes import Command


class FakeProcess:
    """A process as `spawn` gives it. One that does not obey goes on after any signal but SIGKILL."""

    def __init__(self, command: Command, *, obeys: bool = True) -> None:
        self.command = command
        self.signals: list[signal.Signals] = []
        self._obeys = obeys
        self._code: int | None = None
        self._reaped: int | None = None
        self._ended = os.eventfd(0)

    @property
    def exit_code(self) -> int | None:
        return self._reaped

    def fileno(self) -> int:
        return self._ended

    def wait(self, timeout_s: float | None = None) -> int | None:
        assert self._code is not None or timeout_s is not None, f"{self.command.name} would be waited for for ever"
        if self._code is not None and self._reaped is None:
            self._reaped = self._code
            os.close(self._ended)
        return self._reaped

    def send(self, number: signal.Signals) -> None:
        if self._code is None:
            self.signals.append(number)
            if self._obeys:
                self.end(-number)

    def kill(self) -> int:
        if self._code is None:
            self.signals.append(signal.SIGKILL)
            self.end(-signal.SIGKILL)
        code = self.wait(0)
        assert code is not None
        return code

    def end(self, code: int) -> None:
        """Let it end by itself."""
        self._code = code
        os.eventfd_write(self._ended, 1)


class FakeProcesses:
    """Stands for `spawn`: remembers what was started, and finds it by its name."""

    def __init__(self, *, obey: bool = True) -> None:
        self.obey = obey
        self.started: list[FakeProcess] = []

    def __call__(self, command: Command, records: Path) -> FakeProcess:
        process = FakeProcess(command, obeys=self.obey)
        self.started.append(process)
        return process

    def newest(self, name: str) -> FakeProcess:
        """Return the process that was started last under a name."""
        return next(each for each in reversed(self.started) if each.command.name == name)

    def count(self, name: str) -> int:
        """Return how often a process was started under a name."""
        return sum(each.command.name == name for each in self.started)
