"""Trials of Backtests in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.trials import Trial, TrialProgress, TrialRun
from tradefleet.store.ports.trials import KeptRun


class MemoryTrials(MemoryHandle):
    """Implements `TrialStore`, `TrialBooks` and a part of `RetentionStore`. Who may write is not asked here."""

    def done(self, uid: str, question: str, *, first: int, last: int) -> frozenset[int]:
        return frozenset(number for number in self._trials(uid, question) if first <= number <= last)

    def add(self, uid: str, question: str, trial: Trial) -> bool:
        rows = self._trials(uid, question)
        if trial.number in rows:
            return False
        rows[trial.number] = replace(trial, figures=json.loads(json.dumps(dict(trial.figures))))
        return True

    def begin(self, run: TrialRun) -> None:
        first, _ = self._rows.trial_runs.get((run.uid, run.question), (run, 0))
        kept = replace(first, role=run.role, generation=run.generation)
        self._rows.trial_runs[run.uid, run.question] = (kept, self._database.clock_us())

    def progress(self, asked: Mapping[str, str]) -> dict[str, TrialProgress]:
        found = {}
        for uid, question in asked.items():
            run, _ = self._rows.trial_runs.get((uid, question), (None, 0))
            if run is None:
                continue
            rows = [replace(each, figures={}, report=b"") for _, each in sorted(self._trials(uid, question).items())]
            completed = sorted((each for each in rows if not each.error), key=_rank)
            failed = [each for each in rows if each.error]
            found[uid] = TrialProgress(
                question=question,
                trials=run.trials,
                completed=len(completed),
                failed=len(failed),
                best=completed[0] if completed else None,
                failure=failed[0] if failed else None,
            )
        return found

    def missing(self, uid: str, question: str, *, limit: int) -> list[int]:
        run, _ = self._rows.trial_runs[uid, question]
        return [number for number in range(run.trials) if number not in self._trials(uid, question)][:limit]

    def clear_failures(self, uid: str, question: str) -> int:
        rows = self._trials(uid, question)
        failed = [number for number, each in rows.items() if each.error]
        for number in failed:
            del rows[number]
        return len(failed)

    def trial(self, uid: str, question: str, number: int) -> Trial | None:
        found = self._trials(uid, question).get(number)
        return None if found is None else replace(found, report=b"")

    def report(self, uid: str, question: str) -> bytes:
        found = self._trials(uid, question).get(0)
        return b"" if found is None else found.report

    def ranking(self, uid: str, question: str, *, limit: int) -> Sequence[Trial]:
        ranked = sorted(self._trials(uid, question).values(), key=_rank)
        return [replace(each, report=b"") for each in ranked[:limit]]

    def runs(self, uid: str) -> Sequence[KeptRun]:
        found = [(run, at) for (owner, _), (run, at) in self._rows.trial_runs.items() if owner == uid]
        return [
            KeptRun(run=run, asked_us=at, kept=len(self._trials(uid, run.question)))
            for run, at in sorted(found, key=lambda each: (-each[1], each[0].question))
        ]

    def forget_trials(self, kept: Mapping[str, tuple[str, int]], *, gone_us: int, limit: int) -> int:
        deleted = 0
        for uid in {uid for uid, _ in self._rows.trial_runs}:
            present, number = kept.get(uid, ("", 0))
            runs = sorted(self.runs(uid), key=lambda each: each.run.question != present)
            for place, each in enumerate(runs):
                is_old = each.asked_us <= self._database.clock_us() - gone_us
                if place > number if uid in kept else is_old:
                    rows = self._trials(uid, each.run.question)
                    for trial in list(rows)[: limit - deleted]:
                        del rows[trial]
                        deleted += 1
        return deleted

    def _trials(self, uid: str, question: str) -> dict[int, Trial]:
        return self._rows.trials.setdefault((uid, question), {})


def _rank(trial: Trial) -> tuple[bool, bool, Decimal, int]:
    score = Decimal(0) if trial.score is None else -trial.score
    return bool(trial.error), trial.score is None, score, trial.number
