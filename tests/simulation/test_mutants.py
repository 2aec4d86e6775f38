"""The simulation finds bugs: each of the deliberate ones is caught, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, Change, Mutant, changed

ROOT = Path(__file__).parents[2]
SEEDS = 600  # tried when those that are known do not catch it any more
TIMEOUT_S = 300


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_simulation_catches(mutant: Mutant) -> None:
    seeds = [*(str(seed) for seed in mutant.seeds), f"0-{SEEDS - 1}"]
    command = [sys.executable, "-m", "tests.simulation", "--mutant", mutant.name, *seeds]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    print(f"{mutant.name}: {found.stdout.strip()}")
    assert found.returncode == 0, f"{mutant.name}: {found.stdout}{found.stderr}"
    assert "caught by seed" in found.stdout


def test_snippet_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="occurs 0 times"):
        changed("a = 1\n", [Change("module", "b = 1", "b = 2")])


def test_snippet_that_is_there_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="occurs 2 times"):
        changed("a = 1\na = 1\n", [Change("module", "a = 1", "a = 2")])
