"""A job's process reads its settings and writes what it found: whole, or not at all."""

import json
import sys
from pathlib import Path

import pytest
from governor.job_process import run_job

from tradefleet.domain.errors import Permanent


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments of a job's process; returns where its output goes."""
    (tmp_path / "settings.json").write_text('{"seed": 3}', encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["job", str(tmp_path / "settings.json"), str(tmp_path / "output")])
    return tmp_path / "output"


def test_a_job_writes_its_result_whole(arguments: Path) -> None:
    status = run_job(lambda settings: {"seed": settings["seed"], "path": Path("a")}, (Permanent,))

    assert status == 0
    assert json.loads(arguments.read_text(encoding="utf-8")) == {"result": {"seed": 3, "path": "a"}}
    assert [path.name for path in arguments.parent.iterdir() if "partial" in path.name] == []


def test_an_expected_failure_is_the_job_s_error(arguments: Path) -> None:
    def work(_: object) -> dict:
        raise Permanent("a.csv: line 3: not a number")

    assert run_job(work, (Permanent,)) == 2
    assert json.loads(arguments.read_text(encoding="utf-8")) == {"error": "a.csv: line 3: not a number"}


def test_our_own_bug_leaves_no_output(arguments: Path) -> None:
    def work(_: object) -> dict:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_job(work, (Permanent,))

    assert not arguments.exists()
