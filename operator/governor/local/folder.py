"""The part of a data folder that one embedded service owns: its lock, its remembered settings, and its errors."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import FleetError, Permanent, Retryable

FREE_BYTES_MIN: Final = 256 * 1024 * 1024  # room for a first start of either service; less would fail half-way through
LOG_BYTES_MAX: Final = 10 * 1024 * 1024

_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full: free some space or name another data folder",
    errno.EDQUOT: "the disk quota is used up: free some space or name another data folder",
    errno.EACCES: "we may not write there: change its owner or name another data folder",
    errno.EPERM: "we may not write there: change its owner or name another data folder",
    errno.EROFS: "the file system is read-only: name another data folder",
    errno.ENOTDIR: "a part of the path is a file: name another data folder",
}


class ServiceFolder:
    """A service's folder. `claim` makes it and takes its lock, `release` gives the lock back; data stays."""

    def __init__(self, path: Path, service: str) -> None:
        self.path = path.absolute()
        self.service = service
        self._lock: int | None = None

    def claim(self) -> None:
        """Make the folder, look for room on its disk, and take its lock, so that nobody else runs the service on it.

        Raises Permanent when it cannot be written, when the disk has no room, or when another process holds the lock.
        """
        with self.errors():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path).free
            if free < FREE_BYTES_MIN:
                raise Permanent(
                    f"{self.service}: {self.path} has {free // 2**20} MiB free, at least {FREE_BYTES_MIN // 2**20} MiB "
                    "are needed: free some space or name another data folder"
                )
            if self._lock is None:
                self._lock = self._take_lock()

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> int:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise Permanent(
                f"{self.service}: {self.path} is in use by the running process {holder}: stop that fleet first, "
                "or name another data folder"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode("ascii"), 0)
        return lock

    def remembered(self) -> dict[str, str | int]:
        """Return the settings kept from the last start; empty before the first."""
        try:
            values = json.loads((self.path / "settings.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise Permanent(
                f"{self.service}: {self.path / 'settings.json'} is not JSON: restore or delete it"
            ) from error
        return dict(values)

    def recall(self, name: str) -> str | int:
        """Return one remembered setting; Permanent when the service was never started here."""
        try:
            return self.remembered()[name]
        except KeyError as error:
            raise Permanent(f"{self.service}: nothing was ever started in {self.path}") from error

    def remember(self, values: Mapping[str, str | int]) -> None:
        """Keep the settings, readable by us alone because passwords may be among them."""
        temporary = self.path / "settings.json.new"
        with self.errors():
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(dict(values), file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / "settings.json")

    def turn_log(self, name: str) -> Path:
        """Return the path of a log file, after setting one that grew too large aside."""
        path = self.path / name
        with self.errors():
            if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
                path.replace(path.with_name(name + ".1"))
        return path

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the file system's refusals into one clear Permanent; other errors pass."""
        try:
            yield
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0)
            if remedy is None:
                raise
            raise Permanent(f"{self.service}: {error.filename or self.path}: {remedy}") from error


def log_tail(path: Path, lines: int = 8) -> str:
    """Return the last lines of a log, for the message about a service that did not start."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def start_failure(what: str, log: Path) -> FleetError:
    """Return the error for a start that failed: Permanent with the remedy where the log names a cause we know."""
    tail = log_tail(log)
    if "No space left on device" in tail:
        return Permanent(f"{what}: {_REMEDIES[errno.ENOSPC]} (its log: {log})")
    return Retryable(f"{what}: its log {log} ends with:\n{tail}")
