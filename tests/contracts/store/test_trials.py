"""Trials of Backtests: each is written once, by the one log-in that may, and goes when newer ones have come."""

from decimal import Decimal

import psycopg
import pytest

from tests.contracts.store.worlds import MemoryWorld, PostgresWorld, World
from tradefleet.domain.errors import Permanent
from tradefleet.domain.trials import Trial, TrialProgress, TrialRun
from tradefleet.store.components import Component
from tradefleet.store.ports.trials import TrialBooks

UID, OTHER = "uid-one", "uid-two"
QUESTION = "aaaa"


def run(world: World, *, uid: str = UID, question: str = QUESTION, trials: int = 3, **values) -> TrialRun:
    return TrialRun(
        uid=uid,
        question=question,
        backtest="default/one",
        generation=1,
        trials=trials,
        role=values.pop("role", world.trials_role()),
        inputs={"space": {"fast": [1, 2, 3]}},
        **values,
    )


def trial(number: int, score: str | None = "1", **values) -> Trial:
    return Trial(
        number=number,
        parameters={"fast": number, "kind": "a", "ratio": 0.5, "is_on": True},
        score=None if score is None else Decimal(score),
        vs_hold=None if score is None else Decimal(score),
        quote="USD",
        bot="default/one",
        dataset_hash="data",
        ledger_hash=f"ledger-{number}",
        started_us=1,
        finished_us=2,
        **{"figures": {"bots": [{"fills": number}]}, **values},
    )


def failed(number: int, error: str = "my_strategy.py:7 in on_bar: it broke") -> Trial:
    return Trial(number=number, parameters={"fast": number}, error=error)


def begun(world: World, **values) -> TrialBooks:
    books = world.books_of_trials()
    books.begin(run(world, **values))
    return books


def test_a_trial_is_written_once_whoever_repeats_it(world: World) -> None:
    books = begun(world)
    store = world.trials()

    assert store.add(UID, QUESTION, trial(1, "12.500000000000000001"))
    assert not world.trials().add(UID, QUESTION, trial(1, "99"))

    assert store.done(UID, QUESTION, first=0, last=2) == {1}
    assert store.done(UID, QUESTION, first=2, last=2) == frozenset()
    assert books.trial(UID, QUESTION, 1) == trial(1, "12.500000000000000001")
    assert books.trial(UID, QUESTION, 2) is None


def test_a_report_is_read_when_it_is_asked_for_and_not_before(world: World) -> None:
    books = begun(world)
    page = bytes(range(256))
    world.trials().add(UID, QUESTION, trial(0, report=page))

    assert books.report(UID, QUESTION) == page
    assert books.report(UID, "another") == b""
    assert books.trial(UID, QUESTION, 0) == trial(0)
    assert list(books.ranking(UID, QUESTION, limit=9)) == [trial(0)]


def test_progress_names_the_best_trial_and_the_first_failure(world: World) -> None:
    books = begun(world, trials=5)
    store = world.trials()
    for each in (trial(3, "-2"), failed(4), trial(1, "7.25"), trial(0, None), failed(2)):
        store.add(UID, QUESTION, each)

    (found,) = books.progress({UID: QUESTION}).values()

    assert (found.completed, found.failed, found.trials, found.is_done) == (3, 2, 5, True)
    assert found.best == trial(1, "7.25", figures={})
    assert found.failure == failed(2)
    assert [each.number for each in books.ranking(UID, QUESTION, limit=9)] == [1, 3, 0, 2, 4]
    assert [each.number for each in books.ranking(UID, QUESTION, limit=2)] == [1, 3]


def test_of_equals_the_first_is_the_best(world: World) -> None:
    books = begun(world)
    for number in (2, 1, 0):
        world.trials().add(UID, QUESTION, trial(number, "1"))

    best = books.progress({UID: QUESTION})[UID].best

    assert best is not None
    assert best.number == 0


def test_what_was_not_asked_has_no_progress(world: World) -> None:
    books = begun(world)

    assert books.progress({}) == {}
    assert books.progress({UID: QUESTION, OTHER: QUESTION}) == {UID: TrialProgress(question=QUESTION, trials=3)}
    assert books.progress({UID: "another"}) == {}
    assert world.neighbour().books_of_trials().progress({UID: QUESTION}) == {}


def test_missing_trials_are_named(world: World) -> None:
    books = begun(world)
    world.trials().add(UID, QUESTION, trial(1))

    assert books.missing(UID, QUESTION, limit=9) == [0, 2]
    assert books.missing(UID, QUESTION, limit=1) == [0]


def test_failures_are_taken_back_and_results_are_not(world: World) -> None:
    books = begun(world)
    world.trials().add(UID, QUESTION, trial(0))
    world.trials().add(UID, QUESTION, failed(1))

    assert books.clear_failures(UID, QUESTION) == 1

    assert books.missing(UID, QUESTION, limit=9) == [1, 2]
    assert world.trials().add(UID, QUESTION, trial(1))


def test_what_is_asked_again_keeps_its_trials(world: World) -> None:
    books = begun(world)
    world.trials().add(UID, QUESTION, trial(0))

    books.begin(run(world))

    assert books.missing(UID, QUESTION, limit=9) == [1, 2]
    (kept,) = books.runs(UID)
    assert (kept.run, kept.kept) == (run(world), 1)


def test_earlier_questions_keep_their_trials_up_to_a_limit(world: World) -> None:
    books = world.books_of_trials()
    for question in ("a", "b", "c", "a"):
        if isinstance(world, MemoryWorld):  # a database's clock goes on by itself
            world.now_us += 1
        books.begin(run(world, question=question))
        for number in range(3):
            world.trials().add(UID, question, trial(number))

    retention = world.retention()
    assert [each.run.question for each in books.runs(UID)] == ["a", "c", "b"]
    assert retention.forget_trials({UID: ("b", 2)}, gone_us=0, limit=9) == 0
    assert retention.forget_trials({UID: ("b", 1)}, gone_us=0, limit=2) == 2
    assert retention.forget_trials({UID: ("b", 1)}, gone_us=0, limit=2) == 1
    assert [(each.run.question, each.kept, each.run.trials) for each in books.runs(UID)] == [
        ("a", 3, 3),
        ("c", 0, 3),
        ("b", 3, 3),
    ]


def test_trials_of_a_deleted_backtest_go_after_a_while_and_that_there_were_some_is_kept(world: World) -> None:
    books = begun(world)
    begun(world, uid=OTHER)
    for uid in (UID, OTHER):
        world.trials().add(uid, QUESTION, trial(0))

    kept = {OTHER: (QUESTION, 0)}
    assert world.retention().forget_trials(kept, gone_us=3_600_000_000, limit=9) == 0
    assert world.retention().forget_trials(kept, gone_us=0, limit=9) == 1

    assert [each.kept for each in (*books.runs(UID), *books.runs(OTHER))] == [0, 1]


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_backtest_adds_results_to_its_own_run_alone(postgres_world: PostgresWorld) -> None:
    begun(postgres_world)
    begun(postgres_world, uid=OTHER, role="somebody_else")
    store = postgres_world.trials()

    assert store.add(UID, QUESTION, trial(0))
    for uid, question in ((OTHER, QUESTION), (UID, "another")):
        with pytest.raises(Permanent, match="row-level security"):
            store.add(uid, question, trial(0))
    assert store.done(OTHER, QUESTION, first=0, last=9) == frozenset()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tradefleet.backtest_result SET score = 99",
        "DELETE FROM tradefleet.backtest_result",
        "UPDATE tradefleet.backtest_run SET db_role = session_user",
        "INSERT INTO tradefleet.backtest_run SELECT * FROM tradefleet.backtest_run",
        *(
            f"SELECT FROM tradefleet.{table}"
            for table in (
                "bot",
                "bot_command",
                "trade_order",
                "fill",
                "posting",
                "gateway_blob",
                "outbox",
                "statistics",
            )
        ),
    ],
)
def test_a_backtest_changes_no_result_and_reads_no_trading_table(postgres_world: PostgresWorld, statement: str) -> None:
    begun(postgres_world)
    session = postgres_world.as_component(Component.BACKTEST)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.connection.execute(statement)


def test_a_backtest_sees_its_own_run_alone(postgres_world: PostgresWorld) -> None:
    begun(postgres_world)
    begun(postgres_world, uid=OTHER, role="somebody_else")
    session = postgres_world.as_component(Component.BACKTEST)

    assert session.connection.execute("SELECT uid FROM tradefleet.backtest_run").fetchall() == [(UID,)]
