"""Trials of Backtests: who may add results, what came of each trial, and what is shown of them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tradefleet.domain.frozen import frozen
from tradefleet.domain.trials import Trial, TrialProgress, TrialRun


@frozen()
class KeptRun:
    """A run whose trials may still be read: `kept` of them have a result."""

    run: TrialRun
    asked_us: int
    kept: int


class TrialStore(Protocol):
    """What the process of some trials needs."""

    def done(self, uid: str, question: str, *, first: int, last: int) -> frozenset[int]:
        """Return which trials from `first` to `last` have a result, or an error."""

    def add(self, uid: str, question: str, trial: Trial) -> bool:
        """Write what came of a trial; False, and nothing is written, when that is there already.

        Raises Permanent for a run that this log-in may not write.
        """


class TrialBooks(TrialStore, Protocol):
    """What the Governor and people need besides."""

    def begin(self, run: TrialRun) -> None:
        """Make a run, or ask it again: its log-in may add results from now on. Its trials stay as they are."""

    def progress(self, asked: Mapping[str, str]) -> Mapping[str, TrialProgress]:
        """Return how far the runs are, by UID; `asked` are questions by UID. One that was never begun is missing."""

    def missing(self, uid: str, question: str, *, limit: int) -> list[int]:
        """Return the first trials without a row, at most `limit`."""

    def clear_failures(self, uid: str, question: str) -> int:
        """Take back the errors of a run, so that these trials are tried again; return how many there were."""

    def trial(self, uid: str, question: str, number: int) -> Trial | None:
        """Return one trial with its figures, and without its report."""

    def report(self, uid: str, question: str) -> bytes:
        """Return the packed report of a run that is no part of a search; empty when there is none."""

    def ranking(self, uid: str, question: str, *, limit: int) -> Sequence[Trial]:
        """Return trials with their figures, the best first, those that failed at the end."""

    def runs(self, uid: str) -> Sequence[KeptRun]:
        """Return the runs of a Backtest, the one that was asked last first."""
