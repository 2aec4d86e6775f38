"""The Governor at a real API server, with a real database and broker. There are no nodes: pods are played here."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from governor.local.broker import Broker

from tests.cluster.api import Api
from tests.cluster.conftest import ROOT
from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.kubelet import Kubelet
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures
from tradefleet.store import schema

FINALIZER = "tradefleet.dev/wind-down"
QUICKSTART = ROOT / "examples" / "quickstart"


@pytest.fixture
def governor(
    tmp_path: Path,
    api: Api,
    namespace: str,
    fresh_database: str,  # noqa: F811
    broker: Broker,  # noqa: F811
) -> Iterator[GovernorProcess]:
    """A Governor of the test's namespace, which has not been started."""
    schema.upgrade(fresh_database)
    process = GovernorProcess(
        tmp_path,
        api,
        database_url=fresh_database,
        bootstrap=broker.bootstrap,
        namespace=namespace,
        values={},
    )
    yield process
    process.kill()


@pytest.fixture
def cluster(api: Api, namespace: str) -> Cluster:
    return Cluster(api, namespace)


def quickstart() -> list[dict[str, Any]]:
    """Return the resources of the example that a new user applies."""
    return [
        body
        for path in sorted(QUICKSTART.glob("*.yaml"))
        for body in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def apply(cluster: Cluster, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        answer = cluster.api.create(copy.deepcopy(body), cluster.namespace)
        assert answer.accepted, answer.causes


def status_of(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    """Return the status of a resource, nothing when there is neither."""
    answer = cluster.api.read(kind, name, cluster.namespace)
    return answer.body.get("status", {}) if answer.accepted else {}


def condition(cluster: Cluster, kind: str, name: str, wanted: str) -> dict[str, Any]:
    conditions = status_of(cluster, kind, name).get("conditions", [])
    return next((each for each in conditions if each["type"] == wanted), {})


BOTS = [
    f"bot-quickstart-{strategy}-{instrument}"
    for strategy in ("bollinger", "buy-and-hold", "rsi-reversion", "sma-cross")
    for instrument in ("btc-usd", "ltc-usd")
]
MARKET = ["feed-replay", "gateway-simulator", "venue-simulator"]
MENDED_WITHIN_S = 10.0
TRADED_WITHIN_S = 120.0  # with seven processes starting on a busy machine


def started(governor: GovernorProcess, cluster: Cluster, *bodies: dict[str, Any]) -> None:
    """Start a Governor over these resources, and wait until it has nothing left to do."""
    apply(cluster, *bodies)
    governor.start()
    eventually(governor.is_ready, what="the Governor's first round")
    settled(governor, cluster)


def settled(governor: GovernorProcess, cluster: Cluster) -> dict[str, str]:
    """Return the versions of everything once nothing is written any more."""

    def quiet() -> dict[str, str]:
        before = cluster.everything()
        time.sleep(3)
        return before if cluster.everything() == before else {}

    return eventually(quiet, what=f"an end of writing: {governor.last_lines()}")


def one_bot(speed: str = "max", **spec: Any) -> list[dict[str, Any]]:
    """Return an exchange with a market and one bot."""
    exchange, dataset, feed = (body for body in quickstart() if body["kind"] != "BotSet")
    feed["spec"]["replay"]["speed"] = speed  # in lockstep it would be waited for until it has left the run
    return [
        exchange,
        dataset,
        feed,
        {
            "apiVersion": "tradefleet.dev/v1alpha1",
            "kind": "TradingBot",
            "metadata": {"name": "alpha"},
            "spec": {
                "exchangeRef": {"name": "simulator"},
                "strategy": {"name": "buy-and-hold"},
                "instruments": ["BTC-USD"],
                "wallet": {"USD": "100"},
                **spec,
            },
        },
    ]


def test_the_quickstart_becomes_a_fleet_and_then_nothing_is_written(governor: GovernorProcess, cluster: Cluster):
    started(governor, cluster, *quickstart())

    assert cluster.names("Deployment") == [*BOTS, *MARKET]
    assert cluster.names("ServiceAccount") == [*BOTS, *MARKET]
    assert cluster.names("Service") == ["venue-simulator"]
    assert len(cluster.names("Secret")) == len(cluster.names("NetworkPolicy")) == 12, "and those of the dataset's job"
    bots = cluster.api.get(f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots")["items"]
    (bot_set,) = (cluster.api.read("BotSet", "quickstart", cluster.namespace).body,)
    assert {bot["metadata"]["ownerReferences"][0]["uid"] for bot in bots} == {bot_set["metadata"]["uid"]}
    assert all(FINALIZER in bot["metadata"]["finalizers"] for bot in bots)
    assert {bot["status"]["phase"] for bot in bots} == {"Starting"}
    assert condition(cluster, "Exchange", "simulator", "Ready")["reason"] == "Starting"
    assert len(settled(governor, cluster)) > 50
    assert governor.stop() == 0


def test_a_changed_or_deleted_child_is_soon_as_it_should_be(governor: GovernorProcess, cluster: Cluster):
    started(governor, cluster, *one_bot())
    before = {kind: cluster.get(kind, "venue-simulator") for kind in CHANGES}

    for kind, change in CHANGES.items():
        assert cluster.api.patch(cluster.path(kind, "venue-simulator"), change).accepted, kind
    for kind in CHANGES:
        eventually(
            lambda kind=kind: _content(cluster.get(kind, "venue-simulator")) == _content(before[kind]),
            what=f"the {kind} was changed",
            patience_s=MENDED_WITHIN_S,
        )

    for kind in CHANGES:
        assert cluster.api.delete(cluster.path(kind, "venue-simulator")).accepted, kind
    for kind in CHANGES:
        eventually(
            lambda kind=kind: _content(cluster.get(kind, "venue-simulator")) == _content(before[kind]),
            what=f"the {kind} was deleted",
            patience_s=MENDED_WITHIN_S,
        )


CHANGES: dict[str, dict[str, Any]] = {
    "Deployment": {"spec": {"replicas": 3, "template": {"spec": {"hostNetwork": True}}}},
    "ConfigMap": {"data": {"settings.json": "{}", "more": "of it"}},
    "Secret": {"data": {"database-url": "bm9uZQ=="}},
    "Service": {"spec": {"selector": {"app": "somebody-else"}}},
    "ServiceAccount": {"automountServiceAccountToken": True},
    "NetworkPolicy": {"spec": {"egress": [{}], "ingress": [{}]}},
}


def _content(body: dict[str, Any] | None) -> object:
    if body is None:
        return None
    metadata = {name: body["metadata"].get(name) for name in ("labels", "ownerReferences")}
    return [metadata, *(body.get(part) for part in ("spec", "data", "automountServiceAccountToken"))]


def logins(url: str) -> set[str]:
    """Return the components that have log-ins, but for the Governor's own."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT component FROM tradefleet.login_role JOIN pg_roles ON rolname = role")
        return {component for (component,) in rows.fetchall()} - {"supervisor"}


def test_what_is_deleted_is_wound_down_and_gone_with_all_that_was_its(
    governor: GovernorProcess,
    cluster: Cluster,
    fresh_database: str,  # noqa: F811
):
    started(governor, cluster, *one_bot())
    assert "bot-alpha" in cluster.names("Deployment")
    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"

    assert cluster.api.delete(place).accepted

    eventually(lambda: cluster.api.get(place).get("code") == 404, what=f"the bot to go: {governor.last_lines()}")
    for kind in ("Deployment", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy"):
        eventually(lambda kind=kind: "bot-alpha" not in cluster.names(kind), what=f"its {kind} to go")
    assert "gateway-simulator" in cluster.names("Deployment")
    assert logins(fresh_database) == {"venue", "gateway", "feed", "backtest"}

    for kind, name in (("exchanges", "simulator"), ("feeds", "replay"), ("datasets", "made-up-market")):
        place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/{kind}/{name}"
        assert cluster.api.delete(place).accepted
    for kind in ("Deployment", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy", "Service", "Job"):
        eventually(lambda kind=kind: cluster.names(kind) == [], what=f"every {kind} to go")
    eventually(lambda: logins(fresh_database) == set(), what="their log-ins to go")


def test_a_second_governor_waits_and_takes_over_without_a_write(
    governor: GovernorProcess, cluster: Cluster, tmp_path: Path
):
    started(governor, cluster, *one_bot())
    before = settled(governor, cluster)
    second = governor.twin(tmp_path)
    try:
        second.start(holder="governor-2")
        eventually(second.is_ready, what="the second one to stand by")
        assert holder_of(cluster) == "governor-1"

        assert governor.stop() == 0
        eventually(
            lambda: (cluster.get("Lease", "tradefleet") or {})["spec"]["holderIdentity"] == "governor-2", what="it"
        )
        eventually(lambda: "message" in second.last_lines() and second.is_ready(), what="its rounds")
        assert cluster.api.delete(cluster.path("ConfigMap", "bot-alpha")).accepted
        eventually(lambda: cluster.get("ConfigMap", "bot-alpha"), what="it to work")

        after = cluster.everything()
        del before["ConfigMap/bot-alpha"], after["ConfigMap/bot-alpha"]
        assert after == before, "it found all as it should be"
    finally:
        second.kill()


def holder_of(cluster: Cluster) -> str:
    lease = cluster.get("Lease", "tradefleet")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


def test_a_governor_that_was_killed_goes_on_where_it_was(governor: GovernorProcess, cluster: Cluster):
    apply(cluster, *quickstart())
    governor.start()
    eventually(lambda: len(cluster.names("Deployment")) > 3, what="its work to begin")
    governor.kill()

    governor.start()
    eventually(governor.is_ready, what="the next one's rounds")
    before = settled(governor, cluster)
    assert cluster.names("Deployment") == [*BOTS, *MARKET]

    governor.kill()
    governor.start()
    eventually(governor.is_ready, what="the third one's rounds")
    assert settled(governor, cluster) == before, "nothing was left to write"


def test_somebody_elses_object_is_left_alone_and_told_of(governor: GovernorProcess, cluster: Cluster):
    mine = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "bot-alpha"},
        "data": {"theirs": "yes"},
    }
    assert cluster.api.post(cluster.path("ConfigMap"), mine).accepted

    started(governor, cluster, *one_bot())

    found = cluster.get("ConfigMap", "bot-alpha")
    assert found is not None
    assert found["data"] == {"theirs": "yes"}
    stalled = condition(cluster, "TradingBot", "alpha", "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NameTaken")
    assert "rename it or delete it" in stalled["message"]
    assert cluster.names("Deployment") == MARKET, "its neighbours run"

    assert cluster.api.delete(cluster.path("ConfigMap", "bot-alpha")).accepted

    eventually(lambda: "bot-alpha" in cluster.names("Deployment"), what="the mended cause to heal")


def test_pods_make_their_resources_ready(governor: GovernorProcess, cluster: Cluster):
    started(governor, cluster, *one_bot())

    for name in (*MARKET, "bot-alpha"):
        cluster.play_pod(name, ready=True)

    for kind, name in (("Exchange", "simulator"), ("Feed", "replay"), ("TradingBot", "alpha")):
        eventually(lambda k=kind, n=name: condition(cluster, k, n, "Ready")["status"] == "True", what=f"{kind} {name}")

    last = {"exitCode": 4, "message": json.dumps({"reason": "NonDeterministic", "message": "request 7 differs"})}
    cluster.play_pod("bot-alpha", ready=False, restartCount=1, lastState={"terminated": last})

    stalled = eventually(
        lambda: (found := condition(cluster, "TradingBot", "alpha", "Stalled"))["status"] == "True" and found,
        what="the bot to stall",
    )
    assert (stalled["reason"], stalled["message"]) == ("NonDeterministic", "request 7 differs")
    eventually(
        lambda: {"ProcessEnded", "NonDeterministic"} <= {each["reason"] for each in cluster.all("Event")},
        what="events of it",
    )


def test_only_a_persons_word_brings_a_change_into_a_bot_that_is_updated_by_hand(
    governor: GovernorProcess, cluster: Cluster
):
    started(governor, cluster, *one_bot(updateStrategy="Manual"))
    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"

    def deployment() -> dict[str, Any]:
        found = cluster.get("Deployment", "bot-alpha")
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    before = deployment()
    unrelated = {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    assert cluster.api.patch(place, {"metadata": unrelated}).accepted
    change = {"podTemplate": {"nodeSelector": {"disk": "fast"}}, "sizing": {"fraction": "0.5"}}
    assert cluster.api.patch(place, {"spec": change}).accepted

    drift = eventually(
        lambda: (found := condition(cluster, "TradingBot", "alpha", "ConfigDrift")).get("status") == "True" and found,
        what="the drift to be told",
    )
    assert "`tradefleet rollout alpha`" in drift["message"]
    settled(governor, cluster)
    assert deployment() == before
    generation = cluster.api.get(place)["metadata"]["generation"]

    noted = {"annotations": {"tradefleet.dev/rollout": str(generation)}}
    assert cluster.api.patch(place, {"metadata": noted}).accepted

    eventually(
        lambda: deployment()["template"]["spec"].get("nodeSelector") == {"disk": "fast"}, what="the pod's new place"
    )
    eventually(
        lambda: condition(cluster, "TradingBot", "alpha", "ConfigDrift").get("status") == "False", what="no drift"
    )
    (told,) = cluster.settings("bot-alpha")["bots"]
    assert (told["generation"], told["sizing"]["fraction"]) == (generation, 0.5)
    assert cluster.api.patch(place, {"spec": {"podTemplate": None}}).accepted
    settled(governor, cluster)
    assert deployment()["template"]["spec"].get("nodeSelector") == {"disk": "fast"}, "the next change waits again"


def test_a_bot_that_moves_leaves_no_process_behind(governor: GovernorProcess, cluster: Cluster):
    started(governor, cluster, *one_bot())
    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"

    for placement, there, gone in (("Shared", "host-simulator-0", "bot-alpha"), ("Dedicated", "bot-alpha", "host-")):
        assert cluster.api.patch(place, {"spec": {"placement": placement}}).accepted
        eventually(lambda there=there: there in cluster.names("Deployment"), what=f"{there}")
        for kind in ("Deployment", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy"):
            eventually(
                lambda kind=kind, gone=gone: not [each for each in cluster.names(kind) if each.startswith(gone)],
                what=f"the {kind} of {gone} to go",
            )


def test_a_dataset_is_read_by_a_job_whose_result_outlives_it(governor: GovernorProcess, cluster: Cluster):
    started(governor, cluster, *one_bot())
    (job,) = cluster.names("Job")
    (before,) = cluster.all("Job")
    damage = {"metadata": {"ownerReferences": None}, "spec": {"suspend": True}}
    assert cluster.api.patch(cluster.path("Job", job), damage).accepted

    def is_mended() -> bool:
        (now,) = cluster.all("Job")
        is_owned = now["metadata"].get("ownerReferences") == before["metadata"]["ownerReferences"]
        return is_owned and not now["spec"]["suspend"]

    eventually(is_mended, what="the job to be somebody's, and to go on")
    result = {"bars": 4320, "gaps": 0, "missingBars": 0, "firstUs": 0, "lastUs": 60_000_000, "contentHash": "sha256:1"}

    cluster.play_job(job, {"result": result})

    eventually(lambda: condition(cluster, "Dataset", "made-up-market", "Ready")["status"] == "True", what="the dataset")
    assert status_of(cluster, "Dataset", "made-up-market")["bars"] == 4320
    eventually(lambda: cluster.names("Job") == [], what="the job to be cleared away")

    governor.kill()
    governor.start()
    eventually(governor.is_ready, what="the next Governor")
    settled(governor, cluster)
    assert cluster.names("Job") == [], "the result is known"
    assert condition(cluster, "Dataset", "made-up-market", "Ready")["status"] == "True"


def test_a_fleet_trades_and_a_deleted_bot_sells_its_position(
    governor: GovernorProcess, cluster: Cluster, tmp_path: Path
):
    kubelet = Kubelet(cluster, tmp_path)

    def played(look: Callable[[], Any], what: str) -> Any:
        def step() -> Any:
            kubelet.step()
            return look()

        return eventually(step, what=what, patience_s=TRADED_WITHIN_S)

    try:
        apply(cluster, *one_bot(speed="600x", deletionPolicy="Flatten"))
        governor.start()
        status = played(
            lambda: (found := status_of(cluster, "TradingBot", "alpha")).get("fills", 0) and found, "the bot to trade"
        )
        assert "BTC-USD" in status["position"]
        played(lambda: condition(cluster, "TradingBot", "alpha", "Ready")["status"] == "True", "the bot to be Ready")
        for kind, name in (("Exchange", "simulator"), ("Feed", "replay")):
            played(lambda k=kind, n=name: condition(cluster, k, n, "Ready")["status"] == "True", f"{kind} {name}")
        place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"

        assert cluster.api.delete(place).accepted

        said: set[str] = set()

        def is_gone() -> bool:
            said.add(str(status_of(cluster, "TradingBot", "alpha").get("reason", "")))
            return bool(cluster.api.get(place).get("code") == 404)

        played(is_gone, "the bot to sell and go")
        assert any("sells its position (deletionPolicy Flatten)" in each for each in said)
        assert "bot-alpha" not in cluster.names("Deployment")
    finally:
        kubelet.stop()
