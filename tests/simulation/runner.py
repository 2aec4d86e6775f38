"""Running seeds: one after the other, what came of each, and how to see a failed one again."""

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.faults import POINTS
from tests.simulation.scenario import scenario
from tests.simulation.world import World

SHOWN = 10  # failed seeds


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
    checked: int = 0
    fills: int = 0
    quiet_ticks_max: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        """The fault points that never struck."""
        return [point for point in POINTS if not self.fired[point]]

    def text(self) -> str:
        """Return the summary as lines."""
        lines = [f"{self.fired[point]:9d}  {point}" for point in POINTS]
        lines.append(
            f"{self.seeds} seeds, {self.fills} fills, {self.checked} commits and sends checked, "
            f"after the last fault at most {self.quiet_ticks_max} ticks to the end"
        )
        lines += [f"{len(self.failed)} seeds failed"] if self.failed else []
        for seed, failure in list(self.failed.items())[:SHOWN]:
            lines.append(f"seed {seed} failed, see it again with `python -m tests.simulation {seed}`: {failure}")
        return "\n".join(lines)

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
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed found it
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


def run_summary(outcomes: Iterable[Outcome]) -> str:
    """Return what came of seeds, as text: how many, how much was checked, how often each fault struck."""
    summary = Summary()
    for outcome in outcomes:
        summary.add(outcome)
    return summary.text()
