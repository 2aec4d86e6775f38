"""A plan while it is made: what it is made from, and what was decided so far."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from governor.plan.memory import Memory
from governor.references import Found
from governor.workload import Answer, Command, LockstepRun, Needs, Plan, PolicyHalt, Question, Verdict, Workload
from tradefleet.domain.bots import BotConfig, ParameterValue
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import BotUid
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.progress import Participant
from tradefleet.resources.common import Resource, ResourceKey

WarmUp = Callable[[str, Mapping[str, ParameterValue]], int]
"""Returns how many bars a strategy of that name and parameters wants before it trades; raises FleetError."""


class AskedByJob(Retryable):
    """A WarmUp raises it for a strategy that is somebody's own, where that may run in a job only."""


ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What exists, by run or by the UID of a bot.

    `runs` holds the participants of lockstep runs that were created, `terms` what their exchanges were then,
    `finished` those that have come to their end, `left` the participants that have gone. `configs` are what bots
    were last told to be. `settled` are the bots whose gateway has carried out their end: nothing of them is open
    any more. `hosts` are the shared processes that bots are assigned to, empty for one of its own. `read` are the
    Datasets whose content was looked at, `refused` those of them that must not be played, each with the reason.
    `references` is what was found of other people's objects, None where there are none: on one machine. `answers` are
    what jobs have found out about the strategies of bots.
    """

    runs: Mapping[str, frozenset[Participant]] = field(default_factory=dict)
    terms: Mapping[str, dict[str, object]] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    left: frozenset[Participant] = frozenset()
    configs: Mapping[BotUid, BotConfig] = field(default_factory=dict)
    settled: frozenset[BotUid] = frozenset()
    hosts: Mapping[BotUid, str] = field(default_factory=dict)
    read: frozenset[ResourceKey] = frozenset()
    refused: Mapping[ResourceKey, str] = field(default_factory=dict)
    references: Found | None = None
    answers: Mapping[ResourceKey, Answer] = field(default_factory=dict)


class Draft:
    """The decisions so far, for the functions of this package to add theirs."""

    def __init__(self, resources: Collection[Resource], observed: Observed, warm_up: WarmUp, memory: Memory) -> None:
        self._by_key = {resource.key: resource for resource in resources}
        self._in_order = [resource for _, resource in sorted(self._by_key.items())]
        self.observed = observed
        self.warm_up = warm_up
        self.memory = memory
        self.runs: list[LockstepRun] = []
        self.commands: list[Command] = []
        self.workloads: list[Workload] = []
        self.verdicts: dict[ResourceKey, Verdict] = {}
        self.drifted: set[ResourceKey] = set()
        self.listed: dict[str, tuple[Instrument, ...]] = {}
        self.halts: list[PolicyHalt] = []
        self.questions: dict[tuple[str, str], Question] = {}  # by namespace and digest
        self.needs: dict[ResourceKey, Needs] | None = None
        self.new_code: dict[ResourceKey, str] = {}
        self.code: dict[ResourceKey, Mapping[str, str]] = {}

    @property
    def resources(self) -> Collection[Resource]:
        """All resources."""
        return self._by_key.values()

    def get(self, key: ResourceKey) -> Resource | None:
        """Return a resource, None when there is none of that key."""
        return self._by_key.get(key)

    def all(self, kind: type[ResourceT]) -> list[ResourceT]:
        """Return the resources of a kind, sorted by key."""
        return [each for each in self._in_order if isinstance(each, kind)]

    def say(self, resource: Resource, reason: str, message: str, *, stalled: bool) -> None:
        """Note what stands in the way of a resource."""
        self.verdicts[resource.key] = Verdict(key=resource.key, stalled=stalled, reason=reason, message=message)

    def plan(self) -> Plan:
        """Return the plan as it is now."""
        return Plan(
            runs=tuple(self.runs),
            commands=tuple(self.commands),
            workloads=tuple(self.workloads),
            verdicts=self.verdicts,
            drifted=frozenset(self.drifted),
            listed=self.listed,
            halts=tuple(self.halts),
            questions=tuple(self.questions.values()),
            needs=self.needs,
            code=self.code,
            new_code=self.new_code,
        )
