"""One seed is one run: whatever a seed finds can be looked at again."""

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.runner import run_seed

ROOT = Path(__file__).parents[2]


def test_seed_gives_the_same_run_again() -> None:
    for seed in range(6):
        assert run_seed(seed) == run_seed(seed)


def test_seed_does_not_depend_on_the_hashes_of_strings() -> None:
    said = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.simulation", "0-7"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1, "two processes ran other things under the same seeds"
