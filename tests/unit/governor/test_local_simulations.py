"""The trials of Backtests as processes of this machine: how many, which, and what becomes of those that die."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from governor.local.allowance import RESERVED_BYTES, allowance_bytes
from governor.local.home import Home
from governor.local.simulations import LocalSimulations
from governor.simulation import RETRIES_PER_INDEX, TRIAL_FAILED, WORDS_VARIABLE, Asked, Simulation, SimulationFacts

from tests.fakes.fake_process import FakeProcess, FakeProcesses
from tradefleet.resources.common import ResourceKey

NAME = "backtest-default-grid"


def simulation(question: str = "aaaa", trials: int = 4, **values) -> Simulation:
    return replace(
        Simulation(
            name=NAME,
            owner=ResourceKey("Backtest", "default", "grid"),
            uid="uid-1",
            question=question,
            generation=1,
            trials=trials,
            remaining=trials,
            parallelism=2,
            is_suspended=False,
            since="",
            settings={"trials": trials},
        ),
        **values,
    )


class Stage:
    def __init__(self, folder: Path) -> None:
        self.processes = FakeProcesses()
        self.missing: list[int] | None = None
        self.home = Home(folder)
        self.runner = LocalSimulations(
            self.home,
            role="tf_backtest",
            missing=lambda each: range(each.trials) if self.missing is None else self.missing,
            slots=4,
            start=self.processes,
        )

    def tend(self, wanted: Simulation, slots: int = 2) -> SimulationFacts:
        return self.runner.tend([Asked(simulation=wanted, slots=slots)])[wanted.name]

    def running(self) -> dict[int, FakeProcess]:
        alive = [each for each in self.processes.started if each.exit_code is None]
        return {int(each.command.name.rpartition("-")[2]): each for each in alive if each in self.runner.children()}

    def end(self, index: int, code: int = 0) -> None:
        self.running()[index].end(code)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_each_index_is_a_process_and_no_more_run_than_are_granted(stage: Stage) -> None:
    stage.runner.environment = {"TRADEFLEET_FLEET": "f1eet"}

    facts = stage.tend(simulation())

    assert (facts.running, facts.is_over) == (2, False)
    assert sorted(stage.running()) == [0, 1]
    command = stage.running()[1].command
    assert command.environment is not None
    assert (command.environment["JOB_COMPLETION_INDEX"], command.environment["TRADEFLEET_FLEET"]) == ("1", "f1eet")
    told = json.loads(Path(command.arguments[-1]).read_text(encoding="utf-8"))
    assert told == {"trials": 4, "trialsEach": 1}


def test_a_trial_is_held_to_a_part_of_the_machines_memory(stage: Stage) -> None:
    stage.tend(simulation(trials=1))
    stage.tend(simulation("bbbb", trials=1, memory_bytes=10**8))

    found = [each.command.memory_bytes for each in stage.processes.started]
    assert found == [allowance_bytes(None), 10**8 + RESERVED_BYTES]


def test_the_next_index_follows_one_that_is_done(stage: Stage) -> None:
    stage.tend(simulation())
    stage.end(0)
    stage.end(1, TRIAL_FAILED)

    stage.tend(simulation())
    assert sorted(stage.running()) == [2, 3]
    stage.end(2)
    stage.end(3)

    assert stage.tend(simulation()) == SimulationFacts(slots=2, is_over=True)


def test_after_a_restart_only_what_is_missing_is_run(stage: Stage) -> None:
    stage.missing = [3]

    stage.tend(simulation())

    assert sorted(stage.running()) == [3]


def test_an_index_that_dies_is_tried_again_and_named_when_it_keeps_dying(stage: Stage) -> None:
    one = simulation(trials=1)
    for _ in range(RETRIES_PER_INDEX + 1):
        assert stage.tend(one).lost == {}
        stage.end(0, -signal.SIGKILL)

    facts = stage.tend(one)

    assert facts.is_over
    assert facts.lost == {0: f"its process was ended by SIGKILL, 4 times; its log is {stage.home.log(NAME)}"}


def test_what_a_process_said_last_is_told(stage: Stage) -> None:
    one = simulation(trials=1)
    for _ in range(RETRIES_PER_INDEX + 1):
        stage.tend(one)
        environment = stage.running()[0].command.environment or {}
        Path(environment[WORDS_VARIABLE]).write_text('{"message": "MemoryError: too large"}', encoding="utf-8")
        stage.end(0, 1)

    lost = stage.tend(one).lost

    assert lost == {
        0: f"its process ended with status 1, 4 times: MemoryError: too large; its log is {stage.home.log(NAME)}"
    }


def test_a_run_in_which_too_much_fails_is_given_up(stage: Stage) -> None:
    many = simulation(trials=40)
    for index in range(21):
        stage.tend(many, slots=1)
        stage.end(index, TRIAL_FAILED)

    facts = stage.tend(many, slots=1)

    assert facts.is_over
    assert facts.ended_early == "was not run, since 21 others had failed"


def test_fewer_slots_end_what_began_last_and_it_is_not_held_against_it(stage: Stage) -> None:
    stage.tend(simulation())

    stage.tend(simulation(), slots=1)
    assert sorted(stage.running()) == [0]
    stage.tend(simulation(is_suspended=True), slots=0)
    assert stage.running() == {}

    facts = stage.tend(simulation())
    assert (sorted(stage.running()), facts.lost) == ([0, 1], {})


def test_another_question_ends_the_processes_of_the_one_before(stage: Stage) -> None:
    stage.tend(simulation())
    old = list(stage.running().values())

    stage.tend(simulation("bbbb"), slots=1)

    assert all(each.exit_code is not None for each in old)
    assert sorted(stage.running()) == [0]
    stage.runner.tend([])
    assert stage.runner.children() == []
    assert list((stage.home.path / "jobs").glob("*.json")) == []


def test_a_single_run_makes_a_report(stage: Stage) -> None:
    stage.tend(simulation(trials=1, makes_report=True))

    told = json.loads(Path(stage.running()[0].command.arguments[-1]).read_text(encoding="utf-8"))
    assert told["report"] == str(stage.home.path / "reports" / f"{NAME}.html")


def test_stopping_leaves_no_process(stage: Stage) -> None:
    stage.tend(simulation())

    stage.runner.stop()

    assert stage.runner.children() == []
