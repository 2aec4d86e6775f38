"""The process of some trials writes what came of each, once, and says by its exit status what is worth another try."""

import hashlib
import json
import sys
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from governor.backtest_job import AGAIN, DONE, run, run_trial
from governor.simulation import TRIAL_FAILED
from governor.tasks import finished_reports, simulations_of

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.governor import fleets
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.errors import MEMORY_REMEDY, Retryable
from tradefleet.domain.trials import Trial, TrialProgress
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Resource
from tradefleet.resources.search import question_of
from workloads.strategy.overdue import callbacks_watched

LISTED = [{"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.00000001", "minNotional": "1"}]
GRID = {
    "strategy": {"name": "sma-cross", "params": {"slow": 20}},
    "search": {"space": {"fast": {"values": [5, 30, 10]}}, "objective": "return"},
}
UID = "uid-backtest-test"

BROKEN = """
from workloads.strategy.api import Strategy, param


class Broken(Strategy):
    after: int = param(3, ge=1, le=999)

    def on_start(self):
        self.seen = 0

    def on_bar(self, bar):
        self.seen += 1
        if self.seen > self.after:
            raise ValueError("enough")
"""


# Each look of the watch is one signal of its timer, which is not waited for here.
HANGING = """
import signal
from workloads.strategy.api import Strategy, param


class Hangs(Strategy):
    after: int = param(3, ge=1, le=999)

    def on_start(self):
        self.seen = 0

    def on_bar(self, bar):
        self.seen += 1
        while self.seen > self.after:
            signal.raise_signal(signal.SIGALRM)
"""


GREEDY = """
from workloads.strategy.api import Strategy


class Eats(Strategy):
    def __init__(self):
        raise MemoryError
"""


def backtest(**spec: Any) -> Backtest:
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "buy-and-hold"},
        "wallet": {"USD": "10000"},
        **spec,
    }
    found = fleets.stored("Backtest", "test", body)
    assert isinstance(found, Backtest)
    return found


def market() -> list[Resource]:
    return [fleets.exchange(instruments=LISTED), fleets.dataset(instruments=["BTC-USD"])]


def told(wanted: Backtest, **more: Any) -> dict[str, Any]:
    (simulation,) = simulations_of([*market(), wanted], {}, {})
    return {**simulation.told, **more}


class Store(MemoryStore):
    """A store that is away for some calls."""

    def __init__(self) -> None:
        super().__init__(MemoryDatabase(lambda: 1))
        self.is_away = 0

    def add(self, uid: str, question: str, trial: Trial) -> bool:
        if self.is_away:
            self.is_away -= 1
            raise Retryable("database: gone")
        return super().add(uid, question, trial)


@pytest.fixture
def store() -> Store:
    return Store()


def trials(store: Store, wanted: Backtest) -> list[Trial]:
    return list(store.ranking(UID, question_of(wanted), limit=99))


def never() -> bool:
    return False


def test_each_trial_of_a_grid_is_written_with_its_parameters(store: Store) -> None:
    wanted = backtest(**GRID)

    assert run(told(wanted), range(3), store, never) == DONE

    *done, refused = trials(store, wanted)
    assert sorted(each.parameters["fast"] for each in done) == [5, 10]
    assert all(each.score is not None and each.ledger_hash and each.vs_hold is not None for each in done)
    assert done == sorted(done, key=lambda each: each.score or 0, reverse=True)
    assert refused.parameters == {"fast": 30}
    assert "fast" in refused.error, "it must be below slow, and this is no reason to try again"


def test_a_trial_of_a_grid_is_the_run_that_its_parameters_make_alone(store: Store) -> None:
    grid, alone = backtest(**GRID), backtest(strategy={"name": "sma-cross", "params": {"slow": 20, "fast": 10}})

    one, _ = run_trial(told(grid), 2)
    other, _ = run_trial(told(alone), 0)

    assert (one.ledger_hash, one.vs_hold) == (other.ledger_hash, other.vs_hold)
    assert (bool(one.report), bool(other.report)) == (False, True)


def test_what_is_done_is_left_out_when_an_index_is_run_again(store: Store) -> None:
    wanted = backtest(**GRID)
    kept = Trial(number=0, parameters={"fast": 5}, score=Decimal(99))
    store.add(UID, question_of(wanted), kept)

    assert run(told(wanted), range(3), store, never) == DONE

    assert trials(store, wanted)[0] == kept
    assert len(trials(store, wanted)) == 3


def test_who_is_asked_to_end_writes_what_is_done_and_is_run_again(store: Store) -> None:
    wanted = backtest(**GRID)

    assert run(told(wanted), range(3), store, lambda: bool(trials(store, wanted))) == AGAIN

    assert [each.number for each in trials(store, wanted)] == [0]


def test_a_strategy_that_raises_is_named_with_its_line_and_not_tried_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_one.py").write_text(BROKEN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_one", raising=False)
    wanted = backtest(strategy={"name": "broken_one:Broken"}, search={"space": {"after": {"values": [4, 500]}}})

    assert run(told(wanted), range(2), store, never) == TRIAL_FAILED

    done, failed = trials(store, wanted)
    assert done.parameters == {"after": 500}
    assert failed.parameters == {"after": 4}
    assert "raised ValueError: enough (broken_one.py:14 in on_bar" in failed.error


def test_a_trial_that_does_not_return_fails_with_its_line_and_the_next_one_comes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging_one.py").write_text(HANGING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hanging_one", raising=False)
    wanted = backtest(strategy={"name": "hanging_one:Hangs"}, search={"space": {"after": {"values": [4, 500]}}})

    with callbacks_watched(lambda reason, message: pytest.fail(message)):
        assert run(told(wanted), range(2), store, never) == TRIAL_FAILED

    done, failed = trials(store, wanted)
    assert done.parameters == {"after": 500}
    assert "on_bar at 2024-01-01T00:05:00Z did not return within 45 s and was broken off (hanging_one" in failed.error
    assert failed.error.endswith("give the loop an end, or the wait a time-out")


def test_a_trial_that_runs_out_of_memory_while_it_is_prepared_fails_with_the_remedy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greedy_one.py").write_text(GREEDY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "greedy_one", raising=False)
    wanted = backtest(strategy={"name": "greedy_one:Eats"})

    assert run(told(wanted), range(1), store, never) == TRIAL_FAILED

    (failed,) = trials(store, wanted)
    assert failed.error == f"the simulation needed more memory than its process may use: {MEMORY_REMEDY}"


def test_a_result_waits_for_a_database_that_is_away(store: Store) -> None:
    wanted = backtest()
    store.is_away = 2

    assert run(told(wanted), range(1), store, never, wait_s=0) == DONE
    assert len(trials(store, wanted)) == 1


def test_a_database_that_stays_away_is_no_result(store: Store) -> None:
    store.is_away = 99

    with pytest.raises(Retryable):
        run(told(backtest()), range(1), store, never, wait_s=0)


# --- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_takes_the_place_of_the_one_before_whole(tmp_path: Path) -> None:
    report = tmp_path / "test.html"
    report.write_text("the one before", encoding="utf-8")

    with report.open(encoding="utf-8") as read_meanwhile:
        trial, _ = run_trial(told(backtest(), report=str(report)), 0)
        assert read_meanwhile.read() == "the one before"

    finished: Any = trial.figures["finished"]
    assert finished["location"] == str(report)
    assert finished["contentHash"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert report.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert zlib.decompress(trial.report) == report.read_bytes()
    assert len(trial.report) < 1_000_000
    assert list(tmp_path.iterdir()) == [report]


def test_what_is_told_of_a_run_agrees_with_its_document() -> None:
    wanted = backtest()
    trial, _ = run_trial(told(wanted), 0)
    known = TrialProgress(question=question_of(wanted), trials=1, completed=1, best=trial)

    (report,) = finished_reports([wanted], {UID: known}, {UID: trial})

    document: Any = json.loads(json.dumps(trial.figures))
    (shown,) = document["bots"]
    assert (report.report, report.bot) == (f"backtest/default/test/{question_of(wanted)}", "default/test")
    assert report.location == f"backtest_result/{UID}/{question_of(wanted)}/0"
    assert (report.values["endEquity"], report.values["fees"], report.values["fills"]) == (
        shown["equity"],
        shown["fees"],
        shown["fills"],
    )
    assert Decimal(report.values["endEquity"]) - Decimal(report.values["hold"]) == trial.vs_hold
    assert report.to_us - report.from_us == document["data"]["bars"] * MINUTE_US


def test_a_backtest_that_is_not_done_has_no_report() -> None:
    wanted = backtest(**GRID)
    best = Trial(number=0)
    known = TrialProgress(question=question_of(wanted), trials=3, completed=2, best=best)

    assert finished_reports([wanted, fleets.bot("alpha")], {UID: known}, {UID: best}) == []
