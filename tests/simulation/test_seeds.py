"""Whole fleets under faults: one seed is one run."""

import os
from collections import Counter

from tests.simulation.faults import POINTS
from tests.simulation.world import World, scenario

SEEDS = int(os.environ.get("TRADEFLEET_SIMULATION_SEEDS", "200"))


def test_no_fault_loses_or_doubles_anything() -> None:
    fired: Counter[str] = Counter()
    failed: dict[int, str] = {}
    for seed in range(SEEDS):
        world = World(scenario(seed))
        try:
            world.play()
        except AssertionError as error:
            failed[seed] = str(error)
        fired.update(world.faults.fired)
    for point in POINTS:
        print(f"{fired[point]:8d}  {point}")
    assert not failed, f"{len(failed)} of {SEEDS} seeds failed: {failed}"
    silent = [point for point in POINTS if not fired[point]]
    assert not silent, f"these faults never fired: {silent}"
