"""The processes of a fleet's workloads: started, watched, restarted with back-off, stopped in order."""

import http.client
import json
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from governor.workload import ProcessFacts, ProcessState, Role, Workload
from tradefleet.resources.common import ResourceKey
from tradefleet.runtime.backoff import Backoff
from tradefleet.runtime.loop import ExitStatus

from .allowance import allowance_bytes
from .home import Home
from .loopback import ask_page, choose_port
from .processes import Command, Process, Start, spawn

STOP_GRACE_S: Final = 10.0  # a step and its commit; then it is killed, which loses nothing either
HEALTHY_AFTER_S: Final = 10.0  # a process that was Ready for so long begins with short waits again
REFUSED_RETRY_S: Final = 30.0  # a person has to change something: a look now and then finds out that they did
PROVEN_AFTER_S: Final = 15.0  # one that was refused and is tried again may hang as before, which shows a little later
PROBE_STARTING_S: Final = 0.2
PROBE_READY_S: Final = 3.0
SILENCE_MAX_S: Final = 60.0  # without an answer for so long, a process is taken for hung
MODULES: Final = {
    Role.VENUE: ("workloads.exchange.main", "venue"),
    Role.GATEWAY: ("workloads.exchange.main", "gateway"),
    Role.FEED: ("workloads.feeds.main", "replay"),
    Role.RECORDER: ("workloads.feeds.main", "recorder"),
    Role.BOT: ("workloads.strategy.main",),
    Role.HOST: ("workloads.strategy.main",),
}
STRATEGY_ROLES: Final = (Role.BOT, Role.HOST)  # what these run need not be ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """How processes reach their fleet. `url` gives the database URL of a workload's own log-in, `security` the
    librdkafka settings by which it is let in by the broker.
    """

    fleet: str
    bootstrap: str
    url: Callable[[Workload], str]
    security: Callable[[Workload], Mapping[str, str]] = lambda _: {}
    code_folders: tuple[str, ...] = ()


@dataclass(slots=True)
class _Member:
    """One workload and its process."""

    workload: Workload
    backoff: Backoff
    child: Process | None = None
    digest: str = ""  # of what the process runs
    ready_since_s: float | None = None
    restart_at_s: float = 0.0
    restarts: int = 0
    state: ProcessState = ProcessState.STARTING
    reason: str = ""
    message: str = ""
    health_port: int = 0
    probe_at_s: float = 0.0
    answered_s: float = 0.0
    stopping_since_s: float | None = None


@dataclass(slots=True)
class _Ports:
    """Ports by name, kept across restarts."""

    path: Path
    ports: dict[str, int] = field(default_factory=dict)

    def port(self, name: str) -> int:
        if not self.ports and self.path.exists():
            try:
                self.ports = dict(json.loads(self.path.read_text(encoding="utf-8")))
            except ValueError:
                self.ports = {}  # torn by a crash of the machine: other ports do as well
        if name not in self.ports:
            self.ports[name] = choose_port(name, wanted=None, last=None)
            self._keep()
        return self.ports[name]

    def free(self, name: str) -> int:
        """Return the port of `name`, another one when somebody listens on it."""
        port = choose_port(name, wanted=None, last=self.port(name))
        if port != self.ports[name]:
            self.ports[name] = port
            self._keep()
        return port

    def _keep(self) -> None:
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.ports), encoding="utf-8")
        temporary.replace(self.path)


class Crew:
    """Keeps one process for each workload. `tend` is called again and again; it never waits for a process.

    `surroundings` are asked for in every round: a service may come back at another place.
    """

    def __init__(
        self,
        home: Home,
        surroundings: Callable[[], Surroundings],
        clock: Callable[[], float] = time.monotonic,
        start: Start = spawn,
        ask: Callable[[int, str], tuple[int | None, str]] = ask_page,
    ) -> None:
        self._home = home
        self._surroundings = surroundings
        self._clock = clock
        self._spawn = start
        self._ask = ask
        self._folder = home.make(home.processes)
        self._ports = _Ports(self._folder / "ports.json")
        self._members: dict[str, _Member] = {}
        self._ends: list[tuple[Workload, str]] = []

    # --- what others ask ------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, ProcessFacts]:
        """Return what is known of each process, by the workload's name."""
        return {
            name: ProcessFacts(state=each.state, restarts=each.restarts, reason=each.reason, message=_message(each))
            for name, each in self._members.items()
        }

    def children(self) -> list[Process]:
        """Return the running children, whose descriptors tell of their end."""
        return [each.child for each in self._members.values() if each.child is not None]

    def take_ends(self) -> list[tuple[Workload, str]]:
        """Return the ends that nobody had asked for, since the last call, each with its reason."""
        ends, self._ends = self._ends, []
        return ends

    def owners(self) -> set[ResourceKey]:
        """Return the resources of which a process runs, or is started again."""
        return {each.workload.owner for each in self._members.values()}

    # --- life -----------------------------------------------------------------------------------------------------

    def tend(self, workloads: Collection[Workload]) -> None:
        """Bring the processes closer to `workloads`: stop what is not among them or changed, start what is missing."""
        surroundings = self._surroundings()
        wanted = {each.name: each for each in workloads}
        for name, member in list(self._members.items()):
            self._reap(member)
            new = wanted.get(name)
            if new is None or (new.digest != member.digest and member.child is not None):
                self._ask_to_end(member)
            if new is None and member.child is None:
                del self._members[name]
                self._forget(name)
        for name, workload in wanted.items():
            member = self._members.setdefault(name, _Member(workload=workload, backoff=_backoff()))
            if member.child is None:
                changed = workload.digest != member.digest
                member.workload = workload
                if changed:
                    member.backoff.reset()
                if changed or (member.state is not ProcessState.ENDED and self._clock() >= member.restart_at_s):
                    self._start(member, surroundings)
            elif member.stopping_since_s is None:
                self._look_at(member)

    def stop(self) -> None:
        """End all processes, all at once, and return when they are gone."""
        for member in self._members.values():
            self._ask_to_end(member)
        for member in self._members.values():
            if member.child is not None:
                since_s = member.stopping_since_s or self._clock()
                left_s = since_s + STOP_GRACE_S - self._clock()
                if member.child.wait(max(0.0, left_s)) is None:
                    member.child.kill()
        self._members.clear()

    def _start(self, member: _Member, surroundings: Surroundings) -> None:
        workload = member.workload
        settings = self._write_settings(workload)
        self._last_words(workload.name).unlink(missing_ok=True)
        member.health_port = self._ports.free(f"health-{workload.name}")
        module, *role = MODULES[workload.role]
        command = Command(
            name=workload.name,
            arguments=(sys.executable, "-m", module, *role, str(settings)),
            folder=self._folder,
            log=self._home.turn_log(workload.name),
            environment=self._environment(member, surroundings),
            memory_bytes=allowance_bytes(workload.memory_bytes) if workload.role in STRATEGY_ROLES else 0,
        )
        member.child = self._spawn(command, self._folder)
        is_tried_again = member.state is ProcessState.REFUSED and member.digest == workload.digest
        member.digest = workload.digest
        member.answered_s = member.probe_at_s = self._clock()
        member.ready_since_s = None
        if not is_tried_again:  # nobody knows yet that what it was refused for is mended: until it is Ready, that holds
            member.state, member.reason, member.message = ProcessState.STARTING, "", ""

    def _write_settings(self, workload: Workload) -> Path:
        settings = dict(workload.settings)
        if workload.port_name is not None:
            settings["port"] = self._ports.free(workload.port_name)
        if workload.peer_port_name is not None:
            settings["venue_port"] = self._ports.port(workload.peer_port_name)
        if workload.token_name is not None:
            settings["token_file"] = str(self._token(workload.token_name))
        path = self._folder / f"{workload.name}.json"
        path.write_text(json.dumps(settings, default=str), encoding="utf-8")
        return path

    def _token(self, name: str) -> Path:
        """Return the file of a secret that two processes share."""
        path = self._folder / f"{name}.token"
        if not path.exists():
            temporary = path.with_suffix(".new")
            temporary.touch(mode=0o600)
            temporary.write_text(secrets.token_hex(16), encoding="ascii")
            temporary.replace(path)
        return path

    def _environment(self, member: _Member, surroundings: Surroundings) -> Mapping[str, str]:
        workload = member.workload
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEFLEET_")}
        search = [*surroundings.code_folders, *filter(None, [kept.get("PYTHONPATH", "")])]
        if workload.role is Role.BOT and search:
            kept["PYTHONPATH"] = os.pathsep.join(search)
        return {
            **kept,
            "TRADEFLEET_FLEET": surroundings.fleet,
            "TRADEFLEET_COMPONENT": workload.name,
            "TRADEFLEET_HOLDER": f"slot-{workload.name}",  # the slot that reaps it: a restart takes over at once
            "TRADEFLEET_DATABASE_URL": surroundings.url(workload),
            "TRADEFLEET_KAFKA_BOOTSTRAP": surroundings.bootstrap,
            "TRADEFLEET_KAFKA_SECURITY": json.dumps(dict(surroundings.security(workload))),
            "TRADEFLEET_HEALTH_PORT": str(member.health_port),
            "TRADEFLEET_LOG_FORMAT": "json",
            "TRADEFLEET_LAST_WORDS_PATH": str(self._last_words(workload.name)),
        }

    def _last_words(self, name: str) -> Path:
        return self._folder / f"{name}.last-words"

    def _forget(self, name: str) -> None:
        for path in (self._folder / f"{name}.json", self._last_words(name)):
            path.unlink(missing_ok=True)

    # --- watching -------------------------------------------------------------------------------------------------

    def _ask_to_end(self, member: _Member) -> None:
        """Ask a process to end; the second time, when its grace is over, it is killed."""
        if member.child is None:
            return
        now_s = self._clock()
        if member.stopping_since_s is None:
            member.stopping_since_s = now_s
            # It may answer for some time yet, but what was asked for is not what it runs.
            member.state, member.reason, member.message = ProcessState.STARTING, "", ""
            member.child.send(signal.SIGTERM)
        elif now_s - member.stopping_since_s > STOP_GRACE_S:
            member.child.kill()
            self._reap(member)

    def _reap(self, member: _Member, *, how: str = "") -> None:
        """Note that a process has ended, and when it is started again; `how` it did when we have ended it."""
        if member.child is None:
            return
        code = member.child.wait(0)
        if code is None:
            return
        member.child = None
        now_s = self._clock()
        if member.stopping_since_s is not None:
            member.stopping_since_s = None
            member.restart_at_s = now_s
            member.state, member.reason, member.message = ProcessState.STARTING, "", ""
            return
        known = (member.state, member.message)
        member.reason, member.message = self._words(member, how or _how(code))
        if code == ExitStatus.ENDED and member.workload.role is Role.FEED:
            member.state, member.message = ProcessState.ENDED, ""
            return
        member.restarts += 1
        if known != (ProcessState.REFUSED, member.message):  # else the events would soon tell of nothing else
            self._ends.append((member.workload, member.message))
        if code in (ExitStatus.REFUSED, ExitStatus.SUPERSEDED):
            member.state = ProcessState.REFUSED
            member.restart_at_s = now_s + REFUSED_RETRY_S
            return
        member.state = ProcessState.BACKING_OFF
        member.restart_at_s = now_s + member.backoff.next_us() / 1_000_000

    def _words(self, member: _Member, how: str) -> tuple[str, str]:
        """Return why a process ended: its own words where it left some."""
        try:
            words = json.loads(self._last_words(member.workload.name).read_text(encoding="utf-8"))
            return str(words["reason"]), str(words["message"])
        except (OSError, ValueError, KeyError, TypeError):
            log = self._home.log(member.workload.name)
            return "ProcessEnded", f"the process {how}; its log is {log}"

    def _look_at(self, member: _Member) -> None:
        now_s = self._clock()
        if now_s < member.probe_at_s:
            return
        status, text = self._ask(member.health_port, "/readyz")
        if status is not None:
            is_ready = status == http.client.OK
            is_alive = is_ready or self._ask(member.health_port, "/healthz")[0] == http.client.OK
            if is_alive:
                member.answered_s = now_s
            if not is_ready:
                member.ready_since_s = None
            elif member.ready_since_s is None:
                member.ready_since_s = now_s
            if member.ready_since_s is not None:
                ready_s = now_s - member.ready_since_s
                # Not its mere age: what takes long to start and then dies is no healthier than what dies at once.
                if ready_s >= HEALTHY_AFTER_S:
                    member.backoff.reset()
                if member.state is not ProcessState.REFUSED or ready_s >= PROVEN_AFTER_S:
                    member.state, member.reason, member.message = ProcessState.READY, "", ""
            elif member.state is not ProcessState.REFUSED and (member.state is ProcessState.READY or text):
                member.state, member.reason = ProcessState.STARTING, "NotReady"
                member.message = text.strip().replace("\n", "; ")
        # While it starts it has nothing to answer with; one that never does is restarted as well.
        if now_s - member.answered_s > SILENCE_MAX_S:
            assert member.child is not None
            member.child.kill()
            self._reap(member, how=f"had not answered for {SILENCE_MAX_S:.0f} s and was killed")
            return
        member.probe_at_s = now_s + (PROBE_READY_S if member.state is ProcessState.READY else PROBE_STARTING_S)


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed, by somebody or since this machine has no memory left"
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _message(member: _Member) -> str:
    if member.state is not ProcessState.REFUSED:
        return member.message
    return f"{member.message}; it is tried again every {REFUSED_RETRY_S:.0f} s"


def _backoff() -> Backoff:
    return Backoff(random.Random())
