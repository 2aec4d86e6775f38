"""A local fleet from outside: start its supervisor, stop it, reach its resources. What the command line works with."""

import contextlib
import getpass
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradefleet.domain.errors import FleetError, Permanent, Retryable
from tradefleet.store.components import Component
from tradefleet.store.logins import component_login
from tradefleet.store.postgres.session import Session

from .broker import Broker
from .database import Database
from .folder import log_tail
from .home import Home, SupervisorFacts
from .loopback import choose_port
from .processes import Command, spawn
from .resources import LocalResources

if TYPE_CHECKING:
    from tradefleet.bus.kafka_client import KafkaSettings

POLL_S: Final = 0.05
START_TIMEOUT_S: Final = 300.0  # the first download of the jars included
STOP_TIMEOUT_S: Final = 90.0
SUPERVISOR: Final = "governor.local.supervisor"

Tell = Callable[[str], None]


class LocalFleet:
    """One fleet, by its data folder."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def is_running(self) -> bool:
        """Whether its supervisor runs."""
        return self.home.running() is not None

    def refuse_if_running(self) -> None:
        """Raise Permanent, naming what to do instead, when the fleet runs already."""
        found = self.home.running()
        if found is not None:
            raise Permanent(
                f"the fleet in {self.home.path} is running already (supervisor {found.pid}): change it with "
                "`tradefleet apply FILES`, stop it with `tradefleet down`, or start another one with --data-dir"
            )

    def prepare(self, *, ports: dict[str, int], code_folder: Path | None = None) -> None:
        """Make the folder if it is new, and keep what the user set. Raises Permanent for a port that is taken, or a
        disk without room.
        """
        for service, port in ports.items():
            choose_port(service, wanted=port, last=None)
        self.home.lock.claim()  # what the supervisor would be refused, in time for one clear message
        self.home.lock.release()
        facts = self.home.claim()
        self.home.keep(replace(facts, ports={**facts.ports, **ports}))
        if code_folder is not None:
            self.add_code_folder(code_folder)

    def add_code_folder(self, folder: Path) -> None:
        """Let strategies named module:Class be imported from a folder."""
        facts = self.home.facts()
        if str(folder) not in facts.code_folders:
            self.home.keep(replace(facts, code_folders=(str(folder), *facts.code_folders)))

    # --- supervisor -----------------------------------------------------------------------------------------------

    def start(self, tell: Tell, *, attached: bool = False) -> "RunningSupervisor":
        """Return once resources can be applied. An attached supervisor ends when this process does.

        Raises Permanent or Retryable with the supervisor's own words when it cannot start.
        """
        command = [sys.executable, "-m", SUPERVISOR, str(self.home.path)]
        log = self.home.turn_log("supervisor")
        if attached:
            child = spawn(
                Command(name="supervisor", arguments=command, folder=self.home.path, log=log),
                self.home.make(self.home.path / "supervisor"),
            )
            started = RunningSupervisor(self.home, child.pid, child.is_alive)
        else:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.home.path,
                    start_new_session=True,
                )
            started = RunningSupervisor(self.home, process.pid, lambda: process.poll() is None)
        try:
            started.wait_until_up(tell)
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            started.stop(tell)
            raise
        return started

    def supervisor(self) -> "RunningSupervisor":
        """Return the supervisor that runs. Raises Permanent when the fleet is stopped."""
        self.home.facts()
        found = self.home.running()
        if found is None:
            raise Permanent(f"the fleet in {self.home.path} is stopped: start it with `tradefleet up`")
        return RunningSupervisor(self.home, found.pid, found.is_alive)

    # --- reach ----------------------------------------------------------------------------------------------------

    def url(self, component: Component = Component.SUPERVISOR) -> str:
        """Return the database URL of one of the fleet's log-ins; it holds a password."""
        return Database(self.home.postgres).dsn(component_login(self.home.facts().fleet, component))

    def kafka(self, user: str | None = None) -> "KafkaSettings":
        """Return how a user, its administrator by default, reaches the fleet's broker. It holds a password.

        Raises Permanent when the fleet is stopped.
        """
        from tradefleet.bus.access import ADMINISTRATOR  # noqa: PLC0415 - most commands need no Kafka
        from tradefleet.bus.kafka_client import KafkaSettings  # noqa: PLC0415

        self.supervisor()
        user = user or ADMINISTRATOR
        broker = Broker(self.home.kafka)
        return KafkaSettings(bootstrap=broker.bootstrap, client_id=user, security=broker.security(user))

    def resources(self) -> LocalResources:
        """Return the fleet's resources. Raises Permanent when it is stopped."""
        self.supervisor()
        return LocalResources(self.url(), self.home.facts().fleet, actor=user_name())

    def session(self, component: Component = Component.SUPERVISOR) -> Session:
        """Return a session on the fleet's database. Raises Permanent when the fleet is stopped."""
        self.supervisor()
        return Session(self.url(component), fleet=self.home.facts().fleet, application="tradefleet")


class RunningSupervisor:
    """A supervisor's process."""

    def __init__(self, home: Home, pid: int, is_alive: Callable[[], bool]) -> None:
        self._home = home
        self._pid = pid
        self._is_alive = is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._is_alive()

    def wait_until_up(self, tell: Tell) -> None:
        """Return once resources can be applied; `tell` hears what it is doing. Raises its error when it ends first."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        step = ""
        while time.monotonic() < deadline_s:
            is_alive = self._is_alive()
            facts = self._facts()
            if facts is not None and facts.is_up:
                return
            if facts is not None and facts.step != step:
                step = facts.step
                tell(step)
            if not is_alive:
                raise self._failure(facts)
            time.sleep(POLL_S)
        raise Retryable(
            f"the fleet did not come up within {START_TIMEOUT_S:.0f} s, it was {step}; its log is {self._log}"
        )

    def stop(self, tell: Tell) -> None:
        """Ask it to end and return when it has; it is killed, and its children with it, when it does not."""
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        step = ""
        self._send(signal.SIGTERM)
        while self._is_alive():
            facts = self._facts()
            if facts is not None and facts.step != step:
                step = facts.step
                tell(step)
            if time.monotonic() > deadline_s:
                self._send(signal.SIGKILL)
            time.sleep(POLL_S)

    @property
    def _log(self) -> Path:
        return self._home.log("supervisor")

    def _facts(self) -> SupervisorFacts | None:
        facts = self._home.supervisor()
        return facts if facts is not None and facts.pid == self._pid else None

    def _failure(self, facts: SupervisorFacts | None) -> FleetError:
        if facts is not None and facts.error:
            return Permanent(facts.error) if facts.is_permanent else Retryable(facts.error)
        return Retryable(f"the fleet's supervisor ended; its log {self._log} ends with:\n{log_tail(self._log)}")

    def _send(self, number: signal.Signals) -> None:
        if self._is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


def user_name() -> str:
    """Return who is at work, as it is noted beside what they do."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an account, in a container
        return "unknown"
