from pathlib import Path

import pytest

from cluster.toolchain import go_program, version_of, wanted_version
from tradefleet.domain.errors import Permanent


def make_go(folder: Path, version: str) -> Path:
    """A `go` that knows its version and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n[ $GOTOOLCHAIN = local ] && echo {version}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `path` is all that is on the path, and holds no Go."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


@pytest.mark.parametrize(
    ("said", "version"), [("go1.26.8", (1, 26, 8)), ("go1.27rc1", (1, 27)), ("go1.25.0-vendor", (1, 25, 0)), ("", (0,))]
)
def test_a_version_is_read_from_whatever_go_says(tmp_path: Path, said: str, version: tuple[int, ...]):
    assert version_of(make_go(tmp_path, said)) == version


def test_the_systems_go_is_taken_when_it_is_new_enough(nowhere: Path):
    system = make_go(nowhere / "path", "go1.99")
    make_go(nowhere / "venv" / "bin", "go1.99")

    assert go_program(nowhere / "venv") == system


def test_the_environments_go_stands_in_for_an_old_one(nowhere: Path):
    make_go(nowhere / "path", "go1.19.8")
    ours = make_go(nowhere / "venv" / "bin", "go1.99")

    assert go_program(nowhere / "venv") == ours


def test_an_old_go_alone_is_refused_with_the_remedy(nowhere: Path):
    make_go(nowhere / "path", "go1.19.8")

    with pytest.raises(Permanent, match=r"needs Go 1\.24\S* or newer, \S+/go is older: run `make kubernetes`"):
        go_program(nowhere / "venv")


def test_no_go_at_all_is_refused_with_the_remedy(nowhere: Path):
    with pytest.raises(Permanent, match="there is none: run `make kubernetes`"):
        go_program(nowhere / "venv")


def test_the_module_says_which_go_it_wants():
    assert wanted_version() >= (1, 24)
