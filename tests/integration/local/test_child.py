"""A real child under the contract of processes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from governor.local.processes import Child, Command, spawn

from tests.contracts.local.process_contract import PATIENCE_S, ProcessContract, Subject

# A shell, since it starts at once. `trap` with an empty action makes it, and what it starts, deaf to the signal.
OBEYS = "touch ready; until [ -s status ]; do sleep 0.01; done; exit $(cat status)"
IS_DEAF = f"trap '' TERM; {OBEYS}"


def start(folder: Path, script: str) -> Child:
    command = Command(name="child", arguments=("/bin/sh", "-c", script), folder=folder, log=folder / "log")
    child = spawn(command, folder)
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / "ready").exists():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.01)
    return child


def end_with(folder: Path, status: int) -> None:
    temporary = folder / "status.new"
    temporary.write_text(f"{status}\n", encoding="ascii")
    temporary.replace(folder / "status")


class TestChild(ProcessContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[Subject]:
        child = start(tmp_path, OBEYS)
        yield Subject(child, lambda status: end_with(tmp_path, status))
        child.kill()

    @pytest.fixture
    def stubborn(self, tmp_path: Path) -> Iterator[Subject]:
        child = start(tmp_path, IS_DEAF)
        yield Subject(child, lambda status: end_with(tmp_path, status))
        child.kill()
