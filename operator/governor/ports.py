"""What a round of the Governor needs of where it runs: on one machine, or in a cluster.

Every method may raise Retryable; a round that is cut short by it is done again, whole. None of them waits for a process
to start or to end.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from governor.job import FinishedReport, Job, JobFacts
from governor.observation import Seen
from governor.plan import WarmUp
from governor.references import Found, Reference
from governor.simulating import SimulationRunner
from governor.workload import Command, ProcessFacts, Workload
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.progress import Participant
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.store.ports import CommandStore, Halt, HaltStore, RunStore
from tradefleet.store.ports.trials import TrialBooks
from tradefleet.store.upkeep import FleetStore


class Change(Protocol):
    """What became of one applied resource."""

    @property
    def verb(self) -> str:
        """One of "created", "configured" and "unchanged"."""


class Resources(Protocol):
    """The resources of the fleet, each with UID, generation, annotations, status and time of deletion."""

    def all(self) -> list[Resource]:
        """Return every resource, those included whose deletion was asked for. The order does not matter."""

    def apply(self, wanted: Sequence[Resource], *, owner: str | None = None) -> Sequence[Change]:
        """Create or change resources; `owner` is the UID of the resource that makes them, kept in OWNER_ANNOTATION.

        What people and the Governor noted in annotations of ours stays. Raises Permanent for a change that a kind does
        not allow; nothing is changed then.
        """

    def delete(self, keys: Collection[ResourceKey]) -> Collection[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""

    def remove(self, resource: Resource) -> None:
        """Let a deleted resource go that has nothing left to be wound down: what was held back by our finalizer."""

    def is_gone(self, key: ResourceKey, uid: str) -> bool:
        """Return whether a resource that `all` does not tell of is not there, and not merely out of sight."""

    def write_statuses(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        """Replace statuses, by UID: one of another resource under the same name is left alone."""

    def note(self, key: ResourceKey, action: str, detail: str) -> None:
        """Note what befell a resource, for people: an event."""


class Sight(Protocol):
    """What was committed to the fleet's database. `governor.eyes.Eyes` reads it from Postgres."""

    def look(self, resources: Collection[Resource]) -> Seen:
        """Return what is there of these resources."""


class Renderer(Protocol):
    """Turns workloads into processes of this machine, or into Deployments."""

    def tend(self, workloads: Collection[Workload]) -> None:
        """Bring what runs closer to `workloads`: stop what is not among them or has another digest, start the rest.

        What ends without having been asked to is started again, but a finished replay: slower each time, and more
        slowly still what ended with ExitStatus.REFUSED or SUPERSEDED.
        """

    def facts(self) -> Mapping[str, ProcessFacts]:
        """Return what is known of each process, by the workload's name.

        One that still runs another digest than was asked for is STARTING, whatever it answers: a set goes on to the
        next bots when the ones before are Ready.
        """

    def owners(self) -> Collection[ResourceKey]:
        """Return the resources of which something runs, or is started again."""

    def take_ends(self) -> Sequence[tuple[Workload, str]]:
        """Return the ends that nobody had asked for, since the last call, each with its reason."""


class JobRunner(Protocol):
    """Runs what ends by itself, once for each digest."""

    def tend(self, jobs: Collection[Job]) -> dict[str, JobFacts]:
        """Start what is wanted and not done, end what is not wanted any more; return where each job is, by name."""


class Logins(Protocol):
    """The log-ins of bots to the database: each may write its own rows alone, a host's those of its bots (rule 26)."""

    def admit_bot(self, bot: BotKey, uid: BotUid, *, host: str = "") -> object:
        """Make the row of a bot, and assign it to the log-in of a shared host, or to one of its own, made if missing.

        Harmless when it is so already; else the process that ran it is fenced. What it returns is for the renderer.
        """

    def admit_bots(self, bots: Sequence[tuple[BotKey, BotUid, str]]) -> None:
        """Do the same for many bots, each with its host, empty for a log-in of its own."""

    def dismiss_bot(self, uid: BotUid) -> None:
        """Take away the log-in of a bot that is gone. Harmless when there is none."""

    def dismiss_strangers(self, uids: Collection[BotUid]) -> None:
        """Take away the log-ins of all bots but these, which nobody uses: their bots went without us."""

    def known_hosts(self, hosts: Collection[str]) -> Collection[str]:
        """Return those of these shared hosts that have a log-in."""

    def dismiss_host(self, host: str) -> None:
        """Take away the log-in of a shared host that is gone. Harmless when there is none."""


class Announcer(Protocol):
    """Tells the fleet's broker what changed. `governor.announcements.Announcements` does, as long as there is one."""

    def tell(
        self, commands: Collection[Command], halts: Collection[Halt], reports: Collection[FinishedReport] = ()
    ) -> None:
        """Publish the commands, halts and reports that are not known to be told."""


class Upkeep(Protocol):
    """Registers consumers and deletes what is old: `governor.housekeeping.Housekeeping`."""

    def tend(
        self,
        commands: Collection[Command],
        *,
        runs: Mapping[str, frozenset[Participant]],
        finished: Collection[str],
        kept: Mapping[str, tuple[str, int]],
    ) -> None:
        """Do what is due.

        `kept` says by the UID of a Backtest what it asks now, and how many earlier questions keep their results.
        """


References = Callable[[Collection[Reference]], Found | None]
"""Looks at objects of other people's that resources name; returns None where there can be none, on one machine."""


def no_references(wanted: Collection[Reference]) -> Found | None:
    """Return None, on one machine."""
    del wanted
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a round works with. `wall_us` is the wall's clock, UTC microseconds."""

    resources: Resources
    sight: Sight
    renderer: Renderer
    jobs: JobRunner
    simulations: SimulationRunner
    logins: Logins
    announcer: Announcer
    upkeep: Upkeep
    fleet: FleetStore
    commands: CommandStore
    halts: HaltStore
    runs: RunStore
    trials: TrialBooks
    warm_up: WarmUp
    wall_us: Callable[[], int]
    references: References = no_references
