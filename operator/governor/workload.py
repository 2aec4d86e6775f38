"""What the Governor decides: neutral values that a renderer turns into manifests or into local processes.

And what a renderer says of the processes in return.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final

from tradefleet.domain.bots import BotCommand, ParameterValue
from tradefleet.domain.ids import AccountId
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.progress import Participant
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.exchange import Exchange

NAME_LENGTH_MAX: Final = 63  # of a DNS label
NAME_HASH_LENGTH: Final = 12  # hex digits: among a million names, two alike once in 500 fleets


class Role(StrEnum):
    """The kinds of processes of a fleet."""

    VENUE = "venue"
    GATEWAY = "gateway"
    FEED = "feed"
    BOT = "bot"
    HOST = "host"  # of bots that share a process
    RECORDER = "recorder"


def unique_name(prefix: str, owner: ResourceKey, *, room: int = 0) -> str:
    """Return a name for what a resource has of a kind: no other resource has the same, and it is a DNS label.

    `prefix` says of which kind, a word without '-'. The name is `prefix-namespace-name` where that reads in one way
    only and is short enough. Else nobody could tell team/a-bot from team-a/bot, so two '-' follow the prefix, which no
    readable name has, and a hash stands at the end. `room` characters are left for what the caller puts behind it.
    """
    readable = f"{prefix}-{owner.namespace}-{owner.name}"
    if re.fullmatch("[a-z0-9]+", owner.namespace) and len(readable) <= NAME_LENGTH_MAX - room:
        return readable
    ending = hashlib.sha256(owner.full_name.encode()).hexdigest()[:NAME_HASH_LENGTH]
    words = re.sub("[^a-z0-9]+", "-", f"{owner.namespace}-{owner.name}")
    begin = f"{prefix}--{words}"[: NAME_LENGTH_MAX - room - NAME_HASH_LENGTH - 1].rstrip("-")
    return f"{begin}-{ending}"


@lru_cache(maxsize=16_384)  # asked for several times a round, of every resource
def workload_name(role: Role, owner: ResourceKey) -> str:
    """Return the name of a resource's process in a role: unique in the fleet, and a DNS label."""
    return unique_name(role, owner)


def account_of(exchange: Exchange) -> AccountId:
    """Return the account that an exchange's gateway keeps."""
    return AccountId(f"{exchange.key.full_name}:{exchange.spec.account}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of a strategy that is somebody's own: that of an image, and `files`, modules by name beside it.

    `files` is None for such as are not at hand any more: the process goes on with those that were kept for it.
    """

    image_digest: str = ""
    files_digest: str = ""
    files: Mapping[str, str] | None = None

    @property
    def identity(self) -> str:
        """Return what tells this code from any other; empty when nothing is known of it."""
        return f"{self.image_digest}/{self.files_digest}" if self.image_digest or self.files_digest else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A volume of the user's that a process reads: a claim or a ConfigMap, at a folder."""

    folder: str
    claim: str = ""
    config_map: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVariable:
    """An environment variable of a process that comes from an entry of a Secret of the user's."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a process needs of other people's, in a cluster: volumes, Secrets, and the hosts that it speaks with.

    `digest` changes with the content of what is at hand to be looked at; that of a claim is not.
    """

    mounts: tuple[Mount, ...] = ()
    variables: tuple[SecretVariable, ...] = ()
    hosts: tuple[tuple[str, int], ...] = ()
    digest: str = ""

    def __add__(self, other: "Needs") -> "Needs":
        return Needs(
            mounts=tuple(dict.fromkeys([*self.mounts, *other.mounts])),
            variables=tuple(dict.fromkeys([*self.variables, *other.variables])),
            hosts=tuple(dict.fromkeys([*self.hosts, *other.hosts])),
            digest="/".join(filter(None, [self.digest, other.digest])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a job is to find out about a bot's strategy: whether it can be run, and how many bars it wants first."""

    bot: ResourceKey
    strategy: str
    params: Mapping[str, ParameterValue]
    code: Code

    @property
    def digest(self) -> str:
        """A hash of all that could make the answer another one."""
        text = json.dumps([self.strategy, dict(self.params), self.code.identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job has found out about a strategy: how many bars it wants, or why it cannot be run."""

    question: str  # its digest
    warmup_bars: int | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One process that should run. `settings` are JSON values, read by the workload's own settings class.

    `port_name` and `peer_port_name` name ports that the renderer assigns: what the workload listens on, and what it
    connects to. `name` is its `workload_name`; an exchange has several hosts, which `plan.hosts` numbers.
    """

    name: str
    role: Role
    owner: ResourceKey
    settings: dict[str, Any]
    port_name: str | None = None
    peer_port_name: str | None = None
    token_name: str | None = None  # a secret shared by the two ends of a port
    bot_uid: str | None = None  # whose own log-in it uses; None for the log-in of its role
    code: Code = Code()
    needs: Needs = Needs()
    memory_bytes: int | None = None  # at most, where there is no pod that says it; None for what the machine can bear

    @cached_property
    def digest(self) -> str:
        """A hash of all that would make the process another one; more or less memory counts from its next start."""
        told: list[object] = [self.role, self.settings, self.port_name, self.peer_port_name]
        # The content of what it reads is not among it: what has begun to play goes on.
        outside = [*map(asdict, self.needs.mounts), *map(asdict, self.needs.variables)]
        text = json.dumps([*told, *filter(None, [self.code.identity, outside])], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockstepRun:
    """A lockstep run that must exist before its workloads start. Participants are fixed at its creation (rule 21).

    So are the `terms`: what gateway, simulator and bots are told of the exchange, an edit of which waits for its end.
    """

    run: str
    feed: str  # "namespace/name"
    participants: tuple[Participant, ...]
    terms: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The desired state of one bot, for its gateway and its host. `host` names the shared process that runs it."""

    account: AccountId
    command: BotCommand
    host: str = ""  # none: a process of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHalt:
    """A halt switch that RiskPolicies hold on: of one bot, set by all of them that choose it."""

    scope: str
    reason: str
    set_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What stands in the way of a resource: it waits (and heals by itself), or it is stalled (somebody must act)."""

    key: ResourceKey
    stalled: bool
    reason: str  # one word, for programs
    message: str  # one line: what is wrong, and what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that should be: in an order in which it can be made.

    `drifted` are bots and exchanges whose changed spec waits, `listed` are the instruments of each exchange
    ("namespace/name") that can be traded on. `halts` are all switches that policies hold on: no other one of theirs is.
    `questions` are for jobs.
    """

    runs: tuple[LockstepRun, ...] = ()
    commands: tuple[Command, ...] = ()
    workloads: tuple[Workload, ...] = ()
    verdicts: dict[ResourceKey, Verdict] = field(default_factory=dict)
    drifted: frozenset[ResourceKey] = frozenset()
    listed: dict[str, tuple[Instrument, ...]] = field(default_factory=dict)
    halts: tuple[PolicyHalt, ...] = ()
    questions: tuple[Question, ...] = ()
    needs: dict[ResourceKey, Needs] | None = None  # of Datasets and Backtests that can run; None on one machine
    code: dict[ResourceKey, Mapping[str, str]] = field(default_factory=dict)  # modules of Backtests, by file name
    new_code: dict[ResourceKey, str] = field(
        default_factory=dict
    )  # which code of a drifted bot waits, if only that does


class ProcessState(StrEnum):
    """Where a workload's process is."""

    STARTING = "Starting"
    READY = "Ready"
    BACKING_OFF = "BackingOff"  # it ended, and is started again after a while
    REFUSED = "Refused"  # it ended for a reason that a person must look at
    ENDED = "Ended"  # a finished replay


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What is known of a workload's process. `message` says why it is not ready."""

    state: ProcessState
    restarts: int = 0
    reason: str = ""
    message: str = ""
    has_drifted: bool = False  # it runs in another pod than its resource asks for, since a person has to agree first
