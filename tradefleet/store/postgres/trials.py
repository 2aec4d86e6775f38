"""Trials of Backtests in Postgres."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tradefleet.domain.trials import Trial, TrialProgress, TrialRun
from tradefleet.store.ports.trials import KeptRun
from tradefleet.store.postgres import trial_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.session import Session


class PostgresTrials:
    """Implements `TrialStore` for a log-in of a Backtest, and `TrialBooks` for a supervisor's or a reader's."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def done(self, uid: str, question: str, *, first: int, last: int) -> frozenset[int]:
        """Return which trials from `first` to `last` have a result, or an error."""
        return frozenset(
            number for (number,) in self._read(trial_sql.DONE, uid=uid, question=question, first=first, last=last)
        )

    def add(self, uid: str, question: str, trial: Trial) -> bool:
        """Write what came of a trial; False, and nothing is written, when that is there already."""
        written = self._commit(
            trial_sql.ADD,
            uid=uid,
            question=question,
            trial=trial.number,
            parameters=to_json(trial.parameters),
            score=trial.score,
            vs_hold=trial.vs_hold,
            quote=trial.quote,
            bot=trial.bot,
            error=trial.error,
            dataset_hash=trial.dataset_hash,
            ledger_hash=trial.ledger_hash,
            is_synthetic=trial.is_synthetic,
            started_us=trial.started_us,
            finished_us=trial.finished_us,
            figures=to_json(trial.figures),
            report=trial.report,
        )
        return bool(written)

    def begin(self, run: TrialRun) -> None:
        """Make a run, or ask it again: its log-in may add results from now on. Its trials stay as they are."""
        self._commit(
            trial_sql.BEGIN,
            uid=run.uid,
            question=run.question,
            backtest=run.backtest,
            generation=run.generation,
            trials=run.trials,
            db_role=run.role,
            inputs=to_json(run.inputs),
        )

    def progress(self, asked: Mapping[str, str]) -> dict[str, TrialProgress]:
        """Return how far the runs are, by UID; `asked` are questions by UID. One that was never begun is missing."""
        if not asked:
            return {}
        rows = self._read(trial_sql.PROGRESS, uids=list(asked), questions=list(asked.values()))
        return {
            uid: TrialProgress(
                question=question,
                trials=trials,
                completed=completed,
                failed=failed,
                best=_shown(best),
                failure=_shown(failure),
            )
            for uid, question, trials, completed, failed, best, failure in rows
        }

    def missing(self, uid: str, question: str, *, limit: int) -> list[int]:
        """Return the first trials without a row, at most `limit`."""
        rows = self._read(trial_sql.MISSING, uid=uid, question=question, limit=limit)
        return [number for (number,) in rows]

    def clear_failures(self, uid: str, question: str) -> int:
        """Take back the errors of a run, so that these trials are tried again; return how many there were."""
        return len(self._commit(trial_sql.CLEAR_FAILURES, uid=uid, question=question))

    def trial(self, uid: str, question: str, number: int) -> Trial | None:
        """Return one trial with its figures."""
        rows = self._read(trial_sql.TRIAL, uid=uid, question=question, trial=number)
        return _trial(rows[0]) if rows else None

    def report(self, uid: str, question: str) -> bytes:
        """Return the packed report of a run that is no part of a search; empty when there is none."""
        rows = self._read(trial_sql.REPORT, uid=uid, question=question)
        return bytes(rows[0][0]) if rows else b""

    def ranking(self, uid: str, question: str, *, limit: int) -> Sequence[Trial]:
        """Return trials with their figures, the best first, those that failed at the end."""
        return [_trial(row) for row in self._read(trial_sql.RANKING, uid=uid, question=question, limit=limit)]

    def runs(self, uid: str) -> Sequence[KeptRun]:
        """Return the runs of a Backtest, the one that was asked last first."""
        return [
            KeptRun(
                run=TrialRun(
                    uid=uid,
                    question=question,
                    backtest=backtest,
                    generation=generation,
                    trials=trials,
                    role=role,
                    inputs=inputs,
                ),
                asked_us=asked_us,
                kept=kept,
            )
            for question, backtest, generation, trials, role, asked_us, inputs, kept in self._read(
                trial_sql.RUNS, uid=uid
            )
        ]

    def _read(self, query: str, **parameters: Any) -> list[Any]:  # noqa: ANN401 - parameters of any query
        return self._session.read(query, {"fleet": self._session.fleet, **parameters})

    def _commit(self, query: str, **parameters: Any) -> list[Any]:  # noqa: ANN401 - parameters of any query
        return self._session.commit(query, {"fleet": self._session.fleet, **parameters})


def _trial(row: Sequence[Any]) -> Trial:
    """Return a row of the table."""
    number, parameters, score, vs_hold, quote, bot, error, data, ledger, is_synthetic, started, finished, figures = row
    return Trial(
        number=number,
        parameters=parameters,
        score=score,
        vs_hold=vs_hold,
        quote=quote,
        bot=bot,
        error=error,
        dataset_hash=data,
        ledger_hash=ledger,
        is_synthetic=is_synthetic,
        started_us=started,
        finished_us=finished,
        figures=figures,
    )


def _shown(found: dict[str, Any] | None) -> Trial | None:
    """Return a row as JSON, without its figures."""
    if found is None:
        return None
    number = found.pop("trial")
    for name in ("score", "vs_hold"):
        found[name] = None if found[name] is None else Decimal(found[name])
    return Trial(number=number, **found)
