"""Following a lockstep run: reading its progress rows as far as they matter now."""

from collections.abc import Collection
from typing import Protocol

from tradefleet.domain.progress import Progress
from tradefleet.store.ports import RunId, RunStore

ROWS = 512  # progress rows read at a time


class View(Protocol):
    """A run as its rows tell it; `workloads.backtest.lockstep.RunView` is the one there is."""

    @property
    def place(self) -> tuple[int, int, int]:
        """The key (market_us, round, phase) from which rows are of interest."""

    @property
    def until_us(self) -> int | None:
        """The market time up to which they are; None for all."""

    def offer(self, rows: list[Progress]) -> None:
        """Take rows."""


class RunFollower:
    """Keeps a view up to date. `roles` names whose hints to wait for (see `store.ports.woken_by`)."""

    def __init__(self, store: RunStore, run: RunId, roles: Collection[str], view: View) -> None:
        self._store = store
        self._run = run
        self._roles = tuple(roles)
        self._view = view

    def refresh(self) -> None:
        """Read the rows from the view's place on.

        A page that is full and leads nowhere holds a part of a turn of very many, or steps whose bars are declared
        behind it: then a larger one is read.
        """
        limit = ROWS
        while True:
            place = self._view.place
            market_us, round_no, phase = place
            until_us = self._view.until_us
            rows = self._store.progress_from(
                self._run,
                market_us=market_us,
                round_no=round_no,
                phase=phase,
                until_us=until_us,
                limit=limit,
            )
            self._view.offer(rows)
            reached_us = self._view.place[0]
            if len(rows) < limit and (until_us is None or reached_us <= until_us):
                return  # all that was written has been read, or there is nothing beyond
            limit = ROWS if self._view.place != place else 2 * limit

    def wait(self, timeout_us: int) -> None:
        """Wait for a hint that a turn has ended, or for the timeout, and read what was written.

        Nothing is missed between two calls: who has read all rows is woken by the first that concerns him.
        """
        self._store.wait_progress(self._run, self._roles, timeout_us=timeout_us)
        self.refresh()
