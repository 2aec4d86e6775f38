"""Rounds for Backtests: what is lost is written down, what failed throughout is asked again, slots go round."""

from collections.abc import Collection

import pytest
from governor.simulating import RETRY_US, Simulating
from governor.simulation import Asked, Simulation, SimulationFacts
from governor.tasks import simulations_of

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.governor import fleets
from tradefleet.domain.trials import Trial
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.search import question_of


def grid(name: str = "grid", **spec) -> Resource:
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "sma-cross"},
        "wallet": {"USD": "10000"},
        "search": {"space": {"fast": {"values": [3, 5, 7]}}},
        "parallelism": 2,
        **spec,
    }
    return fleets.stored("Backtest", name, body, creation_timestamp=f"2024-01-01T00:00:{len(name):02}Z")


class Runner:
    """Simulations that end when a test says so."""

    slots = 3

    def __init__(self) -> None:
        self.asked: dict[str, Asked] = {}
        self.facts: dict[str, SimulationFacts] = {}

    def role(self, simulation: Simulation) -> str:
        return f"role of {simulation.name}"

    def tend(self, asked: Collection[Asked]) -> dict[str, SimulationFacts]:
        self.asked = {each.simulation.owner.name: each for each in asked}
        return {
            each.simulation.name: self.facts.get(each.simulation.owner.name, SimulationFacts(running=each.slots))
            for each in asked
        }


class Stage:
    def __init__(self, *resources: Resource) -> None:
        self.resources = list(resources)
        self.store = MemoryStore(MemoryDatabase(lambda: 1))
        self.runner = Runner()
        self.notes: list[tuple[str, str, str]] = []
        self.now_us = 1
        self.begin()

    def begin(self) -> None:
        """Let another Governor take over."""
        self.simulating = Simulating(self.runner, self.store, self.note)

    def note(self, key: ResourceKey, action: str, detail: str) -> None:
        self.notes.append((key.name, action, detail))

    def go(self) -> dict[str, SimulationFacts]:
        known = self.store.progress({each.metadata.uid or "": question_of(each) for each in self.resources})
        wanted = simulations_of(self.resources, {}, known)
        found = self.simulating.tend(wanted, self.resources, known, now_us=self.now_us)
        return {key.name: facts for key, facts in found.items()}

    def add(self, *trials: Trial, name: str = "grid") -> None:
        (each,) = (one for one in self.resources if one.metadata.name == name)
        for trial in trials:
            assert self.store.add(each.metadata.uid or "", question_of(each), trial)

    def trials(self) -> list[Trial]:
        each = self.resources[0]
        return list(self.store.ranking(each.metadata.uid or "", question_of(each), limit=99))


@pytest.fixture
def stage() -> Stage:
    return Stage(grid())


def test_who_may_write_is_said_before_anything_runs(stage: Stage) -> None:
    stage.go()

    (kept,) = stage.store.runs("uid-backtest-grid")
    assert (kept.run.role, kept.run.trials, kept.run.backtest) == ("role of backtest-default-grid", 3, "default/grid")
    assert stage.runner.asked["grid"].slots == 2


def test_slots_are_shared_out(stage: Stage) -> None:
    stage.resources.append(grid("another", parallelism=9))

    stage.go()

    assert {name: each.slots for name, each in stage.runner.asked.items()} == {"grid": 2, "another": 1}


def test_a_backtest_that_nears_its_end_leaves_its_slots_to_others(stage: Stage) -> None:
    stage.resources.append(grid("another", parallelism=9))
    stage.go()
    stage.add(Trial(number=0), Trial(number=1))

    stage.go()

    assert {name: each.slots for name, each in stage.runner.asked.items()} == {"grid": 1, "another": 2}


def test_a_suspended_one_that_never_ran_begins_nothing(stage: Stage) -> None:
    stage.resources = [grid(suspend=True)]

    stage.go()

    assert stage.runner.asked == {}
    assert stage.store.runs("uid-backtest-grid") == []


def test_trials_that_nobody_runs_any_more_are_written_down_with_the_reason(stage: Stage) -> None:
    stage.go()
    stage.add(Trial(number=0))
    stage.runner.facts["grid"] = SimulationFacts(is_over=True, lost={1: "out of memory"}, ended_early="not run: why")

    stage.go()

    assert [(each.parameters, each.error) for each in stage.trials()[1:]] == [
        ({"fast": 5}, "out of memory"),
        ({"fast": 7}, "not run: why"),
    ]
    assert stage.go() == {}, "it is done"
    assert stage.runner.asked == {}


def test_one_of_which_everything_failed_is_tried_again_later_each_time(stage: Stage) -> None:
    broken = [Trial(number=number, parameters={"fast": number}, error="no data") for number in range(3)]
    stage.go()
    stage.add(*broken)

    assert stage.go()["grid"].last_error == "fast=0: no data"
    assert stage.runner.asked == {}
    stage.now_us += RETRY_US
    stage.go()
    assert stage.trials() == []
    assert stage.go()["grid"] == SimulationFacts(running=2, last_error="fast=0: no data")

    stage.add(*broken)
    stage.go()
    stage.now_us += RETRY_US
    stage.go()
    assert stage.trials() != [], "twice as long"
    stage.now_us += RETRY_US
    stage.go()
    assert stage.trials() == []
    stage.add(Trial(number=0))
    stage.go()
    stage.add(*broken[1:])
    assert stage.go() == {}, "some of it is done: that is a result"


def test_a_failure_is_an_event_once(stage: Stage) -> None:
    stage.go()
    stage.add(Trial(number=1, parameters={"fast": 5}, error="it broke"))

    stage.go()
    stage.go()

    assert stage.notes == [("grid", "trial failed", "fast=5: it broke")]
    stage.begin()
    stage.go()
    assert len(stage.notes) == 1, "another Governor knows nothing of before"


def test_results_of_a_spec_of_before_are_found_again(stage: Stage) -> None:
    stage.go()
    stage.add(Trial(number=0), Trial(number=1), Trial(number=2))
    first = stage.resources[0]
    stage.resources = [grid(seed=5)]
    stage.go()
    assert stage.runner.asked["grid"].simulation.remaining == 3

    stage.resources = [first.model_copy(update={"metadata": replace_generation(first, 3)})]

    assert stage.go() == {}
    assert len(stage.trials()) == 3


def replace_generation(resource: Resource, generation: int):
    return resource.metadata.model_copy(update={"generation": generation})
