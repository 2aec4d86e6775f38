"""Whole fleets under faults: one seed is one run."""

import os
from pathlib import Path

from tests.simulation.runner import Summary, run_seed
from tests.simulation.scenario import Scenario
from tests.simulation.world import World

SEEDS = int(os.environ.get("TRADEFLEET_SIMULATION_SEEDS", "250"))
KEPT = Path(__file__).with_name("kept_seeds.txt")


def kept_seeds() -> list[int]:
    """Return the seeds that have found something, from the file that says what."""
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    return [int(line.partition(" ")[0]) for line in lines if line and not line.startswith("#")]


def test_seeds_that_found_something_stay_green() -> None:
    outcomes = [run_seed(seed) for seed in kept_seeds()]
    failed = {outcome.seed: outcome.failure for outcome in outcomes if outcome.failure}
    assert not failed, f"see one again with `python -m tests.simulation SEED`: {failed}"


def test_no_fault_loses_or_doubles_anything() -> None:
    summary = Summary()
    for seed in range(SEEDS):
        summary.add(run_seed(seed))
    print(summary.text())
    assert not summary.failed, summary.text()
    assert not summary.silent, f"these faults never struck, so nothing was learned about them: {summary.silent}"
    assert summary.fills > SEEDS, f"{summary.fills} fills in {SEEDS} seeds: the bots hardly trade"


def test_a_turn_of_more_requests_than_are_read_at_a_time_is_that_of_the_backtest() -> None:
    burst = Scenario(
        seed=3,
        lockstep=True,
        meddles=False,
        keeps_numbers=True,
        bars=6,
        bots=1,
        rate=0.0,
        fault_ticks=0,
        strategies=(("tests.simulation.strategies:Burst", {}),),
    )
    World(burst).play()  # compares the ledger at its end
