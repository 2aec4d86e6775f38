import os
from pathlib import Path

import pytest

from cluster.image import DEBIAN_BASE, build, default_base, image_name
from tradefleet.domain.errors import Permanent, Retryable

BUILDAH = """#!/bin/sh
echo "buildah $*" >>"$CALLS"
case "$1" in
  inspect) grep -qxF "$4" "$HAS" ;;
  pull) [ -n "$HAS_NETWORK" ] ;;
  from) echo container-1 ;;
  build) [ -z "$FAILS" ] || { echo "step 3: no space left on device" >&2; exit 1; } ;;
  push) touch "$(echo "$4" | cut -d: -f2)" ;;
esac
"""
DEBOOTSTRAP = """#!/bin/sh
echo "debootstrap $1 $2 $3" >>"$CALLS"
for folder in var/cache/apt/archives var/lib/apt/lists var/log usr/share/doc/python3 usr/share/man usr/share/locale; do
  mkdir -p "$4/$folder"
done
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Docker, whose tools for images only note in this file how they were called."""
    for name, text in (("buildah", BUILDAH), ("debootstrap", DEBOOTSTRAP), ("docker", "#!/bin/sh\nexit 1\n")):
        program = tmp_path / "path" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path") + os.pathsep + os.environ["PATH"])
    for name, value in (("CALLS", tmp_path / "calls"), ("HAS", tmp_path / "has"), ("HAS_NETWORK", ""), ("FAILS", "")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    (tmp_path / "has").touch()
    return tmp_path / "calls"


def base_of(calls: Path) -> str:
    """The base that the image was built on."""
    (line,) = (each for each in calls.read_text().splitlines() if each.startswith("buildah build "))
    return line.partition("BASE_IMAGE=")[2].split()[0]


def test_an_image_is_built_on_the_base_that_the_dockerfile_names(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HAS_NETWORK", "1")

    archive = build("fleet", lambda _: None, tmp_path)

    assert base_of(calls) == default_base()
    assert f"--target fleet --tag {image_name()}" in calls.read_text()
    assert (
        calls.read_text().splitlines()[-1]
        == f"buildah push --quiet {image_name()} oci-archive:{archive}:{image_name()}"
    )


def test_without_a_registry_the_base_is_made_of_debians_packages_once(calls: Path, tmp_path: Path):
    said: list[str] = []
    build("fleet", said.append, tmp_path)
    assert base_of(calls) == DEBIAN_BASE
    assert "debootstrap --variant=minbase --include=python3,python3-venv bookworm" in calls.read_text()
    assert any("cannot be pulled" in line for line in said)

    (tmp_path / "has").write_text(f"{DEBIAN_BASE}\n")
    calls.unlink()
    build("fleet", said.append, tmp_path)
    assert base_of(calls) == DEBIAN_BASE
    assert "pull" not in calls.read_text()


def test_a_base_of_the_users_own_is_taken_or_refused_never_replaced(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BASE_IMAGE", "mine:1")
    with pytest.raises(Permanent, match="the base image mine:1 cannot be pulled: name another one in BASE_IMAGE"):
        build("fleet", lambda _: None, tmp_path)

    (tmp_path / "has").write_text("mine:1\n")
    build("fleet", lambda _: None, tmp_path)
    assert base_of(calls) == "mine:1"


def test_a_build_that_fails_shows_the_end_of_what_it_said(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAILS", "1")
    monkeypatch.setenv("HAS_NETWORK", "1")

    with pytest.raises(Retryable, match="buildah build failed:\nstep 3: no space left on device"):
        build("dev", lambda _: None, tmp_path)


def test_the_image_of_each_target_has_a_name_of_its_own():
    assert image_name("dev") == image_name().replace("tradefleet:", "tradefleet-dev:")
