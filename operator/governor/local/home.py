"""The data folder of a local fleet: where everything lies, whose fleet it is, and who runs it now."""

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent

from .folder import LOG_BYTES_MAX, ServiceFolder
from .processes import boot_id, started_ticks

FORMAT: Final = 1  # of everything below a data folder; one of a newer release is left alone
DEFAULT_FOLDER: Final = Path("~/.local/share/tradefleet/default")
FOLDER_VARIABLE: Final = "TRADEFLEET_HOME"


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder of a user who names none."""
    return Path(environment.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFacts:
    """What a data folder says of its fleet. `ports` are those that the user set, by service."""

    fleet: str
    format: int = FORMAT
    release: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    code_folders: tuple[str, ...] = ()  # where strategies named module:Class are imported from


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorFacts:
    """What the running supervisor says of itself. `error` is why it ended; `is_permanent` that a person must act."""

    pid: int
    started_ticks: int
    boot: str
    step: str  # what it is doing, for who waits: "starting Postgres"
    is_up: bool = False  # resources can be read and applied
    error: str = ""
    is_permanent: bool = False

    def is_alive(self) -> bool:
        """Return whether this very process still runs."""
        return self.boot == boot_id() and started_ticks(self.pid) == self.started_ticks


class Home:
    """One data folder. Reading needs no lock; `lock` is held by the supervisor for as long as it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.lock = ServiceFolder(self.path, "fleet")

    @property
    def postgres(self) -> Path:
        """Where the database lives."""
        return self.path / "postgres"

    @property
    def kafka(self) -> Path:
        """Where the broker lives."""
        return self.path / "kafka"

    @property
    def logs(self) -> Path:
        """Where each process's log is."""
        return self.path / "logs"

    @property
    def processes(self) -> Path:
        """Settings, records and last words of the workloads' processes."""
        return self.path / "processes"

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def turn_log(self, name: str) -> Path:
        """Return the log file of a process that is about to start, after setting a large one aside."""
        self.make(self.logs)
        path = self.log(name)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(f"{path.name}.1"))
        return path

    def bound_logs(self) -> None:
        """Set aside the content of logs that have grown too large; the processes go on writing into the same files."""
        for folder in (self.logs, self.postgres):  # the broker turns its own
            for path in folder.glob("*.log"):
                if path.stat().st_size > LOG_BYTES_MAX:
                    with self.lock.errors():
                        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
                        os.truncate(path, 0)

    def make(self, folder: Path) -> Path:
        """Return a folder of ours, made when it is missing. Raises Permanent when it cannot be."""
        with self.lock.errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    # --- the fleet ------------------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether a fleet was ever started here."""
        return (self.path / "fleet.json").exists()

    def facts(self) -> FleetFacts:
        """Return what the folder says of its fleet. Raises Permanent when there is none, or a newer release's."""
        path = self.path / "fleet.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise Permanent(
                f"there is no fleet in {self.path}: start one with `tradefleet up FILES`, or name its data folder with "
                "--data-dir"
            ) from error
        except (OSError, ValueError) as error:
            raise Permanent(f"{path}: cannot be read ({error}): restore it, or name another data folder") from error
        found = values.get("format") if isinstance(values, dict) else None
        if not isinstance(found, int):
            raise Permanent(f"{path}: does not describe a fleet: restore it, or name another data folder")
        if found > FORMAT:
            raise Permanent(
                f"data folder {self.path}: was written by tradefleet {values.get('release') or '(unknown)'} in format "
                f"{found}, this release ({release()}) knows up to {FORMAT}: use the newer release, or name another "
                "folder with --data-dir"
            )
        known = {name: values[name] for name in ("fleet", "format", "release", "ports") if name in values}
        return FleetFacts(**known, code_folders=tuple(values.get("code_folders", ())))

    def claim(self) -> FleetFacts:
        """Return the fleet of this folder, made when it is a new one. Raises Permanent when it cannot be ours."""
        if not self.exists:
            self.make(self.path)
            self.keep(FleetFacts(fleet=secrets.token_hex(4)))
        return self.facts()

    def keep(self, facts: FleetFacts) -> None:
        """Write what the folder says of its fleet."""
        values = asdict(replace(facts, format=FORMAT, release=release()))
        self._write("fleet.json", values)

    # --- the supervisor -------------------------------------------------------------------------------------------

    def supervisor(self) -> SupervisorFacts | None:
        """Return what the last supervisor said of itself, None when there was none."""
        try:
            values = json.loads((self.path / "supervisor.json").read_text(encoding="utf-8"))
            return SupervisorFacts(**values)
        except (OSError, ValueError, TypeError):
            return None

    def running(self) -> SupervisorFacts | None:
        """Return the supervisor that runs this fleet, None when it is stopped."""
        found = self.supervisor()
        return found if found is not None and found.is_alive() else None

    def tell(self, step: str, *, is_up: bool = False, error: str = "", is_permanent: bool = False) -> None:
        """Say what this process, the supervisor, is doing."""
        pid = os.getpid()
        facts = SupervisorFacts(
            pid=pid,
            started_ticks=started_ticks(pid) or 0,
            boot=boot_id(),
            step=step,
            is_up=is_up,
            error=error,
            is_permanent=is_permanent,
        )
        self._write("supervisor.json", asdict(facts))

    def _write(self, name: str, values: Mapping[str, object]) -> None:
        """Replace a file: whole, or not at all."""
        with self.lock.errors():
            descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self.path)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(values, file, indent=1)
                Path(temporary).replace(self.path / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise


def release() -> str:
    """Return the installed release."""
    try:
        return version("tradefleet")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "not installed"


def now_us() -> int:
    """Return the wall's clock in UTC microseconds."""
    return time.time_ns() // 1_000
