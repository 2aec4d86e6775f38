"""The Governor of a fleet on one machine: its services, its processes, and its rounds one after the other.

What a round does is in `governor.rounds`. One thread, and no round waits for a process.
"""

import logging
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from governor.eyes import Eyes
from governor.housekeeping import Housekeeping
from governor.ports import Ports
from governor.reporting import waking
from governor.rounds import Rounds
from governor.workload import Role, Workload
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.runtime.logging import set_up_logging
from tradefleet.store.components import Component
from tradefleet.store.logins import component_login
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.halts import PostgresHaltStore
from tradefleet.store.postgres.retention import PostgresRetentionStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.trials import PostgresTrials
from tradefleet.store.postgres.upkeep import PostgresFleetStore

from .announcer import LocalAnnouncer
from .crew import Crew, Surroundings
from .home import Home, now_us
from .jobs import Jobs
from .processes import clear_leftovers
from .resources import LocalResources
from .services import Services
from .simulations import LocalSimulations, slots_of_machine
from .strategies import WarmUps

_LOG: Final = logging.getLogger(__name__)

ROUND_S: Final = 1.0  # between two looks without a hint
ROUND_MIN_S: Final = 0.2  # and with hints one after the other
RETRY_S: Final = 1.0

COMPONENTS: Final = {
    Role.VENUE: Component.VENUE,
    Role.GATEWAY: Component.GATEWAY,
    Role.FEED: Component.FEED,
    Role.RECORDER: Component.RECORDER,
}
BROKER_USERS: Final = {Role.HOST: Role.BOT}  # the others are called as their roles


class Supervisor:
    """Runs one fleet until `ask_to_end`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._is_asked_to_end = False
        self._facts = home.claim()
        self._services = Services(home, self._facts, self._tell)
        self._crew = Crew(home, self._surroundings)
        self._jobs = Jobs(home)
        self._warm_ups = WarmUps(self._facts.code_folders)
        self._announcer = LocalAnnouncer(self._services.kafka, now_us)
        self._resources: LocalResources | None = None
        self._session: Session | None = None
        self._simulations: LocalSimulations | None = None

    def ask_to_end(self) -> None:
        """Let `run` come to its end."""
        self._is_asked_to_end = True

    def run(self) -> None:
        """Start the fleet, keep it, and stop it in order when asked. Raises FleetError when it cannot start."""
        try:
            rounds = self._start()
            while not self._is_asked_to_end:
                began_s = time.monotonic()
                self._try_round(rounds)
                self._wait(began_s)
        finally:
            self._stop()

    def _start(self) -> Rounds:
        leftovers = [*clear_leftovers(self._home.processes), *clear_leftovers(self._home.path / "jobs")]
        for record in leftovers:
            _LOG.warning("ended %s (%d), which an earlier supervisor left", record.name, record.pid)
        self._services.start()
        url = self._services.url(Component.SUPERVISOR)
        resources = self._resources = LocalResources(url, self._facts.fleet, actor="supervisor")
        resources.listen()
        session = self._session = Session(url, fleet=self._facts.fleet, application="supervisor")
        trials = PostgresTrials(session)
        simulations = self._simulations = LocalSimulations(
            self._home,
            role=component_login(self._facts.fleet, Component.BACKTEST),
            missing=lambda each: trials.missing(each.uid, each.question, limit=each.trials),
            slots=slots_of_machine(),
        )
        self._jobs.environment = simulations.environment = {
            "TRADEFLEET_FLEET": self._facts.fleet,
            "TRADEFLEET_DATABASE_URL": self._services.url(Component.BACKTEST),
        }
        simulations.code_folders = self._facts.code_folders
        # What was Ready in an earlier life is not yet so in this one, and somebody may be waiting for it.
        resources.write_statuses({each.metadata.uid or "": waking(each, now_us=now_us()) for each in resources.all()})
        self._tell("running", is_up=True)
        return Rounds(
            Ports(
                resources=resources,
                sight=Eyes(session),
                renderer=self._crew,
                jobs=self._jobs,
                simulations=simulations,
                logins=self._services,
                announcer=self._announcer,
                upkeep=Housekeeping(PostgresRetentionStore(session), time.monotonic),
                fleet=PostgresFleetStore(session),
                commands=PostgresCommandStore(session),
                halts=PostgresHaltStore(session),
                runs=PostgresRuns(session),
                trials=trials,
                warm_up=self._warm_ups,
                wall_us=now_us,
            )
        )

    def _stop(self) -> None:
        self._tell("stopping the bots")
        self._crew.stop()
        self._jobs.stop()
        if self._simulations is not None:
            self._simulations.stop()
        self._announcer.close()
        for connection in (self._resources, self._session):
            if connection is not None:
                connection.close()
        self._services.stop()

    def _tell(self, step: str, *, is_up: bool = False) -> None:
        _LOG.info("%s", step)
        self._home.tell(step, is_up=is_up)

    # --- rounds ---------------------------------------------------------------------------------------------------

    def _try_round(self, rounds: Rounds) -> None:
        try:
            if self._services.revive():
                self._tell("running", is_up=True)
            self._facts = self._home.facts()
            self._warm_ups.code_folders = self._jobs.code_folders = self._facts.code_folders
            if self._simulations is not None:
                self._simulations.code_folders = self._facts.code_folders
            rounds.go()
            self._home.bound_logs()
        except FleetError as error:
            _LOG.warning("this round failed, the next one tries again: %s: %s", type(error).__name__, error)
            if self._session is not None:
                self._session.close()
            time.sleep(RETRY_S)

    def _wait(self, began_s: float) -> None:
        """Wait for a hint, the end of a child, or the next look."""
        time.sleep(max(0.0, began_s + ROUND_MIN_S - time.monotonic()))
        if self._is_asked_to_end or self._resources is None:
            return
        poll = select.poll()
        trials = () if self._simulations is None else self._simulations.children()
        for child in (*self._crew.children(), *self._jobs.children(), *trials):
            poll.register(child, select.POLLIN)
        try:
            poll.register(self._resources, select.POLLIN)
            poll.poll(max(0.0, began_s + ROUND_S - time.monotonic()) * 1000)
            self._resources.take_hints()
        except FleetError as error:
            _LOG.warning("waiting without hints: %s", error)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            fleet=self._facts.fleet,
            bootstrap=self._services.bootstrap,
            url=self._url_of,
            security=lambda workload: self._services.kafka(BROKER_USERS.get(workload.role, workload.role)).security,
            code_folders=self._facts.code_folders,
        )

    def _url_of(self, workload: Workload) -> str:
        if workload.role is Role.BOT:
            assert workload.bot_uid is not None
            key = BotKey(workload.owner.full_name)
            return self._services.admit_bot(key, BotUid(workload.bot_uid))
        if workload.role is Role.HOST:
            return self._services.host_url(workload.name)
        return self._services.url(COMPONENTS[workload.role])


def _listen_to_signals(end: Callable[[], None]) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)


def main() -> int:
    """Run the fleet of a data folder until asked to end; return 0, 1 after a failure, 2 when a person must act."""
    home = Home(Path(sys.argv[1]))
    set_up_logging("supervisor", log_format="json")
    try:
        home.lock.claim()
    except Permanent as error:
        _LOG.error("%s", error)
        return 2
    try:
        home.tell("starting")
        supervisor = Supervisor(home)
        _listen_to_signals(supervisor.ask_to_end)
        supervisor.run()
        home.tell("stopped")
    except FleetError as error:
        _LOG.error("%s: %s", type(error).__name__, error)
        home.tell("failed", error=str(error), is_permanent=isinstance(error, Permanent))
        return 2 if isinstance(error, Permanent) else 1
    finally:
        home.lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
