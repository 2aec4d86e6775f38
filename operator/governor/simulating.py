"""What a round does for Backtests: asks, shares out slots, lets the trials run, and writes down what was lost.

Level-based like the round itself: what came of each trial stands in the database, so whoever begins anew goes on.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from governor.sharing import Demand, shares
from governor.simulation import Asked, Simulation, SimulationFacts
from governor.tasks import failure_text, progress_of
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.trials import Trial, TrialProgress, TrialRun
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.search import question_of, trial_parameters
from tradefleet.store.ports.trials import TrialBooks

_LOG: Final = logging.getLogger(__name__)

RETRY_US: Final = 30 * MICROSECONDS  # of a Backtest of which every trial has failed; twice as long each time
RETRY_US_MAX: Final = 3_600 * MICROSECONDS
LOST_AT_ONCE: Final = 200  # lost trials that are written down in one round
NOT_RUN: Final = "was not run"


class SimulationRunner(Protocol):
    """Runs the indexes of simulations, as processes or pods."""

    @property
    def slots(self) -> int:
        """How many indexes may run at the same time, over the whole fleet."""

    def role(self, simulation: Simulation) -> str:
        """Return the log-in that writes the results."""

    def tend(self, asked: Collection[Asked]) -> dict[str, SimulationFacts]:
        """Bring what runs closer to what is asked: start, hold, end; return where each simulation is, by name.

        What is not asked any more ends, and nothing is left of it. An index that ended without its results is tried
        again some times, and then lost.
        """


class Note(Protocol):
    """Writes an event."""

    def __call__(self, key: ResourceKey, action: str, detail: str) -> None:
        """Note what befell a resource."""


@dataclass(frozen=True, slots=True)
class _Again:
    """A Backtest of which every trial failed, until one has not."""

    digest: str
    error: str
    at_us: int
    wait_us: int
    is_running: bool = False


class Simulating:
    """The Backtests of one fleet."""

    def __init__(self, runner: SimulationRunner, books: TrialBooks, note: Note) -> None:
        self._runner = runner
        self._books = books
        self._note = note
        self._begun: dict[str, str] = {}  # by name, the digest that was asked
        self._again: dict[str, _Again] = {}
        self._failed: dict[tuple[str, str], int] = {}  # failed trials that are known, by UID and question

    def tend(
        self,
        wanted: Collection[Simulation],
        resources: Iterable[Resource],
        trials: Mapping[str, TrialProgress],
        *,
        now_us: int,
    ) -> dict[ResourceKey, SimulationFacts]:
        """Do one round for the simulations that are wanted; return where each is, by its Backtest."""
        backtests = {each.key: each for each in resources if isinstance(each, Backtest)}
        self._tell_failures(backtests.values(), trials)
        names = {each.name for each in wanted}
        self._begun = {name: digest for name, digest in self._begun.items() if name in names}
        self._again = {name: again for name, again in self._again.items() if name in names}
        ready = [each for each in wanted if self._is_ready(each, trials.get(each.uid), now_us)]
        granted = shares(
            (
                Demand(name=each.name, namespace=each.owner.namespace, since=each.since, slots=each.demand)
                for each in ready
            ),
            self._runner.slots,
        )
        facts = self._runner.tend([Asked(simulation=each, slots=granted.get(each.name, 0)) for each in ready])
        for each in ready:
            found = facts.get(each.name)
            if found is not None and found.is_over and each.remaining:
                self._write_lost(each, backtests[each.owner], found)
        return {each.owner: self._with_error(each, facts.get(each.name, SimulationFacts())) for each in wanted}

    # --- asking ---------------------------------------------------------------------------------------------------

    def _is_ready(self, simulation: Simulation, known: TrialProgress | None, now_us: int) -> bool:
        """Return whether it may run now. One of which everything failed waits, and is then asked again."""
        if simulation.is_suspended and known is None:
            return False
        self._begin(simulation)
        again = self._again.get(simulation.name)
        if again is not None and again.digest != simulation.digest:
            again = None
        if known is None or not known.is_done:
            return True
        if again is None or again.is_running:
            wait_us = RETRY_US if again is None else min(2 * again.wait_us, RETRY_US_MAX)
            error = "" if known.failure is None else failure_text(known.failure)
            self._again[simulation.name] = _Again(simulation.digest, error, now_us + wait_us, wait_us)
        elif now_us >= again.at_us and not simulation.is_suspended:
            count = self._books.clear_failures(simulation.uid, simulation.question)
            self._failed.pop((simulation.uid, simulation.question), None)
            self._again[simulation.name] = replace(again, is_running=True)
            _LOG.info("%s: its %d failed trials are tried again", simulation.owner, count)
        return False

    def _begin(self, simulation: Simulation) -> None:
        """Say who may write the results; once for each Governor, since a log-in may have changed."""
        if self._begun.get(simulation.name) == simulation.digest:
            return
        self._books.begin(
            TrialRun(
                uid=simulation.uid,
                question=simulation.question,
                backtest=simulation.owner.full_name,
                generation=simulation.generation,
                trials=simulation.trials,
                role=self._runner.role(simulation),
                inputs={"resources": simulation.settings["resources"]},
            )
        )
        self._begun[simulation.name] = simulation.digest

    def _with_error(self, simulation: Simulation, facts: SimulationFacts) -> SimulationFacts:
        again = self._again.get(simulation.name)
        return facts if again is None or again.digest != simulation.digest else replace(facts, last_error=again.error)

    # --- what is lost, and what failed ----------------------------------------------------------------------------

    def _write_lost(self, simulation: Simulation, backtest: Backtest, facts: SimulationFacts) -> None:
        """Write down, some at a time, the trials that nobody runs any more: each has a result or an error then."""
        for number in self._books.missing(simulation.uid, simulation.question, limit=LOST_AT_ONCE):
            why = facts.lost.get(simulation.index_of(number)) or facts.ended_early or NOT_RUN
            parameters = trial_parameters(backtest, number)
            self._books.add(simulation.uid, simulation.question, Trial(number=number, parameters=parameters, error=why))

    def _tell_failures(self, backtests: Iterable[Backtest], trials: Mapping[str, TrialProgress]) -> None:
        """Make an event of the first trial of a Backtest that failed since we look."""
        known: dict[tuple[str, str], int] = {}
        for each in backtests:
            progress = progress_of(each, trials)
            if progress is None:
                known[each.metadata.uid or "", question_of(each)] = 0
                continue
            place = each.metadata.uid or "", progress.question
            known[place] = progress.failed
            if progress.failed and progress.failure is not None and self._failed.get(place) == 0:
                self._note(each.key, "trial failed", failure_text(progress.failure))
        self._failed = known
