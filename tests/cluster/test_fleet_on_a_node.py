"""The quickstart on a real Kubernetes of our own: installed by the chart, trading in pods, killed, mended, deleted.

All of it on one node, which takes long to begin. The operator looks after its own namespace and another one.

It needs Linux and root. Where that is not to be had these tests fail, and say what is missing.
"""

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.control_plane import kubectl
from cluster.local import LocalCluster, Sort
from cluster.release import NAMESPACE, RELEASE, install
from tests.cluster.helm import CHART, helm
from tests.cluster.test_governor import one_bot, quickstart
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
BARS = 1_000
DESK = "desk"  # the other namespace
OURS = "app.kubernetes.io/managed-by=tradefleet-governor"
DATABASE_SECRET = f"{RELEASE}-tradefleet-postgres"
AUDITED_WITHIN_S = 60
TOLD_WITHIN_S = 60  # what a kubelet finds out only by trying
# The service is the child of the container's first process, which nothing inside may kill.
KILL_CHILDREN = """
import os, signal
from pathlib import Path
for entry in Path("/proc").glob("[0-9]*"):
    parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
    if parent == 1 and int(entry.name) != os.getpid():
        os.kill(int(entry.name), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Fleet"]:
    """A node with the chart installed, with a broker and a database to try it."""
    local = LocalCluster(tmp_path_factory.mktemp("checkout") / ".cluster")
    local.up(Sort.NODE)
    try:
        made = kubectl(local.kubeconfig, "create", "namespace", DESK)
        assert made.returncode == 0, made.stderr
        install(local, print, f"watchNamespaces={{{NAMESPACE},{DESK}}}")
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

    def helm(self, *arguments: str) -> str:
        """Return what Helm printed; it is expected to succeed."""
        answer = helm(*arguments, "--namespace", NAMESPACE, config=self._cluster.kubeconfig)
        assert answer.returncode == 0, answer.stdout + answer.stderr
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

    def restart_service(self, component: str) -> None:
        """Kill the service in a pod of ours without a word: its container ends and comes again, over the same data."""
        (pod,) = self.items("pods", "--selector", f"app.kubernetes.io/component={component}")
        name, before = pod["metadata"]["name"], self._restarts(pod)
        self.asked("exec", name, "--", "python", "-c", KILL_CHILDREN)
        eventually(
            lambda: self._restarts(json.loads(self.asked("get", "pod", name, "-o", "json"))) > before,
            what=f"{component} to come again",
            within_s=READY_WITHIN_S,
        )

    def _restarts(self, pod: dict[str, Any]) -> int:
        (container,) = pod["status"]["containerStatuses"]
        return int(container["restartCount"]) if container["ready"] else 0

    def pods_of(self, component: str) -> dict[str, tuple[str, int]]:
        """Return UID and restarts of each pod of a kind of workload, by the workload's name."""
        found = self.items("pods", "--selector", f"app.kubernetes.io/component={component}")
        return {
            each["metadata"]["labels"]["tradefleet.dev/workload"]: (
                each["metadata"]["uid"],
                sum(one["restartCount"] for one in each["status"].get("containerStatuses", [])),
            )
            for each in found
            if "deletionTimestamp" not in each["metadata"]
        }

    def staying_pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods of workloads that are there to stay, by workload."""
        return {
            each["metadata"]["labels"]["tradefleet.dev/workload"]: each
            for each in self.items("pods", "--selector", f"{OURS},tradefleet.dev/workload")
            if "deletionTimestamp" not in each["metadata"]
        }

    def evict(self, pod: str) -> None:
        """Ask for the end of a pod as the autoscaler, the descheduler and `kubectl drain` do."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
        self.asked("create", "--raw", path, "-f", "-", given=json.dumps(body))

    def audit(self) -> None:
        """Check the books of the whole fleet, as its owner would."""
        command = ["audit", "--kubeconfig", str(self._cluster.kubeconfig), "-n", NAMESPACE]
        done = subprocess.run(
            [sys.executable, "-m", "tradefleet.cli.entry", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=AUDITED_WITHIN_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def upgrade(self, **values: object) -> None:
        """Upgrade the release, with some values that differ from those that it has."""
        given = [part for name, value in values.items() for part in ("--set", f"{name.replace('__', '.')}={value}")]
        answer = helm(
            *("upgrade", RELEASE, str(CHART), "--namespace", NAMESPACE, "--reuse-values", *given),
            *("--wait", "--timeout", f"{READY_WITHIN_S}s"),
            config=self._cluster.kubeconfig,
        )
        assert answer.returncode == 0, answer.stderr

    def ours(self) -> list[str]:
        """Return the names of all that belongs to workloads."""
        kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,jobs,pods"
        found = self.items(kinds, "--selector", OURS)
        return sorted(f"{each['kind']}/{each['metadata']['name']}" for each in found)

    def phase(self, kind: str, name: str) -> str:
        """Return where a resource stands."""
        return self.asked("get", kind, name, "--output", "jsonpath={.status.phase}")

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


def test_the_quickstart_trades_as_it_was_backtested_whatever_is_killed_evicted_or_drained(fleet: Fleet):
    bodies = market()
    began_s = time.monotonic()
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(bodies))
    fleet.asked(
        *("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN_S}s"),
        *("botset/quickstart", "exchange/simulator", "feed/replay", "dataset/made-up-market"),
        timeout_s=2 * READY_WITHIN_S,
    )
    assert time.monotonic() - began_s < READY_WITHIN_S

    for service in ("kafka", "postgres"):
        assert fleet.phase("feed", "replay") != "Succeeded", "it is restarted while bots trade"
        fleet.restart_service(service)
    for workload in ("gateway-simulator", "feed-replay", "bot-quickstart-sma-cross-btc-usd", "venue-simulator"):
        label = f"tradefleet.dev/workload={workload}"
        fleet.asked("delete", "pods", "--selector", label, "--force", "--grace-period=0")
        time.sleep(2)  # so that what is killed next has traded with it again
    fleet.asked("delete", "pods", "--selector", "app.kubernetes.io/component=governor", "--force", "--grace-period=0")
    assert fleet.phase("feed", "replay") != "Succeeded", "bots trade while their pods are evicted"
    move_on(fleet)

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
    fleet.audit()


def move_on(fleet: Fleet) -> None:
    """Evict every pod of a workload, and drain the node as soon as all of them have successors."""
    before = fleet.staying_pods()
    for each in before.values():
        fleet.evict(each["metadata"]["name"])
    eventually(
        lambda: (
            (now := fleet.staying_pods()).keys() == before.keys()
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


def second_market(**spec: Any) -> list[dict[str, Any]]:
    """Return a market that is played for long, at a pace that upgrades and restarts can be felt at."""
    exchange, dataset, feed = (body for body in copy.deepcopy(quickstart()) if body["kind"] != "BotSet")
    for body in (exchange, dataset, feed):
        body["metadata"]["name"] = "second"
    dataset["spec"]["synthetic"]["bars"] = 20_000
    feed["spec"] |= {
        "exchangeRef": {"name": "second"},
        "replay": {"datasetRefs": [{"name": "second"}], "speed": "120x"},
    }
    return [exchange, dataset, feed, *(bot(name, **spec) for name in ("steady-1", "steady-2"))]


def bot(name: str, **spec: Any) -> dict[str, Any]:
    settings = {
        "exchangeRef": {"name": "second"},
        "strategy": {"name": "random", "params": {}},
        "instruments": ["BTC-USD"],
        "wallet": {"USD": "1000"},
        **spec,
    }
    metadata = {"name": name}
    return {"apiVersion": "tradefleet.dev/v1alpha1", "kind": "TradingBot", "metadata": metadata, "spec": settings}


def go_on(fleet: Fleet, *names: str) -> None:
    """Wait until each of these bots has seen more bars than it has now."""
    before = {name: fleet.bots()[name].get("lastBarTime", "") for name in names}
    eventually(
        lambda: all(fleet.bots()[name].get("lastBarTime", "") > before[name] for name in names),
        what=f"bars of {before}",
        within_s=READY_WITHIN_S,
    )


def test_an_upgrade_leaves_bots_alone_or_brings_them_back_where_they_were(fleet: Fleet):
    """What concerns the operator alone restarts no bot; what concerns pods restarts each, which then trades on."""
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(second_market()))
    fleet.asked("wait", "--for=condition=Ready", f"--timeout={READY_WITHIN_S}s", "tradingbots", "steady-1", "steady-2")
    go_on(fleet, "steady-1", "steady-2")
    before = {component: fleet.pods_of(component) for component in ("bot", "gateway", "venue", "feed")}

    fleet.upgrade(governor__resyncSeconds=20, governor__podAnnotations__upgraded="once")
    go_on(fleet, "steady-1", "steady-2")

    assert {component: fleet.pods_of(component) for component in before} == before

    fills = {name: fleet.bots()[name]["fills"] for name in ("steady-1", "steady-2")}
    fleet.upgrade(workloads__resources__requests__cpu="11m")
    eventually(
        lambda: all(
            set(fleet.pods_of(component)) == set(there)
            and not set(fleet.pods_of(component).values()) & set(there.values())
            for component, there in before.items()
            if component != "feed"
        ),
        what="every pod to be another one",
        within_s=READY_WITHIN_S,
    )
    go_on(fleet, "steady-1", "steady-2")
    after = {name: fleet.bots()[name]["fills"] for name in fills}
    assert all(after[name] >= fills[name] for name in fills), (fills, after)
    fleet.audit()


BAD_BOTS = {
    "no-image": ({"image": "localhost/nothing-of-that-name:1"}, "ImagePull", "mend podTemplate.image"),
    "no-node": ({"nodeSelector": {"disk": "golden"}}, "Unschedulable", "no node takes its pod"),
    "no-memory": ({"resources": {"limits": {"memory": "20Mi"}}}, "OutOfMemory", "raise podTemplate.resources.limits"),
}


RUNAWAY = """
from workloads.strategy.api import Strategy


class Loops(Strategy):
    def on_bar(self, bar):
        while True:
            pass


class Eats(Strategy):
    def on_bar(self, bar):
        kept = []
        while True:
            kept.append(b"x" * 2**20)
"""
LIMIT = {"resources": {"limits": {"memory": "256Mi"}}}
KILLED = "its pod was killed for using more memory than 256Mi, its limit: raise podTemplate.resources.limits.memory"
BROKEN_OFF = "did not return within 45 s and was broken off (runaway.py:"


def runaways() -> list[dict[str, Any]]:
    """Return bots that do not return and that eat memory, and a backtest that does the latter, with their code."""
    code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "runaway"}, "data": {"runaway.py": RUNAWAY}}
    strategies = {
        name: {"name": f"runaway:{name}", "codeFrom": {"configMapRef": {"name": "runaway"}}}
        for name in ("Loops", "Eats")
    }
    backtest = {
        "datasetRef": {"name": "second"},
        "exchangeRef": {"name": "second"},
        "instruments": ["BTC-USD"],
        "strategy": strategies["Eats"],
        "wallet": {"USD": "1000"},
        "podTemplate": LIMIT,
    }
    return [
        code,
        bot("loops", strategy=strategies["Loops"]),
        bot("eats", strategy=strategies["Eats"], podTemplate=LIMIT),
        {**bot("eats"), "kind": "Backtest", "spec": backtest},
    ]


def test_bad_input_is_found_out_by_a_real_kubelet_and_disturbs_nobody(fleet: Fleet):
    before = fleet.pods_of("bot")
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(runaways()))  # what they do takes a while to be seen
    for name, (template, _, _) in BAD_BOTS.items():
        fleet.asked("apply", "-f", "-", given=yaml.safe_dump(bot(name, podTemplate=template)))

    for name, (_, reason, remedy) in BAD_BOTS.items():
        eventually(
            lambda name=name, reason=reason: ready(fleet, name)["reason"] == reason,
            what=f"{name}: {reason}, of {fleet.bots()[name]}",
            within_s=TOLD_WITHIN_S,
        )
        assert remedy in ready(fleet, name)["message"]
        notes = fleet.asked("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json")
        assert reason in {each["reason"] for each in json.loads(notes)["items"]}
    for name, told in (("eats", KILLED), ("loops", BROKEN_OFF)):
        eventually(
            lambda name=name, told=told: told in ready(fleet, name)["message"],
            what=f"{name}: {told}",
            within_s=READY_WITHIN_S,
        )
        assert told in fleet.asked("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json")
    eventually(
        lambda: KILLED in fleet.asked("get", "backtest", "eats", "-o", "jsonpath={.status.reason}"),
        what="the backtest to say what its pods die of",
        within_s=TOLD_WITHIN_S,
    )
    fleet.asked("delete", "backtest", "eats", f"--timeout={GONE_WITHIN_S}s", timeout_s=2 * GONE_WITHIN_S)
    fleet.asked("delete", "tradingbots", "eats", "loops", f"--timeout={GONE_WITHIN_S}s", timeout_s=2 * GONE_WITHIN_S)
    eventually(lambda: set(fleet.pods_of("simulation")) == set(), what="its pods to go", within_s=GONE_WITHIN_S)
    pods = len(fleet.items("pods"))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": pods}},
    }
    fleet.asked("apply", "-f", "-", given=json.dumps(quota))
    eventually(
        lambda: int(fleet.items("resourcequotas")[0].get("status", {}).get("used", {}).get("pods", 0)) >= pods,
        what="the quota to be counted",
        within_s=TOLD_WITHIN_S,
    )
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump(bot("no-room")))
    eventually(lambda: ready(fleet, "no-room")["reason"] == "QuotaExceeded", what="the quota", within_s=TOLD_WITHIN_S)
    assert "raise the ResourceQuota" in ready(fleet, "no-room")["message"]

    fleet.asked("delete", "resourcequota", "small")
    fleet.asked(
        "delete", "tradingbots", *BAD_BOTS, "no-room", f"--timeout={GONE_WITHIN_S}s", timeout_s=2 * GONE_WITHIN_S
    )
    assert fleet.pods_of("bot") == before, "its neighbours were left alone"


def ready(fleet: Fleet, name: str) -> dict[str, Any]:
    conditions = fleet.bots()[name].get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {"reason": "", "message": ""})


def test_helm_finds_the_installation_in_order(fleet: Fleet):
    assert "Phase:          Succeeded" in fleet.helm("test", RELEASE)


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


OWN = """
from workloads.strategy.api import Bar, Strategy


class Buyer(Strategy):
    def on_bar(self, bar: Bar) -> None:
        self.target(0.5)
"""
ROWS = """
SELECT 1704067200000 + 60000 * n AS open_time, 100.0 AS open, 102.0 AS high, 99.0 AS low, 100.0 + n % 3 AS close,
    5.0 AS volume
FROM generate_series(0, 299) AS n ORDER BY n"""


def own(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "tradefleet.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def code(text: str) -> str:
    """Return the ConfigMap of a bot's own strategy."""
    metadata = {"name": "own-code"}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"buyer.py": text}})


def test_a_bot_trades_by_code_of_a_config_map_on_rows_of_a_database(fleet: Fleet):
    """In its own market: the other one plays in lockstep, with the bots that it began with."""
    bodies = copy.deepcopy(market())
    exchange = next(body for body in bodies if body["kind"] == "Exchange")
    exchange["metadata"]["name"] = "own"
    strategy = {"name": "buyer:Buyer", "codeFrom": {"configMapRef": {"name": "own-code"}}}
    url = {"secretKeyRef": {"name": "own-prices", "key": "url"}}
    there = [
        exchange,
        own("Dataset", "rows", {"sql": [{"urlFrom": url, "query": ROWS, "instrument": "BTC-USD"}]}),
        own(
            "Feed",
            "rows",
            {"exchangeRef": {"name": "own"}, "replay": {"datasetRefs": [{"name": "rows"}], "speed": "60x"}},
        ),
        own(
            "TradingBot",
            "buyer",
            {
                "exchangeRef": {"name": "own"},
                "strategy": strategy,
                "instruments": ["BTC-USD"],
                "wallet": {"USD": "1000"},
            },
        ),
    ]
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all(there))
    fleet.asked("wait", "--for=jsonpath={.status.phase}=Pending", "--timeout=60s", "tradingbot/buyer", timeout_s=90)

    fleet.asked("apply", "-f", "-", given=code("import nowhere\n"))
    secret = json.loads(fleet.asked("get", "secret", DATABASE_SECRET, "-o", "json"))
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "own-prices"},
        "data": {"url": secret["data"]["url"]},
    }
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump(body))
    fleet.asked("wait", "--for=condition=Ready", "--timeout=120s", "dataset/rows", timeout_s=150)
    fleet.asked("wait", "--for=condition=Stalled", "--timeout=120s", "tradingbot/buyer", timeout_s=150)
    assert "buyer.py:1 in <module>: import nowhere" in fleet.bots()["buyer"]["reason"]

    fleet.asked("apply", "-f", "-", given=code(OWN))
    fleet.asked("wait", "--for=condition=Ready", "--timeout=180s", "tradingbot/buyer", timeout_s=200)
    eventually(lambda: fleet.bots()["buyer"].get("fills", 0), what=f"a fill of {fleet.bots()['buyer']}", within_s=120)


def test_candles_on_a_claim_are_read(fleet: Fleet, tmp_path: Path):
    """A claim that is not there is said; the volume here is a folder of this machine, which the node sees."""
    folder = tmp_path / "candles"
    folder.mkdir()
    lines = [f"{1_704_067_200_000 + 60_000 * n},100,102,99,100,5" for n in range(300)]
    (folder / "btc.csv").write_text("\n".join(["open_time,open,high,low,close,volume", *lines, ""]), encoding="utf-8")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    files = [{"path": "btc.csv", "instrument": "BTC-USD"}]
    dataset = own("Dataset", "archived", {"volume": {"claimName": "archive"}, "files": files})
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump(dataset))

    def said() -> str:
        (found,) = (each for each in fleet.items("datasets") if each["metadata"]["name"] == "archived")
        return str(found.get("status", {}).get("reason", ""))

    eventually(lambda: '"archive" not found' in said(), what=f"a word about the claim: {said()}", within_s=60)

    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "archive"},
        "spec": {**common, "capacity": {"storage": "1Mi"}, "hostPath": {"path": str(folder)}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "archive"},
        "spec": {**common, "volumeName": "archive", "resources": {"requests": {"storage": "1Mi"}}},
    }
    fleet.asked("apply", "-f", "-", given=yaml.safe_dump_all([volume, claim]))
    fleet.asked("wait", "--for=condition=Ready", "--timeout=150s", "dataset/archived", timeout_s=180)


RAN = (("venue", "simulator"), ("gateway", "simulator"), ("feed", "replay"))


def test_a_namespace_that_is_deleted_sells_its_positions_and_ends(fleet: Fleet):
    def status(kind: str, name: str) -> dict[str, Any]:
        found = json.loads(fleet.asked("get", kind, name, "--namespace", DESK, "-o", "json"))
        return dict(found.get("status", {}))

    bodies = one_bot(speed="600x", deletionPolicy="Flatten")
    fleet.asked("apply", "--namespace", DESK, "-f", "-", given=yaml.safe_dump_all(bodies))
    eventually(lambda: status("tradingbot", "alpha").get("fills"), what="a trade", within_s=2 * READY_WITHIN_S)
    ran = set()

    def is_gone() -> bool:
        ran.update(name for name in fleet.staying_pods() if name.startswith("ending-"))
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


def test_a_deleted_fleet_leaves_nothing_behind(fleet: Fleet):
    fleet.asked("delete", "tradefleet", "--all", f"--timeout={GONE_WITHIN_S}s", timeout_s=2 * GONE_WITHIN_S)

    eventually(lambda: fleet.ours() == [], what="all that was made for it to go", within_s=GONE_WITHIN_S)
