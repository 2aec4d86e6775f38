"""Running seeds: one after the other, what came of each, and how to see a failed one again."""

import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.scenario import scenario
from tests.simulation.world import World


@dataclass(slots=True)
class Outcome:
    """What came of a seed. `failure` is empty when every invariant held."""

    seed: int
    failure: str
    fired: Counter[str]
    ticks: int
    quiet_ticks: int
    checked: int
    fills: int
    trace: str = ""


@dataclass(slots=True)
class Summary:
    """What came of many seeds."""

    seeds: int = 0
    seconds: float = 0.0
    checked: int = 0
    fills: int = 0
    quiet_ticks_max: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one seed in."""
        self.seeds += 1
        self.checked += outcome.checked
        self.fills += outcome.fills
        self.quiet_ticks_max = max(self.quiet_ticks_max, outcome.quiet_ticks)
        self.fired.update(outcome.fired)
        if outcome.failure:
            self.failed[outcome.seed] = outcome.failure


def run_seed(seed: int) -> Outcome:
    """Return what comes of one seed. An error of any kind is a failure: a worker may raise only what its loop knows."""
    world = World(scenario(seed))
    failure, trace = "", ""
    try:
        world.play()
    except Exception as error:
        failure, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
    return Outcome(
        seed=seed,
        failure=failure,
        fired=world.faults.fired,
        ticks=world.ticks,
        quiet_ticks=world.quiet_ticks,
        checked=world.invariants.checked,
        fills=len(world.database.fleets["fleet"].fills),
        trace=trace,
    )


def run_seeds(seeds: Iterable[int]) -> Summary:
    """Return what comes of `seeds`."""
    summary = Summary()
    began = time.perf_counter()
    for seed in seeds:
        summary.add(run_seed(seed))
    summary.seconds = time.perf_counter() - began
    return summary
