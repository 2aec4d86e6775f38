import os
from pathlib import Path

import pytest

from cluster import docker
from cluster.binaries import binary_folder
from cluster.local import LocalCluster, Sort
from tradefleet.domain.errors import Retryable

KIND = """#!/bin/sh
echo "$*" >>"$CALLS"
[ "$1 $2" != "create cluster" ] || echo "apiVersion: v1" >"$6"
[ -z "$FAILS" ] || { echo "ERROR: failed to create cluster" >&2; exit 1; }
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where Docker answers, with programs that only note in this file how they were called."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAILS", "")
    binary_folder().mkdir(parents=True)
    for name in ("kind", "control-plane", "etcd", "helm", "kube-apiserver", "kubectl"):
        write_program(binary_folder() / name, KIND)
    write_program(tmp_path / "path" / "docker", '#!/bin/sh\n[ "$1" = info ] && [ -z "$DOCKER_IS_DOWN" ]\n')
    monkeypatch.setenv("PATH", str(tmp_path / "path") + os.pathsep + os.environ["PATH"])
    return tmp_path / "calls"


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_docker_is_usable_only_when_it_answers(calls: Path, monkeypatch: pytest.MonkeyPatch):
    assert docker.is_usable()
    monkeypatch.setenv("DOCKER_IS_DOWN", "1")
    assert not docker.is_usable()
    monkeypatch.setenv("PATH", "/nowhere")
    assert not docker.is_usable()


def test_where_docker_works_the_cluster_is_kinds(calls: Path, tmp_path: Path):
    state = tmp_path / ".cluster"
    name = docker.name_for(state)
    cluster = LocalCluster(state)

    assert (cluster.up(), cluster.up()) == (Sort.DOCKER, Sort.DOCKER)
    cluster.load(tmp_path / "image.tar")
    cluster.down()

    assert calls.read_text().splitlines() == [
        f"create cluster --name {name} --kubeconfig {state}/kubeconfig --wait 180s",
        f"load image-archive {tmp_path}/image.tar --name {name}",
        f"delete cluster --name {name}",
    ]
    assert not state.exists()


def test_two_checkouts_have_two_names(tmp_path: Path):
    assert docker.name_for(tmp_path / "a") != docker.name_for(tmp_path / "b")


def test_what_kind_refuses_is_said(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAILS", "1")

    with pytest.raises(Retryable, match=r"kind create cluster .*: ERROR: failed to create cluster"):
        LocalCluster(tmp_path / ".cluster").up()
