"""The cluster of a checkout: brought up, loaded with images, taken down. Each checkout has its own, in `.cluster`."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from governor.local.processes import ProcessRecord, boot_id, started_ticks

from tradefleet.domain.errors import Permanent, Retryable

from . import docker, packages
from .binaries import Binary, Tell, ensure
from .holder import FAILED, READY
from .namespaces import enter, remove_control_group, run, wire_for
from .node import import_command

ROOT: Final = Path(__file__).parents[1]
STATE: Final = ROOT / ".cluster"
FACTS: Final = "cluster.json"

START_TIMEOUT_S: Final = 240.0  # 5 s alone; longer than each part's own patience, which has the better message
LOAD_TIMEOUT_S: Final = 300.0
END_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05


class Sort(StrEnum):
    """What a cluster is made of."""

    API = "api"  # an API server alone
    NODE = "node"  # a node of our own
    DOCKER = "docker"  # kind's, in Docker


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is kept about a running cluster. `name` is its wire's, or what kind calls it."""

    sort: Sort
    name: str = ""
    pid: int = 0
    started_ticks: int = 0
    boot: str = ""

    def is_alive(self) -> bool:
        """Return whether the process that holds it still runs; kind's lives in Docker, which keeps it."""
        return self.sort is Sort.DOCKER or ProcessRecord("holder", self.pid, self.started_ticks, self.boot).is_alive()


class LocalCluster:
    """A cluster whose state is in one folder."""

    def __init__(self, state: Path = STATE, tell: Tell = lambda _: None) -> None:
        self._state = state.absolute()
        self._tell = tell

    @property
    def kubeconfig(self) -> Path:
        """Return the file by which clients find the cluster."""
        return self._state / "kubeconfig"

    def up(self, sort: Sort | None = None) -> Sort:
        """Return what runs once it is ready: what ran already, else `sort`, by default whatever this machine can.

        Raises Permanent when this machine can have no cluster, Retryable when it does not come up.
        """
        with self._alone():
            running = self._running()
            if running is not None:
                if sort not in (None, running.sort):
                    raise Permanent(f"a cluster of another sort ({running.sort}) is up: run `make cluster-down` first")
                return running.sort
            self._clear()
            chosen = sort or (Sort.DOCKER if docker.is_usable() else Sort.NODE)
            self._start(chosen)
            return chosen

    def load(self, archive: Path) -> None:
        """Put the images of an archive into the cluster. Raises Permanent when none is up that runs pods."""
        with self._alone():
            running = self._running()
            if running is None or running.sort is Sort.API:
                raise Permanent("no cluster with a node is up: run `make cluster` first")
            if running.sort is Sort.DOCKER:
                docker.load(running.name, archive)
                return
            inside = ["nsenter", "--target", str(running.pid), "--mount", "--net", "--pid", "--"]
            done = subprocess.run(
                [*inside, *import_command(archive.absolute())],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=LOAD_TIMEOUT_S,
            )
            if done.returncode != 0:
                raise Permanent(f"loading {archive}: {done.stderr.strip()}")

    def down(self) -> None:
        """Return once nothing of the cluster is left; at once when none is up."""
        if self._state.exists():
            with self._alone():
                self._clear()
            shutil.rmtree(self._state, ignore_errors=True)  # what is left is the lock

    def _start(self, sort: Sort) -> None:
        match sort:
            case Sort.DOCKER:
                ensure(Binary.KIND, self._tell)
                name = docker.name_for(self._state)
                self._remember(Facts(sort=sort, name=name))
                docker.create(name, self.kubeconfig)
                ensure(Binary.CONTROL_PLANE, self._tell)  # for its clients
            case Sort.API:
                ensure(Binary.CONTROL_PLANE, self._tell)
                self._hold_api()
            case Sort.NODE:
                _check_machine()
                packages.ensure(packages.NODE, self._tell)
                for binary in (Binary.CONTROL_PLANE, Binary.NODE, Binary.PAUSE):
                    ensure(binary, self._tell)
                self._hold_node()

    def _hold_api(self) -> None:
        with (self._state / "holder.log").open("ab") as log:
            holder = subprocess.Popen(
                _python("cluster.holder", str(self._state)),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready(Sort.API, "", holder.pid)

    def _hold_node(self) -> None:
        wire = wire_for(self._state)
        self._tell(f"starting a node at {wire.node}")
        command = _python("cluster.node", str(self._state), wire.name, wire.machine, wire.node)
        self._wait_until_ready(Sort.NODE, wire.name, enter(command, ROOT, self._state / "holder.log", wire))

    def _wait_until_ready(self, sort: Sort, name: str, pid: int) -> None:
        facts = Facts(sort=sort, name=name, pid=pid, started_ticks=started_ticks(pid) or 0, boot=boot_id())
        self._remember(facts)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._state / READY).exists():
            failed = self._state / FAILED
            if failed.exists():
                raise Retryable(f"the cluster did not come up: {failed.read_text(encoding='utf-8')}")
            if not facts.is_alive() or time.monotonic() > deadline:
                raise Retryable(f"the cluster did not come up: see the logs in {self._state}")
            time.sleep(POLL_S)
        shutil.copyfile(self._state / "control-plane" / "kubeconfig", self.kubeconfig)
        self.kubeconfig.chmod(0o600)

    def _running(self) -> Facts | None:
        facts = self._recall()
        return facts if facts and facts.is_alive() and self.kubeconfig.exists() else None

    def _clear(self) -> None:
        """End what runs here, and remove everything but the lock."""
        facts = self._recall()
        if facts is not None and facts.sort is Sort.DOCKER:
            docker.delete(facts.name)
        elif facts is not None:
            _end(facts)
            if facts.sort is Sort.NODE:
                run("ip", "link", "delete", facts.name, check=False)  # it goes with the node, but not at once
                remove_control_group(facts.name)
        for path in self._state.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _remember(self, facts: Facts) -> None:
        (self._state / FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")

    def _recall(self) -> Facts | None:
        path = self._state / FACTS
        if not path.exists():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        return Facts(**{**values, "sort": Sort(values["sort"])})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other command works on this cluster."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _python(module: str, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", module, *arguments]


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        listed = " ".join(sorted(set(packages.NODE.values())))
        raise Permanent(
            "a Kubernetes with a node needs Docker, or root on Linux with what Debian calls the packages "
            f"{listed} (installed when missing): start Docker, or run this as root"
        )


def _end(facts: Facts) -> None:
    """Return once the process that holds the cluster has ended, in order or not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not facts.is_alive():
            return
        os.kill(facts.pid, number)
        deadline = time.monotonic() + END_TIMEOUT_S
        while facts.is_alive() and time.monotonic() < deadline:
            time.sleep(POLL_S)
    if facts.is_alive():
        raise Retryable(f"the cluster's process {facts.pid} does not end")
