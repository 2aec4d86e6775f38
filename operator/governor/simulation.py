"""The simulations of a Backtest: what to run for it, and where that is. Plain values.

The trials of a question are cut into *indexes*, each a process or a pod: one trial each, or a stretch of them where
there are many. Each process writes what came of its trials to the database, once; whoever runs them tells no result.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from governor.workload import Needs
from tradefleet.resources.common import ResourceKey

MODULE: Final = "governor.backtest_job"
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"  # as an Indexed Job of Kubernetes sets it
WORDS_VARIABLE: Final = "TRADEFLEET_LAST_WORDS_PATH"  # where a process leaves the reason of its end
INDEXES_MAX: Final = 256  # of one question: more trials than that share them
RETRIES_PER_INDEX: Final = 3
INDEXES_FAILED_PART: Final = 2  # a run ends when more than one in so many of its indexes have failed
INDEXES_FAILED_MIN: Final = 10  # but not before so many have

# Exit statuses of `governor.backtest_job`, beside 0. Any other one, and a signal, is tried again.
TRIAL_FAILED: Final = 10  # a strategy raised, or the data cannot be played: another try would end in the same way


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a Backtest asks now. `name` is unique and DNS-safe; `settings` are the same for all indexes.

    In a cluster, `needs` are mounted for its processes, and `code` are modules by file name that they may import.
    """

    name: str
    owner: ResourceKey
    uid: str
    question: str
    generation: int
    trials: int
    remaining: int  # trials without a result
    parallelism: int
    is_suspended: bool
    since: str  # when the resource was made
    settings: Mapping[str, Any]
    makes_report: bool = False
    memory_bytes: int | None = None  # at most, where there is no pod that says it; None for what the machine can bear
    needs: Needs = field(default_factory=Needs)
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def trials_each(self) -> int:
        """How many trials an index has; the last one may have fewer."""
        return -(-self.trials // INDEXES_MAX)

    @property
    def indexes(self) -> int:
        """How many indexes there are."""
        return -(-self.trials // self.trials_each)

    @property
    def indexes_failed_max(self) -> int:
        """After how many failed indexes the rest is not run any more."""
        return max(INDEXES_FAILED_MIN, self.indexes // INDEXES_FAILED_PART)

    @property
    def demand(self) -> int:
        """How many indexes are wanted at the same time."""
        if self.is_suspended:
            return 0
        return min(self.parallelism, -(-self.remaining // self.trials_each))

    @property
    def digest(self) -> str:
        """A hash of the question, of whose it is, and of the code and the data that it is put to."""
        outside = [self.needs.digest, sorted(self.code.items())] if self.needs.digest or self.code else []
        text = "/".join([self.uid, self.question, *([json.dumps(outside)] if outside else [])])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def told(self) -> Mapping[str, Any]:
        """What the process of an index is told."""
        return {**self.settings, "trialsEach": self.trials_each}

    def index_of(self, trial: int) -> int:
        """Return the index that runs a trial."""
        return trial // self.trials_each


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A simulation with how many of its indexes may run at the same time."""

    simulation: Simulation
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationFacts:
    """Where a simulation is. `lost` says why an index has ended, for good, without having written all it should."""

    running: int = 0  # indexes at work
    slots: int = 0
    is_over: bool = False  # nothing of it runs any more, nor will
    is_queued_elsewhere: bool = False  # Kueue says when it runs
    lost: Mapping[int, str] = field(default_factory=dict)
    ended_early: str = ""  # why the indexes that are not in `lost` were not run
    trouble: str = ""  # what keeps it from running
    last_error: str = ""  # why an earlier try found nothing
