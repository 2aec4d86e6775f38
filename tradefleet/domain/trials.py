"""Trials: the runs of a Backtest, one for each combination of parameters, and how far they are.

A *question* is what a Backtest asks, as a hash of it: another spec is another question, with trials of its own. Trials
are numbered from 0.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.frozen import frozen


@frozen()
class TrialRun:
    """All trials of one question of a Backtest (`uid`). `role` is the one log-in that may write their results."""

    uid: str
    question: str
    backtest: str  # namespace/name, for people
    generation: int
    trials: int
    role: str = ""
    inputs: Mapping[str, object] = field(default_factory=dict)  # what was asked, as JSON values


@frozen()
class Trial:
    """What came of one trial: figures, or the `error` that ended it. `score` ranks trials, the highest first."""

    number: int
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    score: Decimal | None = None
    vs_hold: Decimal | None = None
    quote: str = ""
    bot: str = ""
    error: str = ""
    dataset_hash: str = ""
    ledger_hash: str = ""
    is_synthetic: bool = False
    started_us: int = 0
    finished_us: int = 0
    figures: Mapping[str, object] = field(default_factory=dict)  # the whole result, as JSON values
    report: bytes = b""  # a page of HTML, packed by zlib; nobody reads it back with the rest


@frozen()
class TrialProgress:
    """How far a run is. `best` and `failure` are the best trial and the first one that failed, without figures."""

    question: str
    trials: int
    completed: int = 0
    failed: int = 0
    best: Trial | None = None
    failure: Trial | None = None

    @property
    def is_done(self) -> bool:
        """Whether every trial has its result, or its error."""
        return self.completed + self.failed >= self.trials
