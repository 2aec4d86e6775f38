"""Datasets and Backtests as jobs, and what they show."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from governor.conditions import ProcessView
from governor.dataset_status import DatasetFacts, DatasetView
from governor.job import Job, JobFacts
from governor.tasks import BACKTEST_MODULE, DATASET_MODULE, dataset_view, job_status, jobs_of
from governor.workload import Verdict

from tests.unit.governor import fleets
from tradefleet.resources.backtest import BacktestStatus
from tradefleet.resources.common import ConditionStatus, ConditionType, Phase, Resource
from tradefleet.resources.load import parse_text

NAME = "backtest-default-test"
DOCUMENT = {
    "bots": [
        {"bot": "default/test", "parameters": {"fast": 5}, "quote": "USD", "vsHold": "12.50"},
        {"bot": "default/other", "parameters": {}, "quote": "USD", "vsHold": "-3"},
    ],
    "data": {"contentHash": "c0ffee"},
    "ledgerHash": "1ed6e2",
    "synthetic": True,
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


def jobs(*resources: Resource, verdicts: dict | None = None) -> list[Job]:
    return jobs_of(resources, verdicts or {})


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


def test_a_backtest_with_a_verdict_waits() -> None:
    wanted = backtest()
    verdict = Verdict(key=wanted.key, stalled=False, reason="DatasetPending", message="is being read")

    assert jobs(wanted, verdicts={wanted.key: verdict}) == []


def test_a_job_names_the_files_that_it_reads(tmp_path: Path) -> None:
    (found,) = jobs(files(tmp_path / "a.csv", tmp_path / "b.csv"))

    assert found.files == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))


def test_a_backtest_takes_along_what_it_may_refer_to_as_a_user_would_write_it() -> None:
    bot = fleets.bot("alpha", generation=3, annotations={"a": "b"})
    elsewhere = bot.model_copy(update={"metadata": bot.metadata.model_copy(update={"namespace": "other"})})

    *_, found = jobs(fleets.exchange(), fleets.dataset(), bot, elsewhere, backtest())

    assert (found.name, found.module) == (NAME, BACKTEST_MODULE)
    read = [each.resource for each in parse_text(found.settings["resources"], "<job>")]
    assert [(each.kind, each.metadata.name, each.metadata.namespace) for each in read] == [
        ("Exchange", "simulator", "default"),
        ("Dataset", "market", "default"),
        ("TradingBot", "alpha", "default"),
        ("Backtest", "test", "default"),
    ]
    assert all(each.metadata.uid is None and not each.metadata.annotations for each in read)
    assert found.makes_report


def test_a_backtest_is_run_again_when_its_spec_changes_and_only_then() -> None:
    first, same, changed = (jobs(backtest(generation=number))[0].digest for number in (1, 1, 2))

    assert first == same
    assert first != changed


# --- what they show ---------------------------------------------------------------------------------------------------


def _status(resource: Resource, facts: JobFacts | None = None, verdict: Verdict | None = None) -> BacktestStatus:
    found = job_status(resource, {} if facts is None else {NAME: facts}, verdict, now_us=1_000_000)
    assert isinstance(found, BacktestStatus)
    return found


def test_a_backtest_that_runs_says_since_when() -> None:
    status = _status(backtest(), JobFacts(is_running=True))

    assert (status.phase, status.completed, status.started_time) == (Phase.RUNNING, 0, "1970-01-01T00:00:01Z")
    assert status.finished_time is None


def test_a_backtest_that_is_done_shows_its_best_bot() -> None:
    status = _status(backtest(), JobFacts(result=DOCUMENT))

    assert (status.phase, status.completed, status.failed) == (Phase.SUCCEEDED, 1, 0)
    assert (status.vs_hold, status.quote_asset, status.best_params) == (Decimal("12.50"), "USD", {"fast": 5})
    assert (status.dataset_hash, status.ledger_hash, status.synthetic) == ("c0ffee", "1ed6e2", True)
    assert status.reason == "default/test made 12.50 USD beyond holding"


def test_times_of_a_run_are_kept_until_the_spec_changes() -> None:
    before = {"started_time": "2024-01-01T00:00:00Z", "finished_time": "2024-01-02T00:00:00Z"}
    done = backtest(generation=2)
    same = done.model_copy(update={"status": BacktestStatus(observed_generation=2, **before)})
    older = done.model_copy(update={"status": BacktestStatus(observed_generation=1, **before)})

    kept, anew = (_status(each, JobFacts(result=DOCUMENT)) for each in (same, older))

    assert {"started_time": kept.started_time, "finished_time": kept.finished_time} == before
    assert (anew.started_time, anew.finished_time) == ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z")


def test_a_backtest_that_failed_is_stalled_with_its_error() -> None:
    status = _status(backtest(), JobFacts(error="no bar of BTC-USD"))

    stalled = status.condition(ConditionType.STALLED)
    assert stalled is not None
    assert (status.phase, status.failed, stalled.status) == (Phase.FAILED, 1, ConditionStatus.TRUE)
    assert status.reason == "no bar of BTC-USD"


@pytest.mark.parametrize(("is_stalled", "phase"), [(True, Phase.FAILED), (False, Phase.PENDING)])
def test_a_verdict_stands_before_what_a_job_found(is_stalled: bool, phase: Phase) -> None:
    wanted = backtest()
    verdict = Verdict(key=wanted.key, stalled=is_stalled, reason="DatasetRefused", message="its content has changed")

    status = _status(wanted, JobFacts(result=DOCUMENT), verdict)

    assert (status.phase, status.reason, status.vs_hold) == (phase, "its content has changed", None)


def test_a_suspended_backtest_is_stopped() -> None:
    assert _status(backtest(suspend=True)).phase is Phase.STOPPED


@pytest.mark.parametrize("halts", [True, False])
def test_a_risk_policy_says_that_it_is_not_carried_out(halts: bool) -> None:
    policy = fleets.stored("RiskPolicy", "careful", {"halt": halts})

    status = job_status(policy, {}, None, now_us=0)

    assert status is not None
    assert status.phase is Phase.FAILED
    assert (status.reason or "").startswith("is not carried out yet")
    assert ("`tradefleet halt`" in (status.reason or "")) == halts


def test_what_is_no_job_has_its_status_from_elsewhere() -> None:
    assert job_status(fleets.bot("alpha"), {}, None, now_us=0) is None


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
