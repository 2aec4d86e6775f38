"""Lockstep runs in memory."""

import json
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence

from tests.fakes.memory_database import (
    ProgressPlace,
)
from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.errors import (
    NonDeterministic,
    Permanent,
)
from tradefleet.domain.progress import Participant, Progress
from tradefleet.store.ports import (
    RunId,
    woken_by,
)


def place_of(progress: Progress) -> ProgressPlace:
    """Return where a row stands in the order of steps."""
    return (progress.market_us, progress.round, progress.phase, progress.participant)


class MemoryRuns(MemoryHandle):
    """Implements `RunStore`."""

    def create_run(
        self, run: RunId, feed: str, participants: Sequence[Participant], terms: Mapping[str, object]
    ) -> None:
        def check() -> Callable[[], None]:
            row = self._rows.runs[run]
            wanted = frozenset(participants)
            if row.feed is not None and (row.feed, row.participants) != (feed, wanted):
                raise Permanent(
                    f"run {run}: feed and participants are fixed already, as {row.feed}, {row.participants}"
                )

            def write() -> None:
                if row.feed is None:
                    row.terms = json.loads(json.dumps(dict(terms)))
                row.feed, row.participants = feed, wanted

            return write

        self._commit(check)

    def participants(self, run: RunId) -> frozenset[Participant]:
        return self._rows.runs[run].participants

    def terms_of_runs(self) -> dict[str, dict[str, object]]:
        return {run: row.terms for run, row in self._rows.runs.items() if row.feed is not None}

    def progress_from(
        self, run: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        row = self._rows.runs[run]
        start = bisect_left(row.places, (market_us, round_no, phase, Participant("")))
        places = row.places[start : start + limit]
        return [row.rows[place] for place in places if until_us is None or place[0] <= until_us]

    def wait_progress(self, run: RunId, roles: Collection[str], *, timeout_us: int) -> bool:
        """Return at once, since logical time stands still while a process waits: there is a hint, or there is none."""
        hints = self._rows.runs[run].hints
        fresh = [role for role in roles if self._hints.get((run, role)) != hints[role]]
        self._hints.update({(run, role): hints[role] for role in fresh})
        return bool(fresh)

    def _check_progress(self, run: RunId | None, progress: Progress | None) -> None:
        """Raise NonDeterministic when the row is there with other content."""
        if run is None or progress is None:
            return
        known = self._rows.runs[run].rows.get(place_of(progress))
        if known is not None and known != progress:
            raise NonDeterministic(f"run {run}: {progress.participant} wrote {known} before, now {progress}")

    def _write_progress(self, run: RunId | None, progress: Progress | None, turn_size: int = 1) -> None:
        if run is None or progress is None:
            return
        row = self._rows.runs[run]
        place = place_of(progress)
        if place not in row.rows:
            row.rows[place] = progress
            insort(row.places, place)
        start = bisect_left(row.places, (*place[:3], Participant("")))
        end = bisect_left(row.places, (*place[:2], place[2] + 1, Participant("")))
        if end - start >= turn_size:
            for role in woken_by(progress):
                row.hints[role] += 1
