"""`python -m tests.simulation SEED…` runs seeds again and shows the trace of one that fails.

`FIRST-LAST` stands for a range, `--mutant NAME` puts a deliberate bug in; the first seed that catches it is enough.
"""

import argparse
import sys

from tests.simulation.mutants import MUTANTS, breed, find_mutant

CAUGHT, SURVIVED = 0, 1


def main(arguments: list[str]) -> int:
    """Return 0 when no seed failed; with a mutant, when one did."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="+", help="a seed, or FIRST-LAST")
    parser.add_argument("--mutant", choices=[mutant.name for mutant in MUTANTS], metavar="NAME")
    options = parser.parse_args(arguments)
    seeds = [seed for text in options.seeds for seed in seed_range(text)]
    if options.mutant is None:
        return show(seeds)
    breed(find_mutant(options.mutant))
    return hunt(options.mutant, seeds)


def seed_range(text: str) -> range:
    """Return the seeds of `7` or `10-19`."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def show(seeds: list[int]) -> int:
    """Run seeds and print what came of them."""
    from tests.simulation.runner import run_seed, run_summary  # noqa: PLC0415 - after a mutant's hook

    outcomes = [run_seed(seed) for seed in seeds]
    for outcome in outcomes:
        if outcome.failure:
            print(f"seed {outcome.seed} failed: {outcome.failure}\n{outcome.trace}")
    print(run_summary(outcomes))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def hunt(name: str, seeds: list[int]) -> int:
    """Run seeds until one catches the mutant."""
    from tests.simulation.runner import run_seed  # noqa: PLC0415 - after a mutant's hook

    for count, seed in enumerate(seeds, start=1):
        outcome = run_seed(seed)
        if outcome.failure:
            print(f"caught by seed {seed} (number {count}): {outcome.failure[:160]}")
            return CAUGHT
    print(f"{name}: survived {len(seeds)} seeds")
    return SURVIVED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
