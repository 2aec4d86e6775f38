import os
from pathlib import Path

import pytest

from cluster import packages
from tradefleet.domain.errors import Permanent, Retryable


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt-get notes in this file what it was asked, and installs the program `tool`."""
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$*" >>"$CALLS"\n[ -z "$FAILS" ] || { echo "E: no network" >&2; exit 100; }\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAILS", "")
    return tmp_path / "calls"


def test_what_is_there_is_not_installed(apt: Path):
    packages.ensure({"sh": "dash", "/bin/sh": "dash"}, lambda _: None)

    assert not apt.exists()


def test_what_is_missing_is_named_once_per_package(apt: Path):
    needed = {"no-such-program": "tools", "no-such-other": "tools", "/no/such/file": "files", "sh": "dash"}

    assert packages.missing(needed) == ["files", "tools"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_root_installs_what_is_missing_and_says_so(apt: Path):
    said: list[str] = []

    packages.ensure({"no-such-program": "tools", "/no/such/file": "files"}, said.append)

    assert said == ["installing the packages files tools"]
    assert apt.read_text().splitlines() == [
        "--quiet=2 update",
        "--quiet=2 install --yes --no-install-recommends files tools",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_a_failed_installation_says_why(apt: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAILS", "1")

    with pytest.raises(Retryable, match="apt-get update: E: no network"):
        packages.ensure({"no-such-program": "tools"}, lambda _: None)


def test_a_machine_without_apt_is_told_what_to_install(apt: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Permanent, match="needs what Debian calls the packages files tools: install them"):
        packages.ensure({"no-such-program": "tools", "/no/such/file": "files"}, lambda _: None)
