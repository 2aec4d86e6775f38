"""The command line as a user runs it: a process of its own, with a data folder of the test's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from governor.local.database import Database
from governor.local.home import Home

COMMAND_S = 240
CONDITION_S = 90
LOOK_S = 0.2


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class FleetCommands:
    """Runs `tradefleet` on one data folder, and looks behind its back."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.work = work
        self.home = Home(folder)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tradefleet.cli.main", *arguments],
            cwd=self.work,
            env={**os.environ, "TRADEFLEET_HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=COMMAND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{arguments} did not end within {COMMAND_S} s\n{out}\n{err}") from None
        return Done(process.returncode, out, err)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.code == 0, f"{arguments}: {done.text}\n{self.log_tail()}"
        return done.out

    def values(self, *words: str) -> list[dict]:
        """Return resources as `get -o json` shows them."""
        found = json.loads(self.ok("get", *words, "-o", "json"))
        return found["items"] if found.get("kind") == "List" else [found]

    def bot(self, name: str) -> dict:
        return self.values("tb", name)[0]

    def wait_for(self, what: str, is_so: Callable[[], bool], timeout_s: float = CONDITION_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s: {what}\n{self.log_tail()}")
            time.sleep(LOOK_S)

    def query(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple]:
        with psycopg.connect(Database(self.home.postgres).dsn(), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def supervisor_pid(self) -> int:
        running = self.home.running()
        assert running is not None, self.log_tail()
        return running.pid

    def processes(self) -> list[int]:
        """Return every process that works for this fleet: its folder is in their command lines or their directory."""
        pids = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                place = str((entry / "cwd").readlink())
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state not in {"Z", "X"} and (str(self.folder) in command or place.startswith(str(self.folder))):
                pids.append(int(entry.name))
        return pids

    def kill_supervisor(self) -> None:
        os.kill(self.supervisor_pid(), signal.SIGKILL)
        self.wait_for("the fleet's processes die with their supervisor", lambda: not self.processes())

    def stop(self) -> None:
        if self.home.running() is not None:
            self.run("down")

    def log_tail(self) -> str:
        tails = []
        for path in sorted(self.home.logs.glob("*.log")) if self.home.logs.exists() else ():
            lines = path.read_text(errors="replace").splitlines()[-4:]
            tails += [f"== {path.name}", *lines]
        return "\n".join(tails)
