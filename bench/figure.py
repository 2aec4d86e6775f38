"""What all figures share: how one is told, and how two things are measured fairly beside each other."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

RESULTS_VARIABLE: Final = "TRADEFLEET_BENCH_RESULTS"  # names the file to which a figure appends what it found


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `ratio` is ours against the peer; `is_met` None where there is no goal, only a number to know."""

    name: str
    goal: str
    found: str
    is_met: bool | None
    numbers: tuple[str, ...] = ()


def is_quick() -> bool:
    """Return whether a look is enough: fewer rounds and shorter ones, to see that a figure runs."""
    return "--quick" in sys.argv[1:]


def tell(*results: Result) -> int:
    """Print the figures, and leave them for whoever runs all of them; return 1 when a goal is missed."""
    for result in results:
        verdict = "  MISSED" if result.is_met is False else ""
        print(f"{result.name}: {result.found} (goal: {result.goal}){verdict}", flush=True)
        for line in result.numbers:
            print(f"  {line}")
    path = os.environ.get(RESULTS_VARIABLE)
    if path:
        with Path(path).open("ab") as file:
            file.writelines(msgspec.json.encode(result) + b"\n" for result in results)
    return int(any(result.is_met is False for result in results))


def read_results(path: Path) -> list[Result]:
    """Return what a figure has told."""
    return [msgspec.json.decode(line, type=Result) for line in path.read_bytes().splitlines()]


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(rounds: int, works: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return what each work measured in every round, taken in turns: all see the same machine."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name, work in works.items():
            found[name].append(work())
            print(f"  round {number + 1} of {rounds}: {name} {found[name][-1]:,.4g}", file=sys.stderr, flush=True)
    return found


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float], form: str = ",.3g") -> str:
    """Return the median with the least and the greatest value, to be printed."""
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
