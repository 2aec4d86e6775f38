"""The quickstart on a real Kubernetes of our own: installed by the chart, trading in pods, killed, mended, deleted.

It needs Linux and root. Where that is not to be had these tests fail, and say what is missing.
"""

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cluster.control_plane import kubectl
from cluster.local import LocalCluster, Sort
from cluster.release import NAMESPACE, install
from tests.cluster.test_governor import quickstart
from tradefleet.cli.fleet_target import in_namespace
from tradefleet.domain.ids import BotKey
from tradefleet.resources.load import Loaded, parse_text
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.run import run_backtest

pytestmark = pytest.mark.timeout(1_200)  # the first test builds the images

READY_WITHIN_S = 90
PLAYED_WITHIN_S = 240
GONE_WITHIN_S = 90
MENDED_WITHIN_S = 10
POLL_S = 0.5
BARS = 600


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Fleet"]:
    """A node with the chart installed, with a broker and a database to try it."""
    local = LocalCluster(tmp_path_factory.mktemp("checkout") / ".cluster")
    local.up(Sort.NODE)
    try:
        install(local, print)
        yield Fleet(local)
    finally:
        local.down()


class Fleet:
    """What a user sees of a fleet in a cluster."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster

    def asked(self, *arguments: str, given: str | None = None, timeout_s: float = 60) -> str:
        """Return what kubectl printed; it is expected to succeed."""
        answer = kubectl(
            self._cluster.kubeconfig, "--namespace", NAMESPACE, *arguments, given=given, timeout_s=timeout_s
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def tradefleet(self, *arguments: str) -> str:
        """Return what our own command line printed; it is expected to succeed."""
        place = ("--kubeconfig", str(self._cluster.kubeconfig), "--namespace", NAMESPACE)
        words = [sys.executable, "-m", "tradefleet.cli.main", *arguments, *place]
        answer = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def items(self, kinds: str, *more: str) -> list[dict[str, Any]]:
        """Return all objects of some kinds."""
        found: list[dict[str, Any]] = json.loads(self.asked("get", kinds, "--output", "json", *more))["items"]
        return found

    def ours(self) -> list[str]:
        """Return the names of all that belongs to workloads."""
        kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,jobs,pods"
        found = self.items(kinds, "--selector", "app.kubernetes.io/managed-by=tradefleet-governor")
        return sorted(f"{each['kind']}/{each['metadata']['name']}" for each in found)

    def bots(self) -> dict[str, dict[str, Any]]:
        """Return the statuses of all bots."""
        return {each["metadata"]["name"]: each.get("status", {}) for each in self.items("tradingbots")}


def eventually(look: Callable[[], Any], *, what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        time.sleep(POLL_S)


def market() -> list[dict[str, Any]]:
    """Return the quickstart with fewer candles."""
    bodies = copy.deepcopy(quickstart())
    for body in bodies:
        if body["kind"] == "Dataset":
            body["spec"]["synthetic"]["bars"] = BARS
    return bodies


def backtested(bodies: list[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    """Return equity and fills of each bot in a backtest of the same resources."""
    loaded: list[Loaded] = parse_text(yaml.safe_dump_all(bodies), "<quickstart>")
    result = run_backtest(plan_backtest(loaded, Wish()))
    return {
        BotKey(bot.key).partition("/")[2]: (f"{bot.amount(bot.equity_atoms).normalize():f}", bot.fills)
        for bot in result.ranked
    }


def test_the_quickstart_trades_as_it_was_backtested_whatever_is_killed(fleet: Fleet):
    bodies = market()
    began_s = time.monotonic()
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(bodies))
    fleet.asked(
        *("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN_S}s"),
        *("botset/quickstart", "exchange/simulator", "feed/replay", "dataset/made-up-market"),
        timeout_s=2 * READY_WITHIN_S,
    )
    assert time.monotonic() - began_s < READY_WITHIN_S

    for workload in ("gateway-simulator", "feed-replay", "bot-quickstart-sma-cross-btc-usd", "venue-simulator"):
        label = f"tradefleet.dev/workload={workload}"
        fleet.asked("delete", "pods", "--selector", label, "--force", "--grace-period=0")
        time.sleep(2)  # so that what is killed next has traded with it again
    fleet.asked("delete", "pods", "--selector", "app.kubernetes.io/component=governor", "--force", "--grace-period=0")

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
    eventually(
        lambda: fleet.asked("get", "deployment", "feed-replay", "-o", "jsonpath={.spec.replicas}") == "0",
        what="a finished replay to rest",
        within_s=30,
    )


def test_a_childs_change_is_mended(fleet: Fleet):
    fleet.asked("scale", "deployment", "gateway-simulator", "--replicas=3")
    fleet.asked("set", "env", "deployment/gateway-simulator", "EXTRA=1")

    def is_mended() -> bool:
        spec = json.loads(fleet.asked("get", "deployment", "gateway-simulator", "-o", "json"))["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        return spec["replicas"] == 1 and "EXTRA" not in {each["name"] for each in container["env"]}

    eventually(is_mended, what="the Deployment to be mended", within_s=MENDED_WITHIN_S)


GRID = {"fast": [5, 10], "slow": [30, 60]}


def grid() -> list[dict[str, Any]]:
    """Return a grid of four trials, each of some seconds."""
    version = "tradefleet.dev/v1alpha1"
    candles = {"synthetic": {"bars": 20_000, "seed": 5}, "instruments": ["BTC-USD"], "intervals": ["1m"]}
    asked = {
        "datasetRef": {"name": "long"},
        "exchangeRef": {"name": "simulator"},
        "instruments": ["BTC-USD"],
        "strategy": {"name": "sma-cross"},
        "wallet": {"USD": "10000"},
        "search": {"space": {name: {"values": values} for name, values in GRID.items()}},
        "parallelism": 2,
    }
    return [
        {"apiVersion": version, "kind": "Dataset", "metadata": {"name": "long"}, "spec": candles},
        {"apiVersion": version, "kind": "Backtest", "metadata": {"name": "grid"}, "spec": asked},
    ]


def test_a_grid_ends_with_every_result_once_whatever_is_killed(fleet: Fleet):
    exchange = [body for body in market() if body["kind"] == "Exchange"]
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all([*exchange, *grid()]))

    def working() -> list[str]:
        pods = fleet.items("pods", "--selector", "tradefleet.dev/backtest=grid,app.kubernetes.io/component=simulation")
        return [each["metadata"]["name"] for each in pods if each["status"].get("phase") == "Running"]

    eventually(working, what="a pod of the grid to work", within_s=PLAYED_WITHIN_S)
    fleet.asked("delete", "pod", working()[0], "--force", "--grace-period=0")
    fleet.asked("delete", "pods", "--selector", "app.kubernetes.io/component=governor", "--force", "--grace-period=0")
    fleet.asked(
        *("wait", "--for=condition=Ready", f"--timeout={PLAYED_WITHIN_S}s", "backtest/grid"),
        timeout_s=2 * PLAYED_WITHIN_S,
    )

    backtest = json.loads(fleet.asked("get", "backtest", "grid", "-o", "json"))
    assert backtest["status"]["progress"] == "4/4"
    told = json.loads(fleet.tradefleet("results", "grid", "-o", "json", "--limit", "99"))
    found = {json.dumps(each["parameters"], sort_keys=True): each["ledgerHash"] for each in told["results"]}
    assert len(told["results"]) == len(found) == 4
    assert found == {json.dumps(each, sort_keys=True): ledger_of(exchange, each) for each in combinations()}
    eventually(lambda: not working() and not fleet.items("jobs"), what="the Job to go", within_s=30)


def combinations() -> list[dict[str, int]]:
    return [{"fast": fast, "slow": slow} for fast in GRID["fast"] for slow in GRID["slow"]]


def ledger_of(exchange: list[dict[str, Any]], params: dict[str, int]) -> str:
    """Return the hash of the ledger that one combination has here, alone."""
    dataset, backtest = grid()
    backtest["spec"]["strategy"]["params"] = params
    del backtest["spec"]["search"]
    loaded: list[Loaded] = parse_text(yaml.safe_dump_all([*exchange, dataset, backtest]), "<grid>")
    loaded = in_namespace(loaded, NAMESPACE, is_asked_for=False)
    return run_backtest(plan_backtest(loaded, Wish(backtest="grid"))).ledger_hash


def test_a_deleted_fleet_leaves_nothing_behind(fleet: Fleet):
    fleet.asked("delete", "tradefleet", "--all", f"--timeout={GONE_WITHIN_S}s", timeout_s=2 * GONE_WITHIN_S)

    eventually(lambda: fleet.ours() == [], what="all that was made for it to go", within_s=GONE_WITHIN_S)
