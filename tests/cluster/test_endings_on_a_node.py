"""What Kubernetes itself ends, on a real node: pods that are evicted, a node that is drained, a namespace that goes.

It needs Linux and root. Where that is not to be had these tests fail, and say what is missing.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.control_plane import kubectl
from cluster.local import LocalCluster, Sort
from cluster.release import NAMESPACE, install
from tests.cluster.test_fleet_on_a_node import (
    GONE_WITHIN_S,
    PLAYED_WITHIN_S,
    READY_WITHIN_S,
    Fleet,
    backtested,
    eventually,
    market,
)
from tests.cluster.test_governor import one_bot

pytestmark = pytest.mark.timeout(1_200)  # the first test builds the images

DESK = "desk"
OURS = "app.kubernetes.io/managed-by=tradefleet-governor"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A node with the chart installed; the operator looks after its own namespace and another one."""
    cluster = LocalCluster(tmp_path_factory.mktemp("checkout") / ".cluster")
    cluster.up(Sort.NODE)
    try:
        made = kubectl(cluster.kubeconfig, "create", "namespace", DESK)
        assert made.returncode == 0, made.stderr
        install(cluster, print, f"watchNamespaces={{{NAMESPACE},{DESK}}}")
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def fleet(local: LocalCluster) -> Fleet:
    return Fleet(local)


def evict(fleet: Fleet, pod: str) -> None:
    """Ask for the end of a pod as the autoscaler, the descheduler and `kubectl drain` do."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    fleet.asked("create", "--raw", path, "-f", "-", given=json.dumps(body))


def pods(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Return the pods of workloads that are there to stay, by workload."""
    return {
        each["metadata"]["labels"]["tradefleet.dev/workload"]: each
        for each in fleet.items("pods", "--selector", f"{OURS},tradefleet.dev/workload")
        if "deletionTimestamp" not in each["metadata"]
    }


def test_a_fleet_that_is_evicted_and_drained_trades_as_it_was_backtested(fleet: Fleet):
    bodies = market()
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(bodies))
    fleet.asked(
        *("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN_S}s", "botset/quickstart"),
        timeout_s=2 * READY_WITHIN_S,
    )

    before = pods(fleet)
    for each in before.values():
        evict(fleet, each["metadata"]["name"])
    eventually(
        lambda: (
            (now := pods(fleet)).keys() == before.keys()
            and all(now[name]["metadata"]["uid"] != each["metadata"]["uid"] for name, each in before.items())
        ),
        what="successors of all pods",
        within_s=READY_WITHIN_S,
    )

    (node,) = fleet.items("nodes")
    name = node["metadata"]["name"]
    # Only what is ours: broker and database of this fleet keep what they know in their pods.
    fleet.asked("drain", name, "--delete-emptydir-data", "--force", "--pod-selector", OURS, timeout_s=120)
    fleet.asked("uncordon", name)

    fleet.asked(
        *("wait", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={PLAYED_WITHIN_S}s", "feed/replay"),
        timeout_s=2 * PLAYED_WITHIN_S,
    )
    expected = backtested(bodies)
    eventually(
        lambda: {name: (each["equity"], each["fills"]) for name, each in fleet.bots().items()} == expected,
        what=f"the figures of the backtest, {expected}, in {fleet.bots()}",
        within_s=30,
    )


def test_a_namespace_that_is_deleted_sells_its_positions_and_ends(fleet: Fleet):
    def status(kind: str, name: str) -> dict[str, Any]:
        found = json.loads(fleet.asked("get", kind, name, "--namespace", DESK, "-o", "json"))
        return dict(found.get("status", {}))

    bodies = one_bot(speed="600x", deletionPolicy="Flatten")
    fleet.asked("apply", "--namespace", DESK, "-f", "-", given=yaml.safe_dump_all(bodies))
    eventually(lambda: status("tradingbot", "alpha").get("fills"), what="a trade", within_s=2 * READY_WITHIN_S)
    ran = set()

    def is_gone() -> bool:
        ran.update(name for name in pods(fleet) if name.startswith("ending-"))
        return DESK not in fleet.asked("get", "namespaces", "-o", "name")

    fleet.asked("delete", "namespace", DESK, "--wait=false")

    eventually(is_gone, what="the namespace to end", within_s=2 * GONE_WITHIN_S)
    # It could have sold before its gateway was told to end; more often it needs another one.
    assert ran <= {f"ending-{role}-{DESK}-{name}" for role, name in RAN}
    eventually(
        lambda: not [each for each in fleet.ours() if "ending-" in each], what="its workloads to go", within_s=60
    )
    bought, sold = fills(fleet)
    assert bought == sold > 0
    assert fleet.bots(), "the other namespace has nothing to do with it"


RAN = (("venue", "simulator"), ("gateway", "simulator"), ("feed", "replay"))


def fills(fleet: Fleet) -> tuple[int, int]:
    """Return the lots that the bots of the namespace that is gone have bought and sold."""
    bought, sold = (f"coalesce(sum(lots) FILTER (WHERE side = '{side}'), 0)" for side in ("BUY", "SELL"))
    query = f"SELECT {bought}, {sold} FROM tradefleet.fill WHERE starts_with(bot, '{DESK}/')"
    script = (
        "import os, psycopg\n"
        "url = os.environ.get('TRADEFLEET_DATABASE_URL') or open(os.environ['TRADEFLEET_DATABASE_URL_FILE']).read()\n"
        f"print(*psycopg.connect(url).execute({query!r}).fetchone())"
    )
    governor = fleet.asked("get", "pods", "--selector", "app.kubernetes.io/component=governor", "-o", "name").split()[0]
    found = fleet.asked("exec", governor, "--container", "governor", "--", "python", "-c", script).split()
    return int(found[0]), int(found[1])
