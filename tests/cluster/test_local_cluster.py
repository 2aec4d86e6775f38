"""A whole Kubernetes of our own on this machine: pods run in it, a second one beside it, and nothing stays behind.

It needs Linux and root. Where that is not to be had these tests fail, and say what is missing.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from governor.local.processes import started_ticks

from cluster.control_plane import kubectl
from cluster.local import LocalCluster, Sort
from cluster.namespaces import CGROUPS
from cluster.pause import PAUSE_IMAGE, write_archive
from tests.cluster.helm import CHART, helm
from tradefleet.domain.errors import Permanent

POD_TIMEOUT_S = 60
END_TIMEOUT_S = 10

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "idle", "namespace": "strict"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "idle"}},
        "template": {
            "metadata": {"labels": {"app": "idle"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "idle",
                        "image": PAUSE_IMAGE,
                        "imagePullPolicy": "Never",
                        "resources": {"limits": {"memory": "16Mi", "cpu": "50m"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    },
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkout") / ".cluster"


@pytest.fixture(scope="module")
def cluster(state: Path) -> Iterator[LocalCluster]:
    """A node of our own that is up; a test may take it down."""
    local = LocalCluster(state)
    local.up(Sort.NODE)
    yield local
    local.down()


def asked(cluster: LocalCluster, *arguments: str, given: str | None = None) -> str:
    answer = kubectl(cluster.kubeconfig, *arguments, given=given, timeout_s=POD_TIMEOUT_S)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def facts_of(cluster: LocalCluster) -> dict[str, Any]:
    """What the cluster's folder says of it."""
    return json.loads((cluster.kubeconfig.parent / "cluster.json").read_text())


def wires() -> set[str]:
    """The names of this machine's ends of the wires to nodes."""
    listed = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True)
    return {link["ifname"] for link in json.loads(listed.stdout) if link["ifname"].startswith("fleet")}


def groups() -> set[str]:
    return {path.name for path in CGROUPS.glob("**/fleet[0-9]*")}


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + END_TIMEOUT_S
    while started_ticks(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_pods_run_under_the_restricted_profile(cluster: LocalCluster):
    asked(cluster, "create", "namespace", "strict")
    asked(cluster, "label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")

    asked(cluster, "apply", "-f", "-", given=json.dumps(DEPLOYMENT))

    asked(cluster, "rollout", "status", "deployment/idle", "--namespace", "strict", f"--timeout={POD_TIMEOUT_S}s")
    pods = json.loads(asked(cluster, "get", "pods", "--namespace", "strict", "-o", "json"))["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running", "Running"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 2


def test_a_second_up_finds_what_runs(cluster: LocalCluster):
    before = cluster.kubeconfig.read_text()

    assert LocalCluster(cluster.kubeconfig.parent).up() is Sort.NODE

    assert cluster.kubeconfig.read_text() == before


def test_people_may_do_with_our_kinds_what_they_may_with_others(cluster: LocalCluster):
    values = ("--set", "postgres.existingSecret=database", "--set", "kafka.bootstrap=kafka:9092")
    place = ("--namespace", "desk", "--create-namespace", "--no-hooks")
    installed = helm("install", "fleet", str(CHART), *values, *place, config=cluster.kubeconfig)
    assert installed.returncode == 0, installed.stderr
    for user, role in (("reader", "view"), ("trader", "edit")):
        asked(cluster, "create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}", "-n", "desk")

    def may(user: str, verb: str) -> bool:
        flags = ("--as", user, "-n", "desk")
        return kubectl(cluster.kubeconfig, "auth", "can-i", verb, "tradingbots.tradefleet.dev", *flags).returncode == 0

    deadline = time.monotonic() + END_TIMEOUT_S
    while not may("trader", "create"):  # a controller adds our rules to the roles
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert may("reader", "watch")
    assert not may("reader", "create")
    assert not may("trader", "impersonate")
    assert not may("nobody", "get")


def test_an_image_archive_is_loaded(cluster: LocalCluster, tmp_path: Path):
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF another program")
    write_archive(program, tmp_path / "image.tar")

    cluster.load(tmp_path / "image.tar")

    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no archive")
    with pytest.raises(Permanent, match=r"loading .*broken\.tar: ctr: "):
        cluster.load(broken)


def test_two_checkouts_have_a_cluster_each_and_leave_nothing(cluster: LocalCluster, tmp_path: Path):
    other = LocalCluster(tmp_path / "a-checkout-whose-path-is-longer-than-that-of-a-socket-may-be" / ".cluster")
    try:
        other.up(Sort.NODE)
        name = facts_of(other)["name"]
        asked(other, "create", "namespace", "only-there")
        assert name in wires() & groups()
        assert name != facts_of(cluster)["name"]
        assert kubectl(cluster.kubeconfig, "get", "namespace", "only-there").returncode != 0
    finally:
        other.down()

    assert name not in wires() | groups()
    assert list(tmp_path.rglob("*")) == [tmp_path / "a-checkout-whose-path-is-longer-than-that-of-a-socket-may-be"]
    assert "Ready" in asked(cluster, "get", "nodes")


def test_a_cluster_that_was_killed_comes_up_again_empty(cluster: LocalCluster):
    facts = facts_of(cluster)
    subprocess.run(["kill", "-KILL", str(facts["pid"])], check=True)
    wait_until_gone(facts["pid"])

    assert cluster.up() is Sort.NODE

    assert "strict" not in asked(cluster, "get", "namespaces", "-o", "name")


def test_an_api_server_alone_takes_no_images(tmp_path: Path):
    api = LocalCluster(tmp_path / ".cluster")
    try:
        api.up(Sort.API)
        assert "default" in asked(api, "get", "namespaces", "-o", "name")
        with pytest.raises(Permanent, match="no cluster with a node is up: run `make cluster` first"):
            api.load(tmp_path / "image.tar")
        with pytest.raises(Permanent, match=r"another sort \(api\) is up: run `make cluster-down` first"):
            api.up(Sort.NODE)
    finally:
        api.down()
    assert list(tmp_path.iterdir()) == []
