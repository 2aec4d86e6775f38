"""A lockstep run of the fleet from its start to its end, and what must be true of it then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.integration.lockstep.fleet import Fleet
from tests.integration.lockstep.reference import Reference, backtest
from tests.integration.lockstep.watch import Watch
from tradefleet.store.audit import Audit, audit

STALL_S = 120.0  # without one step more, on a machine that others use too
PATIENCE_S = 60.0
POLL_S = 0.05
LINES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Run:
    """A fleet that runs, somebody who watches it, and what the backtest gave."""

    fleet: Fleet
    watch: Watch
    reference: Reference

    def come_to_the_end(self) -> None:
        """Return when the last step has ended. Raises AssertionError when nothing moves any more."""
        minutes, moved_s = self.watch.minutes, time.monotonic()
        while not self.watch.is_finished:
            if self.watch.minutes != minutes:
                minutes, moved_s = self.watch.minutes, time.monotonic()
            if time.monotonic() - moved_s > STALL_S:
                logs = self.fleet.log_tails()
                raise AssertionError(f"nothing moves at minute {minutes}: {self.watch.flight()}\n{logs}")
            time.sleep(POLL_S)

    def differences(self) -> str:
        """Return how the ledger differs from the backtest's, empty when it does not."""
        found = self.watch.ledger()
        if self.watch.ledger_hash() == self.reference.digest:
            return ""
        only_here = sorted(set(found) - set(self.reference.lines))[:LINES_SHOWN]
        only_there = sorted(set(self.reference.lines) - set(found))[:LINES_SHOWN]
        return f"{len(found)} lines; only in the fleet: {only_here}, only in the backtest: {only_there}"

    def audit(self) -> Audit:
        """Return what the audit finds in the fleet's rows."""
        with psycopg.connect(self.fleet.dsn, autocommit=True) as connection:
            return audit(connection, self.fleet.name)


@contextmanager
def running(folder: Path, resources: Path) -> Iterator[Run]:
    """Start the fleet of a file or folder of resources in a data folder of its own, and stop it in the end."""
    reference = backtest(resources)
    with Fleet(folder, resources) as fleet:
        watch = Watch(fleet.dsn, fleet.name, fleet.run, patience_s=PATIENCE_S)
        try:
            yield Run(fleet, watch, reference)
        finally:
            watch.close()
