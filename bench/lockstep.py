"""Lockstep: steps a second of eight bots as real processes, and the backtest's ledger under three hundred SIGKILLs.

Steps a second are measured for the fleet of `examples/quickstart`, whose strategies trade now and then, and for the
fleet of the parity test, whose grid, maker and random client make some five times as many turns; with the processor
time that each kind of process used. The kills go on over several days of candles; the figure fails when the ledger is
not the backtest's, or the audit finds anything.

Run alone: python -m bench.lockstep [--quick]
"""

import tempfile
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import psycopg

from bench.figure import Result, is_quick, tell
from bench.machine import cpu_s
from tests.integration.lockstep.fleet import BROKER, SUPERVISOR
from tests.integration.lockstep.kills import TARGETS, Killer
from tests.integration.lockstep.reference import HERE, write_resources
from tests.integration.lockstep.run import Run, running

ROOT: Final = HERE.parents[2]
WARM_MINUTES: Final = 60  # before these, processes start and caches fill
SPEED_MINUTES: Final = 1_440
KILLS: Final = 300
KILL_MINUTES: Final = 4 * 1_440
SEED: Final = 7
POLL_S: Final = 0.05

_SESSIONS: Final = "SELECT pid, coalesce(nullif(application_name, ''), backend_type) FROM pg_stat_activity"


def processor_s(run: Run) -> Counter[str]:
    """Return the processor time that each kind of process has used so far; a database session counts as its own."""
    found: Counter[str] = Counter()
    for name in [BROKER, SUPERVISOR, *run.fleet.names("")]:
        pid = run.fleet.pid(name)
        if pid is not None:
            found[name.partition("-")[0]] += cpu_s(pid)
    with psycopg.connect(run.fleet.dsn) as connection:
        for pid, name in connection.execute(_SESSIONS).fetchall():
            found[f"database: {name.partition('-')[0]}"] += cpu_s(pid)
    return found


def speed(name: str, source: Path, minutes: int) -> Result:
    """Return the steps a second of the fleet in a folder that is left alone, over the minutes after the warm-up."""
    with (
        tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as folder,
        running(Path(folder), write_resources(Path(folder), bars=minutes, source=source)) as run,
    ):
        while run.watch.minutes < WARM_MINUTES:
            time.sleep(POLL_S)
        before, first, began_s = processor_s(run), run.watch.minutes, time.monotonic()
        while run.watch.minutes < minutes and not run.watch.is_finished:
            time.sleep(POLL_S)
        steps, seconds = run.watch.minutes - first, time.monotonic() - began_s
        used = processor_s(run)
        used.subtract(before)
        run.come_to_the_end()
        wrong = run.differences()
    rate = steps / seconds
    lines = [f"{kind:24s} {used_s * 1_000 / steps:6.2f} ms of processor a step" for kind, used_s in used.most_common(9)]
    lines.append(f"ledger {'differs: ' + wrong if wrong else 'equal to the backtest’s'}, {run.reference.fills} fills")
    return Result(
        name=f"lockstep, 8 bots, {name}",
        goal="to know; the ledger equals the backtest's",
        found=f"{rate:.1f} steps/s, {sum(used.values()) * 1_000 / steps:.1f} ms of processor a step",
        is_met=not wrong,
        numbers=tuple(lines),
    )


def kills(count: int, minutes: int) -> Result:
    """Return whether a run with so many kills gave the ledger of the backtest."""
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as name:
        folder = Path(name)
        with running(folder, write_resources(folder, bars=minutes)) as run:
            began_s = time.monotonic()
            targets = list(islice(cycle(TARGETS[::2] + TARGETS[1::2]), count))  # so that a few strike nearly every kind
            killer = Killer(run, seed=SEED, minutes=minutes, targets=targets)
            killer.strike_all()
            run.come_to_the_end()
            seconds = time.monotonic() - began_s
            wrong, found = run.differences(), run.audit()
    in_flight = sum(hit.in_flight for hit in killer.hits)
    kinds = Counter(hit.target.kind for hit in killer.hits)
    return Result(
        name=f"lockstep under {count} kills",
        goal="the backtest's ledger, a clean audit",
        found=f"{len(killer.hits)} kills, {in_flight} in flight, ledger {'differs' if wrong else 'equal'}, "
        f"{len(found.findings)} audit findings",
        is_met=not wrong and not found.findings,
        numbers=(
            f"{minutes} minutes of market, {run.reference.fills} fills, in {seconds:.0f} s",
            ", ".join(f"{kind} {number}" for kind, number in kinds.most_common()),
            *([wrong] if wrong else []),
            *map(str, found.findings[:5]),
        ),
    )


def main() -> int:
    """Measure and tell."""
    quick = is_quick()
    minutes = 200 if quick else SPEED_MINUTES
    quiet = speed("quickstart", ROOT / "examples" / "quickstart", minutes)
    busy = speed("busy", HERE, minutes)
    under_kills = kills(20, 400) if quick else kills(KILLS, KILL_MINUTES)
    return tell(quiet, busy, under_kills)


if __name__ == "__main__":
    raise SystemExit(main())
