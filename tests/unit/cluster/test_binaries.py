import os
from pathlib import Path

import pytest

from cluster.binaries import HELM3_SOURCES, PROGRAMS, Binary, binary_folder, ensure, find, module_version
from cluster.toolchain import MODULE
from tradefleet.domain.errors import Permanent, Retryable

BUILDER = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99; exit; fi
echo "$PWD: $*" >>"$BUILDS"
[ -z "$FAILS" ] || { echo 'dial tcp: no route to host'; exit 1; }
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho built as $0\\n' >"$2"
chmod +x "$2"
"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and a Go that notes in this file what it was asked to build."""
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(BUILDER)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv("FAILS", "")
    return tmp_path / "builds"


def test_what_is_not_built_names_the_command_that_builds_it(builds: Path):
    with pytest.raises(Permanent, match="kubectl is not built yet: run `make kubernetes`"):
        find("kubectl")


@pytest.mark.parametrize("binary", Binary)
def test_a_program_is_built_once_and_called_by_the_names_of_what_it_holds(builds: Path, binary: Binary):
    said: list[str] = []

    for _ in range(2):
        assert ensure(binary, said.append) == binary_folder()

    assert len(said) == 1
    (build,) = builds.read_text().splitlines()
    assert build.startswith(f"{MODULE}: build -trimpath ")
    assert build.endswith(f" {HELM3_SOURCES}" if binary is Binary.HELM3 else f" ./{binary}")
    assert f"gitVersion={module_version('k8s.io/kubernetes')} " in build
    for name in PROGRAMS[binary]:
        assert os.popen(str(find(name))).read() == f"built as {find(name)}\n"


def test_a_failed_build_says_why_and_leaves_nothing(builds: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAILS", "1")

    with pytest.raises(Retryable, match="no route to host"):
        ensure(Binary.NODE, lambda _: None)

    assert [path.name for path in binary_folder().iterdir()] == ["lock"]


def test_other_sources_are_other_programs(tmp_path: Path):
    copy = tmp_path / "sources"
    for path in [MODULE / "go.mod", MODULE / "go.sum", *MODULE.rglob("*.go")]:
        target = copy / path.relative_to(MODULE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    assert binary_folder(copy) == binary_folder()
    (copy / "go.sum").write_text("another version\n")
    assert binary_folder(copy) != binary_folder()
