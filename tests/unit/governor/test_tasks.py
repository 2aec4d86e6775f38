"""Datasets and Backtests as jobs, and what they show."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from governor.backtest_job import numbers_of
from governor.conditions import ProcessView
from governor.dataset_status import DatasetFacts, DatasetView
from governor.job import Job, JobFacts
from governor.simulation import INDEXES_MAX, Simulation, SimulationFacts
from governor.tasks import DATASET_MODULE, backtest_status, dataset_view, jobs_of, simulations_of
from governor.workload import Verdict

from tests.unit.governor import fleets
from tradefleet.domain.trials import Trial, TrialProgress
from tradefleet.resources.backtest import Backtest, BacktestStatus
from tradefleet.resources.common import ConditionStatus, ConditionType, Phase, Resource
from tradefleet.resources.load import parse_text
from tradefleet.resources.search import question_of, trial_of, trial_parameters

NAME = "backtest-default-test"
UID = "uid-backtest-test"
BEST = Trial(
    number=1,
    parameters={"fast": 5},
    score=Decimal("12.50"),
    vs_hold=Decimal("12.50"),
    quote="USD",
    bot="default/test",
    dataset_hash="c0ffee",
    ledger_hash="1ed6e2",
    is_synthetic=True,
)
FAILURE = Trial(number=0, parameters={"fast": 9}, error="bot default/test: on_bar raised ZeroDivisionError (mine.py:7)")
GRID = {
    "strategy": {"name": "sma-cross", "params": {"slow": 30}},
    "search": {"space": {"fast": {"values": [5, 9]}, "slow": {"min": 20, "max": "40", "step": "10"}}},
}


def backtest(*, generation: int = 1, deleting: bool = False, **spec) -> Resource:
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "buy-and-hold"},
        "wallet": {"USD": "10000"},
        **spec,
    }
    return fleets.stored("Backtest", "test", body, generation=generation, deleting=deleting)


def files(*paths: Path) -> Resource:
    listed = [{"path": str(path), "instrument": "BTC-USD", "interval": "1m"} for path in paths]
    return fleets.stored("Dataset", "mine", {"files": listed})


def jobs(*resources: Resource) -> list[Job]:
    return jobs_of(resources, {})


def simulations(
    *resources: Resource, verdicts: dict | None = None, known: TrialProgress | None = None
) -> list[Simulation]:
    return simulations_of(resources, verdicts or {}, {} if known is None else {UID: known})


def progress(wanted: Resource, *, trials: int = 1, **values) -> TrialProgress:
    assert isinstance(wanted, Backtest)
    return TrialProgress(question=question_of(wanted), trials=trials, **values)


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_a_dataset_is_read_by_a_job() -> None:
    (found,) = jobs(fleets.exchange(), fleets.dataset())

    assert (found.name, found.module) == ("dataset-default-market", DATASET_MODULE)
    ticks = {source["symbol"]: source.get("tick") for source in found.settings["replay"]["sources"]}
    assert ticks.keys() == {"BTC-USD", "LTC-USD"}


def test_made_up_candles_have_the_ticks_of_their_namespace_s_exchanges() -> None:
    coarse = [{"symbol": "BTC-USD", "tickSize": "5", "lotSize": "0.001", "minNotional": "1"}]
    here = fleets.exchange(instruments=coarse)
    elsewhere = here.model_copy(update={"metadata": here.metadata.model_copy(update={"namespace": "other"})})

    (near,) = jobs(here, fleets.dataset())
    (far,) = jobs(elsewhere, fleets.dataset())

    assert "5" in json.dumps(near.settings, default=str)
    assert near.digest != far.digest


@pytest.mark.parametrize(
    "resource",
    [
        fleets.dataset(suspend=True),
        fleets.recording(),
        backtest(suspend=True),
        backtest(deleting=True),
        fleets.bot("alpha"),
        fleets.feed(),
    ],
    ids=["suspended data", "a recording", "suspended test", "deleted", "a bot", "a feed"],
)
def test_what_asks_for_no_job_gets_none(resource: Resource) -> None:
    assert jobs(resource) == []
    assert not isinstance(resource, Backtest) or all(each.is_suspended for each in simulations(resource))


def test_a_backtest_with_a_verdict_waits() -> None:
    wanted = backtest()
    verdict = Verdict(key=wanted.key, stalled=False, reason="DatasetPending", message="is being read")

    assert simulations(wanted, verdicts={wanted.key: verdict}) == []


def test_a_job_names_the_files_that_it_reads(tmp_path: Path) -> None:
    (found,) = jobs(files(tmp_path / "a.csv", tmp_path / "b.csv"))

    assert found.files == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))


def test_a_backtest_takes_along_what_it_may_refer_to_as_a_user_would_write_it() -> None:
    bot = fleets.bot("alpha", generation=3, annotations={"a": "b"})
    elsewhere = bot.model_copy(update={"metadata": bot.metadata.model_copy(update={"namespace": "other"})})

    (found,) = simulations(fleets.exchange(), fleets.dataset(), bot, elsewhere, backtest())

    assert (found.name, found.trials, found.remaining) == (NAME, 1, 1)
    read = [each.resource for each in parse_text(found.settings["resources"], "<job>")]
    assert [(each.kind, each.metadata.name, each.metadata.namespace) for each in read] == [
        ("Exchange", "simulator", "default"),
        ("Dataset", "market", "default"),
        ("TradingBot", "alpha", "default"),
        ("Backtest", "test", "default"),
    ]
    assert all(each.metadata.uid is None and not each.metadata.annotations for each in read)
    assert found.makes_report


def test_only_what_is_asked_makes_a_new_run() -> None:
    (first,) = simulations(backtest())
    (held,) = simulations(backtest(generation=2, suspend=True, parallelism=7, historyLimit=0))
    (other,) = simulations(backtest(seed=4))
    again = backtest()
    (made_again,) = simulations(again.model_copy(update={"metadata": again.metadata.model_copy(update={"uid": "2"})}))

    assert first.digest == held.digest
    assert len({first.digest, other.digest, made_again.digest}) == 3


def test_a_grid_has_a_trial_for_each_combination() -> None:
    wanted = backtest(**GRID)
    assert isinstance(wanted, Backtest)

    (found,) = simulations(wanted)

    assert (found.trials, found.indexes, found.trials_each, found.makes_report) == (6, 6, 1, False)
    assert [trial_parameters(wanted, number) for number in range(6)] == [
        {"fast": fast, "slow": slow} for fast in (5, 9) for slow in (20, 30, 40)
    ]
    one = trial_of(wanted, 5).spec
    assert (one.strategy.params, one.search) == ({"fast": 9, "slow": 40}, None)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000, 100_000])
def test_every_trial_has_one_index(count: int) -> None:
    (one,) = simulations(backtest())
    many = replace(one, trials=count, remaining=count)

    covered = [number for index in range(many.indexes) for number in numbers_of({**many.told, "trials": count}, index)]

    assert covered == list(range(count))
    assert many.indexes <= INDEXES_MAX
    assert all(number in numbers_of({**many.told, "trials": count}, many.index_of(number)) for number in covered[::97])


def test_steps_of_a_range_are_exact() -> None:
    wanted = backtest(**{**GRID, "search": {"space": {"part": {"min": "0.1", "max": "0.3", "step": "0.1"}}}})
    assert isinstance(wanted, Backtest)

    assert [trial_parameters(wanted, number)["part"] for number in range(3)] == [0.1, 0.2, 0.3]


def test_what_is_done_is_not_asked_again_unless_all_of_it_failed() -> None:
    wanted = backtest(**GRID)

    assert simulations(wanted, known=progress(wanted, trials=6, completed=1, failed=5)) == []
    (some,) = simulations(wanted, known=progress(wanted, trials=6, completed=2, failed=1))
    (failed,) = simulations(wanted, known=progress(wanted, trials=6, failed=6))
    assert (some.remaining, failed.remaining) == (3, 0)
    (other,) = simulations(wanted, known=TrialProgress(question="another", trials=6, completed=6))
    assert other.remaining == 6


# --- what they show ---------------------------------------------------------------------------------------------------


def _status(
    resource: Resource,
    known: TrialProgress | None = None,
    verdict: Verdict | None = None,
    **facts,
) -> BacktestStatus:
    assert isinstance(resource, Backtest)
    return backtest_status(resource, known, SimulationFacts(**facts), verdict, now_us=1_000_000)


def test_a_backtest_that_runs_says_since_when_and_how_far_it_is() -> None:
    wanted = backtest(**GRID)

    status = _status(wanted, progress(wanted, trials=6, completed=2, best=BEST), running=1, slots=1)

    assert (status.phase, status.progress, status.completed, status.failed) == (Phase.RUNNING, "2/6", 2, 0)
    assert (status.vs_hold, status.best_params, status.reason) == (Decimal("12.50"), {"fast": 5}, "runs")
    assert (status.started_time, status.finished_time) == ("1970-01-01T00:00:01Z", None)


def test_a_backtest_that_is_done_shows_its_best_trial() -> None:
    wanted = backtest()

    status = _status(wanted, progress(wanted, completed=1, best=BEST))

    assert (status.phase, status.completed, status.failed) == (Phase.SUCCEEDED, 1, 0)
    assert (status.vs_hold, status.quote_asset, status.best_params) == (Decimal("12.50"), "USD", {"fast": 5})
    assert (status.dataset_hash, status.ledger_hash, status.synthetic) == ("c0ffee", "1ed6e2", True)
    assert status.reason == "default/test made +12.50 USD beyond holding"


def test_a_grid_that_is_done_names_the_best_parameters_and_warns_of_what_failed() -> None:
    wanted = backtest(**GRID)
    known = progress(wanted, trials=6, completed=5, failed=1, best=BEST, failure=FAILURE)

    status = _status(wanted, known)

    warning = status.condition(ConditionType.WARNING)
    assert warning is not None
    assert status.reason == "the best of 5 trials by vsHold: fast=5, +12.50 USD beyond holding"
    assert warning.message == (
        "1 of 6 trials failed, the first: fast=9: bot default/test: on_bar raised ZeroDivisionError (mine.py:7)"
    )
    assert (status.phase, warning.reason) == (Phase.SUCCEEDED, "TrialsFailed")


def test_times_of_a_run_are_kept_until_something_else_is_asked() -> None:
    before = {"started_time": "2024-01-01T00:00:00Z", "finished_time": "2024-01-02T00:00:00Z"}
    done = backtest()
    assert isinstance(done, Backtest)
    same = done.model_copy(update={"status": BacktestStatus(question=question_of(done), **before)})
    older = done.model_copy(update={"status": BacktestStatus(question="another", **before)})

    kept, anew = (_status(each, progress(done, completed=1, best=BEST)) for each in (same, older))

    assert {"started_time": kept.started_time, "finished_time": kept.finished_time} == before
    assert (anew.started_time, anew.finished_time) == ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z")


@pytest.mark.parametrize(
    ("known", "facts"), [({"failed": 1, "failure": FAILURE}, {}), ({}, {"last_error": "x", "running": 1})]
)
def test_a_backtest_of_which_everything_failed_is_stalled_until_something_has_not(known, facts) -> None:
    wanted = backtest()

    status = _status(wanted, progress(wanted, **known), **facts)

    stalled = status.condition(ConditionType.STALLED)
    assert stalled is not None
    assert (status.phase, stalled.status) == (Phase.FAILED, ConditionStatus.TRUE)
    assert (status.reason or "").endswith("; it is tried again after a while")


@pytest.mark.parametrize(("is_stalled", "phase"), [(True, Phase.FAILED), (False, Phase.PENDING)])
def test_a_verdict_holds_back_what_is_not_done(is_stalled: bool, phase: Phase) -> None:
    wanted = backtest()
    verdict = Verdict(key=wanted.key, stalled=is_stalled, reason="DatasetRefused", message="its content has changed")

    status = _status(wanted, None, verdict)

    assert (status.phase, status.reason, status.vs_hold) == (phase, "its content has changed", None)
    assert _status(wanted, progress(wanted, completed=1, best=BEST), verdict).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("facts", "phase", "reason"),
    [
        ({}, Phase.PENDING, "Queued"),
        ({"is_queued_elsewhere": True, "slots": 1}, Phase.PENDING, "Queued"),
        ({"slots": 1}, Phase.STARTING, "Starting"),
        ({"slots": 1, "running": 1, "trouble": "no image"}, Phase.PENDING, "Waiting"),
        ({"is_over": True}, Phase.RUNNING, "Running"),
    ],
)
def test_what_keeps_a_backtest_from_running_is_said(facts, phase: Phase, reason: str) -> None:
    status = _status(backtest(), None, **facts)

    ready = status.condition(ConditionType.READY)
    assert ready is not None
    assert (status.phase, ready.reason) == (phase, reason)


def test_a_suspended_backtest_is_stopped_and_shows_what_is_done() -> None:
    wanted = backtest(suspend=True, **GRID)

    status = _status(wanted, progress(wanted, trials=6, completed=2, best=BEST))

    assert (status.phase, status.progress, status.vs_hold) == (Phase.STOPPED, "2/6", Decimal("12.50"))


# --- datasets ---------------------------------------------------------------------------------------------------------

READ = {"bars": 100, "gaps": 1, "missingBars": 3, "firstUs": 0, "lastUs": 60, "contentHash": "c0ffee"}
FACTS = DatasetFacts(bars=100, gaps=1, missing_bars=3, first_us=0, last_us=60, content_hash="c0ffee")
JOB = "dataset-default-market"


def _view(dataset: Resource, jobs: dict | None = None, recorded: dict | None = None, **more) -> DatasetView:
    return dataset_view(dataset, jobs or {}, recorded or {}, [dataset], **more)


def test_a_dataset_is_what_its_job_found_in_it() -> None:
    made_up = fleets.dataset()

    assert _view(made_up) == DatasetView(is_made_up=True)
    assert _view(made_up, {JOB: JobFacts(is_running=True)}) == DatasetView(is_made_up=True)
    assert _view(made_up, {JOB: JobFacts(result=READ)}) == DatasetView(found=FACTS, is_made_up=True)
    assert _view(made_up, {JOB: JobFacts(error="torn")}) == DatasetView(error="torn", is_made_up=True)


def test_a_recording_is_what_was_recorded() -> None:
    recording = fleets.recording()
    process = ProcessView(is_ready=True)

    found = _view(recording, {"dataset-default-mine": JobFacts(result=READ)}, {"default/mine": FACTS}, process=process)

    assert found == DatasetView(found=FACTS, process=process)
