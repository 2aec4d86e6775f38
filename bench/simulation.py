"""Many seeds of the simulation on all cores: seeds a second, how often each fault struck, which bugs are found.

    python -m bench.simulation [--seeds 10000] [--first 1000000] [--no-mutants] [--quick]

The seeds are others than those of the tests. Afterwards every deliberate bug gets seeds until one catches it. The exit
status is 1 when a seed failed, a fault never struck or a bug survived.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Final

from bench.figure import Result, is_quick, tell
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.runner import Outcome, Summary, run_seed

SEEDS: Final = 10_000
FIRST: Final = 1_000_000
BATCH: Final = 25  # seeds a process runs before it reports
MUTANT_SEEDS: Final = 3_000
TELL_EVERY_S: Final = 5.0
QUICK_SEEDS: Final = 200


def run_batch(seeds: Sequence[int]) -> list[Outcome]:
    """Return what comes of some seeds."""
    return [run_seed(seed) for seed in seeds]


def batches(first: int, count: int) -> Iterator[range]:
    """Yield the seeds from `first` on in batches."""
    for start in range(first, first + count, BATCH):
        yield range(start, min(start + BATCH, first + count))


def run_all(first: int, count: int) -> tuple[Summary, float]:
    """Run seeds on all cores, with progress; return what came of them and the seconds it took."""
    summary, began = Summary(), time.perf_counter()
    told = began
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for outcomes in pool.map(run_batch, batches(first, count)):
            for outcome in outcomes:
                summary.add(outcome)
                if outcome.failure:
                    print(f"seed {outcome.seed} failed: {outcome.failure}", file=sys.stderr, flush=True)
            now = time.perf_counter()
            if now - told >= TELL_EVERY_S:
                told = now
                speed = summary.seeds / (now - began)
                failed = len(summary.failed)
                print(f"{summary.seeds} of {count} seeds, {speed:.1f}/s, {failed} failed", file=sys.stderr, flush=True)
    return summary, time.perf_counter() - began


def hunt(mutant: Mutant) -> tuple[str, bool]:
    """Return how a bug fared with seeds it has not been tuned to, and whether it was caught."""
    seeds = f"{FIRST}-{FIRST + MUTANT_SEEDS - 1}"
    command = [sys.executable, "-m", "tests.simulation", "--mutant", mutant.name, seeds]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (found.stdout.strip() or found.stderr.strip()).splitlines()
    return f"{mutant.name}: {said[-1] if said else 'nothing said'}", found.returncode == 0


def hunt_all() -> Result:
    """Let the simulation look for every bug."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fates = list(pool.map(hunt, MUTANTS))
    caught = sum(is_caught for _, is_caught in fates)
    return Result(
        name="deliberate bugs caught by the simulation",
        goal=f"all, within {MUTANT_SEEDS:,} seeds each",
        found=f"{caught} of {len(MUTANTS)}",
        is_met=caught == len(MUTANTS),
        numbers=tuple(line for line, _ in fates),
    )


def main() -> int:
    """Run, tell, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=QUICK_SEEDS if is_quick() else SEEDS)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--no-mutants", action="store_true", help="only the seeds")
    parser.add_argument("--quick", action="store_true", help="a look: few seeds, no mutants")
    options = parser.parse_args()
    summary, seconds = run_all(options.first, options.seeds)
    results = [
        Result(
            name="simulated fleets under faults",
            goal="no seed fails, no fault point stays silent",
            found=f"{summary.seeds:,} seeds, {summary.seeds / seconds:.1f}/s on {os.cpu_count()} cores, "
            f"{len(summary.failed)} failed, {len(summary.silent)} points silent",
            is_met=not summary.failed and not summary.silent,
            numbers=tuple(summary.text().splitlines()),
        )
    ]
    if not (options.no_mutants or options.quick):
        results.append(hunt_all())
    return tell(*results)


if __name__ == "__main__":
    sys.exit(main())
