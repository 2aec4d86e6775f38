"""Jobs end by themselves; what they found is kept for as long as the same is asked."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from governor.job import Job, JobFacts
from governor.local.home import Home
from governor.local.jobs import RETRY_S, Jobs

from tests.fakes.clock import FakeSeconds
from tests.fakes.fake_process import FakeProcess, FakeProcesses

RUNNING = JobFacts(is_running=True)


def job(name: str = "dataset-default-market", *, digest: str = "one", settings: dict | None = None) -> Job:
    return Job(name=name, module="a.module", digest=digest, settings=settings or {"seed": 1})


class Stage:
    """Jobs over a data folder. `finish` lets the running job write an output and end."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.seconds = FakeSeconds()
        self.processes = FakeProcesses()
        self.jobs = Jobs(self.home, self.seconds, self.processes)

    def tend(self, *jobs: Job) -> dict[str, JobFacts]:
        return self.jobs.tend(jobs)

    def newest(self, wanted: Job) -> FakeProcess:
        return self.processes.newest(wanted.name)

    def finish(self, wanted: Job, output: str | dict, status: int = 0) -> None:
        text = output if isinstance(output, str) else json.dumps(output)
        Path(self.newest(wanted).command.arguments[-1]).write_text(text, encoding="utf-8")
        self.newest(wanted).end(status)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_job_runs_its_module_on_its_settings(stage: Stage) -> None:
    asked = job(settings={"paths": ["a.csv"]})

    facts = stage.tend(asked)

    program, dash, module, settings, _ = stage.newest(asked).command.arguments
    assert (program, dash, module) == (sys.executable, "-m", "a.module")
    assert json.loads(Path(settings).read_text(encoding="utf-8")) == {"paths": ["a.csv"]}
    assert facts == {asked.name: RUNNING}


def test_a_user_s_code_and_the_fleet_s_database_are_reached(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/already/there")
    stage.jobs.code_folders = ("/home/me/strategies",)
    stage.jobs.environment = {"TRADEFLEET_FLEET": "f1eet"}

    stage.tend(job())

    environment = stage.newest(job()).command.environment
    assert environment is not None
    assert environment["PYTHONPATH"] == "/home/me/strategies:/already/there"
    assert environment["TRADEFLEET_FLEET"] == "f1eet"


def test_a_result_is_kept_and_not_worked_out_again(stage: Stage, tmp_path: Path) -> None:
    stage.tend(job())
    stage.finish(job(), {"result": {"bars": 7}})

    assert stage.tend(job()) == {job().name: JobFacts(result={"bars": 7})}
    after_a_restart = Stage(tmp_path)
    assert after_a_restart.tend(job()) == {job().name: JobFacts(result={"bars": 7})}
    assert after_a_restart.processes.started == []


def test_what_is_asked_anew_is_worked_out_anew(stage: Stage) -> None:
    stage.tend(job())
    stage.finish(job(), {"result": {"bars": 7}})
    stage.tend(job())

    assert stage.tend(job(digest="two")) == {job().name: RUNNING}


def test_a_change_while_it_runs_begins_again(stage: Stage) -> None:
    stage.tend(job())
    old = stage.newest(job())

    stage.tend(job(digest="two"))

    assert old.exit_code is not None
    assert stage.processes.count(job().name) == 2


def test_one_job_runs_at_a_time(stage: Stage) -> None:
    first, second = job("first"), job("second")

    assert stage.tend(first, second) == {"first": RUNNING, "second": JobFacts()}
    stage.finish(first, {"result": {}})

    assert stage.tend(first, second) == {"first": JobFacts(result={}), "second": RUNNING}


def test_a_failure_is_told_and_tried_again_after_a_while(stage: Stage) -> None:
    stage.tend(job())
    stage.finish(job(), {"error": "a.csv: line 3: not a number"}, status=2)

    failed = {job().name: JobFacts(error="a.csv: line 3: not a number")}
    assert stage.tend(job()) == failed
    stage.seconds.pass_s(RETRY_S - 1)
    assert stage.tend(job()) == failed
    stage.seconds.pass_s(2)
    assert stage.tend(job()) == {job().name: RUNNING}
    stage.finish(job(), {"result": {"bars": 7}})
    assert stage.tend(job()) == {job().name: JobFacts(result={"bars": 7})}


@pytest.mark.parametrize("output", ["", '{"result": {"bars"'], ids=["nothing", "a torn line"])
def test_a_job_that_crashes_names_its_log(stage: Stage, output: str) -> None:
    stage.tend(job())
    stage.finish(job(), output, status=-9)

    error = stage.tend(job())[job().name].error

    assert error == f"the process ended with status -9; its log is {stage.home.log(job().name)}"


def test_a_torn_result_is_worked_out_again(stage: Stage) -> None:
    (stage.home.path / "jobs" / f"{job().name}.result").write_text('{"dig', encoding="utf-8")

    assert stage.tend(job()) == {job().name: RUNNING}


def test_what_nobody_asks_for_any_more_is_ended_and_forgotten(stage: Stage) -> None:
    done, running = job("done"), job("running")
    stage.tend(done)
    stage.finish(done, {"result": {}})
    stage.tend(done)
    stage.tend(done, running)

    assert stage.tend() == {}

    assert stage.newest(running).exit_code is not None
    assert stage.jobs.children() == []
    assert list((stage.home.path / "jobs").glob("*.result")) == []


def test_stopping_leaves_no_process(stage: Stage) -> None:
    stage.tend(job())

    stage.jobs.stop()

    assert stage.newest(job()).exit_code is not None
    assert stage.jobs.children() == []


def test_files_that_change_are_read_again(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    asked = replace(job(), files=(str(path),))
    for text in (None, "one", "another"):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        assert stage.tend(asked) == {asked.name: RUNNING}
        stage.finish(asked, {"result": {}})
        assert stage.tend(asked) == {asked.name: JobFacts(result={})}

    assert stage.tend(asked) == {asked.name: JobFacts(result={})}
