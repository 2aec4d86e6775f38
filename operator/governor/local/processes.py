"""Child processes that die with us, and the records by which a later start finds those that did not.

A child leads its own session, so that Ctrl-C in the terminal reaches the supervisor alone, which then stops its
children in order. What a child writes goes to its log file.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from tradefleet.domain.errors import Retryable

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
KILL_WAIT_S: Final = 10.0  # after SIGKILL a process is gone at once, unless it hangs in the kernel
LEFTOVER_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run: an absolute program with its arguments, where, with which environment, and where its output goes."""

    name: str  # unique among the records of one folder
    arguments: Sequence[str]
    folder: Path
    log: Path
    environment: Mapping[str, str] | None = None  # None hands on our own
    identity: str = "same"  # see launcher.py
    memory_bytes: int = 0  # of data it may have; 0: any number
    inherited: Sequence[int] = ()  # file descriptors the child keeps, under their numbers


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process, told apart from a later one with the same pid by its start time and the boot it belongs to."""

    name: str
    pid: int
    started_ticks: int  # clock ticks since boot
    boot: str

    def is_alive(self) -> bool:
        """Return whether this very process still runs."""
        return self.boot == boot_id() and started_ticks(self.pid) == self.started_ticks


class Process(Protocol):
    """A process that we started, as whoever keeps it sees it."""

    def fileno(self) -> int:
        """Return a descriptor that is readable once the process has ended; valid until it was reaped."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs or before `wait` saw its end."""
        ...

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status once the process has ended, None when it has not within `timeout_s`."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        ...

    def kill(self) -> int:
        """Return the exit status after SIGKILL."""
        ...


Start = Callable[[Command, Path], Process]  # `spawn`, or what stands for it in a test


class Child:
    """A running child. Wait for several at once by `fileno()`: it becomes readable when the child has ended."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", record: Path) -> None:
        self.name = name
        self.pid = popen.pid
        self._popen = popen
        self._record = record
        self._pidfd = os.pidfd_open(popen.pid)

    def fileno(self) -> int:
        """Return a descriptor that is readable once the child has ended; valid until it was reaped."""
        return self._pidfd

    @property
    def exit_code(self) -> int | None:
        """Return the exit status, negative for a signal; None while the child runs or before `wait` saw its end."""
        return self._popen.returncode

    def is_alive(self) -> bool:
        """Return whether the child still runs."""
        return self.wait(0) is None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status once the child has ended, None when it has not within `timeout_s`."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        # While it is not reaped its pid, which is its group's number too, cannot be given to anybody else.
        _kill_group(self.pid)
        code = self._popen.wait()
        os.close(self._pidfd)
        self._record.unlink(missing_ok=True)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child alone; nothing happens when it has ended."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def stop(self, *, grace_s: float, how: signal.Signals = signal.SIGTERM) -> int:
        """Return the exit status after asking the child to end and, when `grace_s` has passed, killing its group."""
        self.send(how)
        code = self.wait(grace_s)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """Return the exit status after SIGKILL to the whole group."""
        if self._popen.returncode is None:
            _kill_group(self.pid)
        code = self.wait(KILL_WAIT_S)
        if code is None:
            raise Retryable(f"process {self.name} ({self.pid}) is still there {KILL_WAIT_S:.0f} s after SIGKILL")
        return code


def spawn(command: Command, records: Path) -> Child:
    """Return the started child, after writing its record into the folder `records`.

    The kernel ties a child's life to the *thread* that made it, so all are made by one that lives as long as we do. It
    ends with the main thread, before `atexit` functions run: stop children before `main` returns.
    """
    return _spawner().submit(_spawn, command, records).result()


def run(command: Command, records: Path, *, timeout_s: float) -> int | None:
    """Return the exit status of a command that ends by itself; None when it had to be killed after `timeout_s`."""
    child = spawn(command, records)
    try:
        return child.wait(timeout_s)
    finally:
        if child.exit_code is None:  # too slow, or we were interrupted
            child.kill()


def clear_leftovers(records: Path) -> list[ProcessRecord]:
    """Return the processes of an earlier supervisor that still ran, after killing them and waiting for their end.

    Call it only while holding the lock of the folder: it takes every recorded process for a leftover.
    """
    cleared = []
    for path in sorted(records.glob("*.process")) if records.is_dir() else ():
        record = _read_record(path)
        if record is not None and record.is_alive():
            _kill_group(record.pid)
            _wait_until_gone(record)
            cleared.append(record)
        path.unlink(missing_ok=True)
    return cleared


def started_ticks(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot; None when there is none, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets (proc_pid_stat(5))
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def boot_id() -> str:
    """Return the kernel's name for the time since the last boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def working_in(folder: Path) -> list[int]:
    """Return the pids of the processes whose working directory is `folder`, as far as we may see them."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if (entry / "cwd").samefile(folder):
                    pids.append(int(entry.name))
    return pids


_spawners: dict[int, ThreadPoolExecutor] = {}  # by our own pid: a forked copy of us has no threads yet
_spawners_lock = threading.Lock()


def _spawner() -> ThreadPoolExecutor:
    with _spawners_lock:
        return _spawners.setdefault(os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="spawner"))


def _spawn(command: Command, records: Path) -> Child:
    records.mkdir(parents=True, exist_ok=True)
    record_path = records / f"{command.name}.process"
    told = (str(os.getpid()), command.identity, str(command.memory_bytes))
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), *told, *command.arguments]
    with command.log.open("ab") as log:
        popen = subprocess.Popen(
            launch,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=command.folder,
            env=None if command.environment is None else dict(command.environment),
            start_new_session=True,
            pass_fds=tuple(command.inherited),
        )
    child = Child(command.name, popen, record_path)
    try:
        # exec keeps pid and start time, so what we read now holds for the command the launcher turns into.
        ticks = started_ticks(popen.pid)
        _write_record(record_path, ProcessRecord(command.name, popen.pid, ticks or 0, boot_id()))
    except OSError:
        child.kill()
        raise
    return child


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _wait_until_gone(record: ProcessRecord) -> None:
    deadline = time.monotonic() + KILL_WAIT_S
    while record.is_alive():
        if time.monotonic() > deadline:
            raise Retryable(f"process {record.name} ({record.pid}) is still there {KILL_WAIT_S:.0f} s after SIGKILL")
        time.sleep(LEFTOVER_POLL_S)


def _write_record(path: Path, record: ProcessRecord) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
    temporary.replace(path)


def _read_record(path: Path) -> ProcessRecord | None:
    try:
        return ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None  # torn by a crash of the machine: that process is gone too
