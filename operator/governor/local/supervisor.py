"""The Governor of a fleet on one machine: reads resources, plans, and runs the workloads as processes of its own.

Level-based: each round looks at everything anew, so a missed hint or a crash half-way costs time and nothing else. One
thread, and no round waits for a process.
"""

import logging
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final

from governor.announcements import Announcements
from governor.dataset_status import refusal
from governor.ending import is_needed
from governor.housekeeping import Housekeeping
from governor.plan import Observed, plan
from governor.workload import Plan, Role, Workload
from tradefleet.bus.kafka import KafkaBus
from tradefleet.domain.bots import BotCommand, DeletionPolicy, RunState
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.instrument import Instrument
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.runtime.logging import set_up_logging
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.retention import PostgresRetentionStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.upkeep import PostgresFleetStore
from tradefleet.store.roles import Component

from .crew import Crew, Surroundings
from .home import Home, now_us
from .jobs import JobFacts, Jobs
from .observation import Eyes, Seen
from .processes import clear_leftovers
from .reporting import statuses_of, waking
from .resources import OWNER_ANNOTATION, STATE_ANNOTATION, LocalResources
from .services import Services
from .strategies import WarmUps
from .tasks import dataset_view, jobs_of

_LOG: Final = logging.getLogger(__name__)

ROUND_S: Final = 1.0  # between two looks without a hint
ROUND_MIN_S: Final = 0.2  # and with hints one after the other
RETRY_S: Final = 1.0
NEVER_OPENED_S: Final = 10.0  # a deleted bot whose gateway has not opened its books by then never had any

COMPONENTS: Final = {
    Role.VENUE: Component.VENUE,
    Role.GATEWAY: Component.GATEWAY,
    Role.FEED: Component.FEED,
    Role.RECORDER: Component.RECORDER,
}


class Supervisor:
    """Runs one fleet until `ask_to_end`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._is_asked_to_end = False
        self._facts = home.claim()
        self._services = Services(home, self._facts, self._tell)
        self._crew = Crew(home)
        self._jobs = Jobs(home)
        self._warm_ups = WarmUps(self._facts.code_folders)
        self._resources: LocalResources | None = None
        self._session: Session | None = None
        self._eyes: Eyes | None = None
        self._housekeeping: Housekeeping | None = None
        self._bus: KafkaBus | None = None
        self._announcements: Announcements | None = None
        self._told_at = ""  # the broker that commands were announced to
        self._job_facts: dict[str, JobFacts] = {}
        self._told: dict[str, BotCommand] = {}
        self._listed: dict[str, tuple[Instrument, ...]] = {}

    def ask_to_end(self) -> None:
        """Let `run` come to its end."""
        self._is_asked_to_end = True

    def run(self) -> None:
        """Start the fleet, keep it, and stop it in order when asked. Raises FleetError when it cannot start."""
        try:
            self._start()
            while not self._is_asked_to_end:
                began_s = time.monotonic()
                self._try_round()
                self._wait(began_s)
        finally:
            self._stop()

    def _start(self) -> None:
        leftovers = [*clear_leftovers(self._home.processes), *clear_leftovers(self._home.path / "jobs")]
        for record in leftovers:
            _LOG.warning("ended %s (%d), which an earlier supervisor left", record.name, record.pid)
        self._services.start()
        url = self._services.url(Component.SUPERVISOR)
        self._resources = LocalResources(url, self._facts.fleet, actor="supervisor")
        self._resources.listen()
        self._session = Session(url, fleet=self._facts.fleet, application="supervisor")
        self._eyes = Eyes(self._session)
        self._jobs.environment = {
            "TRADEFLEET_FLEET": self._facts.fleet,
            "TRADEFLEET_DATABASE_URL": self._services.url(Component.BACKTEST),
        }
        self._housekeeping = Housekeeping(PostgresRetentionStore(self._session), time.monotonic)
        # What was Ready in an earlier life is not yet so in this one, and somebody may be waiting for it.
        self._resources.write_statuses(
            {each.metadata.uid or "": waking(each, now_us=now_us()) for each in self._resources.all()}
        )
        self._tell("running", is_up=True)

    def _stop(self) -> None:
        self._tell("stopping the bots")
        self._crew.stop()
        self._jobs.stop()
        for connection in (self._resources, self._session, self._bus):
            if connection is not None:
                connection.close()
        self._services.stop()

    def _tell(self, step: str, *, is_up: bool = False) -> None:
        _LOG.info("%s", step)
        self._home.tell(step, is_up=is_up)

    # --- a round --------------------------------------------------------------------------------------------------

    def _try_round(self) -> None:
        try:
            if self._services.revive():
                self._tell("running", is_up=True)
            self._round()
        except FleetError as error:
            _LOG.warning("this round failed, the next one tries again: %s: %s", type(error).__name__, error)
            if self._session is not None:
                self._session.close()
            time.sleep(RETRY_S)

    def _round(self) -> None:
        assert self._resources is not None
        facts = self._home.facts()
        self._warm_ups.code_folders = facts.code_folders
        resources = self._expand(self._resources.all())
        seen = self._look(resources)
        settled = _settled(resources, seen)
        views = {
            each.key: (each, dataset_view(each, self._job_facts, seen.recorded, resources))
            for each in resources
            if isinstance(each, Dataset)
        }
        refusals = {key: refusal(each, view) for key, (each, view) in views.items()}
        planned = plan(
            resources,
            Observed(
                runs=seen.runs,
                terms=seen.terms,
                finished=seen.finished,
                left=seen.left,
                configs=seen.configs,
                settled=settled,
                read=frozenset(key for key, (_, view) in views.items() if view.found is not None),
                refused={key: why[1] for key, why in refusals.items() if why is not None},
            ),
            self._warm_ups,
        )
        self._carry_out(planned, seen)
        surroundings = Surroundings(
            fleet=self._facts.fleet,
            bootstrap=self._services.bootstrap,
            url=self._url_of,
            security=lambda workload: self._services.kafka(workload.role).security,
            code_folders=facts.code_folders,
        )
        self._crew.tend(planned.workloads, surroundings)
        for workload, message in self._crew.take_ends():
            self._resources.note(workload.owner, "process ended", f"{workload.name}: {message}")
        self._jobs.code_folders = facts.code_folders
        jobs = self._job_facts = self._jobs.tend(jobs_of(resources, self._home, planned.verdicts))
        statuses = statuses_of(resources, planned, seen, self._crew.facts(), settled, jobs, now_us=now_us())
        changed = {uid: status for uid, (old, status) in statuses.items() if status != old}
        self._resources.write_statuses(changed)
        self._remove_ended(resources, planned, settled)
        self._announce(planned, seen)
        assert self._housekeeping is not None
        self._housekeeping.tend(planned.commands, runs=seen.runs, finished=seen.finished)
        self._home.bound_logs()

    def _wait(self, began_s: float) -> None:
        """Wait for a hint, the end of a child, or the next look."""
        time.sleep(max(0.0, began_s + ROUND_MIN_S - time.monotonic()))
        if self._is_asked_to_end or self._resources is None:
            return
        poll = select.poll()
        for child in (*self._crew.children(), *self._jobs.children()):
            poll.register(child, select.POLLIN)
        try:
            connection = self._resources.connection
            poll.register(connection.fileno(), select.POLLIN)
            poll.poll(max(0.0, began_s + ROUND_S - time.monotonic()) * 1000)
            for _ in connection.notifies(timeout=0):
                pass
        except FleetError as error:
            _LOG.warning("waiting without hints: %s", error)

    def _look(self, resources: list[Resource]) -> Seen:
        assert self._eyes is not None
        bots = [each for each in resources if isinstance(each, TradingBot)]
        return self._eyes.look(
            uids=[bot.metadata.uid or "" for bot in bots],
            accounts=[account_of(each) for each in resources if isinstance(each, Exchange)],
            ending=any(bot.metadata.deletion_timestamp is not None for bot in bots),
            recordings=[
                f"{each.key.namespace}/{each.key.name}"
                for each in resources
                if isinstance(each, Dataset) and each.spec.exchange_ref is not None
            ],
        )

    def _carry_out(self, planned: Plan, seen: Seen) -> None:
        """Write what others read: instruments, bots' rows and commands, runs. Nothing is written that is so already."""
        assert self._session is not None
        for exchange, instruments in planned.listed.items():
            if self._listed.get(exchange) != instruments:
                PostgresFleetStore(self._session).put_instruments(exchange, instruments)
                self._listed[exchange] = instruments
        commands = PostgresCommandStore(self._session)
        for wanted in planned.commands:
            config = wanted.command.config
            if self._told.get(config.uid) == wanted.command and config.uid in seen.configs:
                continue
            self._services.admit_bot(config.key, config.uid)
            commands.put_command(wanted.account, wanted.command)
            self._told[config.uid] = wanted.command
        runs = PostgresRuns(self._session)
        for run in planned.runs:
            runs.create_run(RunId(run.run), run.feed, run.participants, run.terms)

    def _announce(self, planned: Plan, seen: Seen) -> None:
        """Tell of commands and halts, at a broker that may have come back at another place."""
        bootstrap = self._services.bootstrap
        if self._told_at != bootstrap:
            if self._bus is not None:
                self._bus.close()
            self._bus = KafkaBus(self._services.kafka())
            self._announcements, self._told_at = Announcements(self._bus, now_us), bootstrap
        assert self._announcements is not None
        self._announcements.tell(planned.commands, seen.halts)

    def _url_of(self, workload: Workload) -> str:
        if workload.role is Role.BOT:
            assert workload.bot_uid is not None
            key = BotKey(f"{workload.owner.namespace}/{workload.owner.name}")
            return self._services.admit_bot(key, BotUid(workload.bot_uid))
        return self._services.url(COMPONENTS[workload.role])

    # --- sets and ends --------------------------------------------------------------------------------------------

    def _expand(self, resources: list[Resource]) -> list[Resource]:
        """Make, change and delete the bots of sets, and return the resources as they are then."""
        assert self._resources is not None
        changed = False
        for bot_set in [each for each in resources if isinstance(each, BotSet)]:
            uid = bot_set.metadata.uid or ""
            mine = {each.key: each for each in resources if each.metadata.annotations.get(OWNER_ANNOTATION) == uid}
            is_ending = bot_set.metadata.deletion_timestamp is not None
            if bot_set.spec.suspend and not is_ending:
                continue
            try:
                wanted = [] if is_ending else expand(bot_set)
                ready = [_as_chosen(bot, mine.get(bot.key)) for bot in wanted if not _is_ending(mine.get(bot.key))]
                applied = self._resources.apply(ready, owner=uid) if ready else []
            except Permanent as error:
                _LOG.error("%s: its bots cannot be made: %s", bot_set.key, error)
                continue
            kept = {bot.key for bot in wanted}
            gone = self._resources.delete([key for key, bot in mine.items() if key not in kept and not _is_ending(bot)])
            changed = changed or bool(gone) or any(change.verb != "unchanged" for change in applied)
        return self._resources.all() if changed else resources

    def _remove_ended(self, resources: list[Resource], planned: Plan, settled: frozenset[BotUid]) -> None:
        """Remove deleted resources that nothing needs and of which no process is left."""
        assert self._resources is not None
        running = {workload.owner for workload in planned.workloads} | self._crew.owners()
        for each in resources:
            if each.metadata.deletion_timestamp is None or each.key in running:
                continue
            if is_needed(each, resources, settled, OWNER_ANNOTATION):
                continue
            if isinstance(each, TradingBot):
                self._retire(each)
                continue
            if isinstance(each, Exchange | Feed):
                assert self._session is not None
                PostgresFleetStore(self._session).retire_owner(each.metadata.uid or "")
            self._resources.remove(each)

    def _retire(self, bot: TradingBot) -> None:
        """Take away what a bot that was wound down still has: lease, command, log-in, resource."""
        assert self._session is not None
        assert self._resources is not None
        uid = BotUid(bot.metadata.uid or "")
        PostgresFleetStore(self._session).retire_bot(uid, policy=DeletionPolicy(bot.spec.deletion_policy))
        PostgresCommandStore(self._session).forget_command(uid)
        self._services.dismiss_bot(uid)
        self._told.pop(uid, None)
        self._resources.remove(bot)
        _LOG.info("%s: deleted", bot.key)


def account_of(exchange: Exchange) -> str:
    """Return the account that an exchange's gateway keeps."""
    return f"{exchange.metadata.namespace}/{exchange.metadata.name}:{exchange.spec.account}"


def _as_chosen(bot: TradingBot, there: Resource | None) -> TradingBot:
    """Return a bot of a set with the state that a person chose for it."""
    chosen = None if there is None else there.metadata.annotations.get(STATE_ANNOTATION)
    if chosen not in set(RunState):
        return bot
    return bot.model_copy(update={"spec": bot.spec.model_copy(update={"state": RunState(chosen)})})


def _is_ending(bot: Resource | None) -> bool:
    return bot is not None and bot.metadata.deletion_timestamp is not None


def _settled(resources: list[Resource], seen: Seen) -> frozenset[BotUid]:
    """Return the bots whose end the gateway has carried out: it knows of it, and nothing of them is open."""
    found = set()
    for bot in resources:
        if not isinstance(bot, TradingBot):
            continue
        uid = BotUid(bot.metadata.uid or "")
        books = seen.books.get(uid)
        if books is None:
            if bot.metadata.deletion_timestamp is not None and _age_s(bot) > NEVER_OPENED_S:
                found.add(uid)
            continue
        keeps = bot.spec.deletion_policy is DeletionPolicy.KEEP
        if books.is_ending and not books.has_exits and (keeps or not seen.open_orders.get(uid)):
            found.add(uid)
    return frozenset(found)


def _age_s(bot: TradingBot) -> float:
    """Return how long ago the deletion of a bot was asked for."""
    assert bot.metadata.deletion_timestamp is not None
    asked = datetime.fromisoformat(bot.metadata.deletion_timestamp)
    return now_us() / 1_000_000 - asked.timestamp()


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
