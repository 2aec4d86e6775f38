"""A namespace that is deleted with bots in it: they are wound down from the operator's namespace, and it ends.

The API server is real, and so are gateway, venue and feed; the controller that empties a namespace is played here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from governor.kubernetes.job_manifests import JOB_LABEL
from governor.kubernetes.manifests import object_key
from governor.local.broker import Broker
from governor.workload import Role, workload_name

from tests.cluster.api import Api
from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.kubelet import Kubelet
from tests.cluster.test_governor import TRADED_WITHIN_S, apply, logins, one_bot, settled, status_of
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.store import schema

FINALIZER = "tradefleet.dev/wind-down"
BINDING = "tradefleet-governor"
WORKLOADS = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy", "Job")


class NamespaceController:
    """Does to a namespace that is being deleted what Kubernetes does: takes everything, and ends it when it is empty.

    Pods are left to the kubelet, which ends them when their Deployment is gone: that comes first, so that nothing can
    be wound down where it was.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._api = cluster.api
        self._name = cluster.namespace
        rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/"
        places = [place for kind, place in Cluster.PLACES.items() if kind != "Pod"]
        places += [rights + "roles", rights + "rolebindings"]
        places += [f"/apis/tradefleet.dev/v1alpha1/namespaces/{{}}/{kind.names.plural}" for kind in KINDS.values()]
        self._places = [place.format(self._name) for place in places]

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self._name}"

    def step(self) -> None:
        """Delete what is there, and the namespace itself once nothing is."""
        deployments, pods = (f"{place}/namespaces/{self._name}/" for place in ("/apis/apps/v1", "/api/v1"))
        if self._api.get(f"{deployments}deployments")["items"]:
            assert self._api.delete(f"{deployments}deployments").accepted
            return
        running = [each["metadata"] for each in self._api.get(f"{pods}pods")["items"]]
        for pod in running:
            if JOB_LABEL in pod["labels"]:  # it has ended, and no kubelet waits for it
                assert self._api.delete(f"{pods}pods/{pod['name']}?gracePeriodSeconds=0").accepted
        if running:
            return
        for place in self._places:
            assert self._api.delete(f"{place}?propagationPolicy=Background").accepted, place
        if not self.left():
            body = self._api.get(self.path)
            if body["kind"] == "Namespace":
                body["spec"]["finalizers"] = []
                self._api._send("PUT", f"{self.path}/finalize", body, strict=False)

    def left(self) -> list[str]:
        """Return the paths under which something is left."""
        return [place for place in self._places if self._api.get(place)["items"]]

    def is_gone(self) -> bool:
        return bool(self._api.get(self.path).get("code") == 404)


@pytest.fixture
def bots(api: Api, namespace: str) -> Cluster:
    """A namespace with bots, which is not the operator's."""
    name = f"{namespace}-bots"
    assert api.create_namespace(name).accepted
    return Cluster(api, name)


@pytest.fixture
def own(api: Api, namespace: str) -> Cluster:
    """The operator's namespace."""
    return Cluster(api, namespace)


@pytest.fixture
def governor(
    tmp_path: Path,
    own: Cluster,
    bots: Cluster,
    fresh_database: str,  # noqa: F811
    broker: Broker,  # noqa: F811
) -> Iterator[GovernorProcess]:
    """A Governor that looks after another namespace than its own. It has not been started."""
    schema.upgrade(fresh_database)
    process = GovernorProcess(
        tmp_path,
        own.api,
        database_url=fresh_database,
        bootstrap=broker.bootstrap,
        namespace=own.namespace,
        values={"watchNamespaces": [bots.namespace]},
    )
    yield process
    process.kill()


@pytest.fixture
def play(own: Cluster, bots: Cluster, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Waits for something while the pods of both namespaces run."""
    kubelets = []
    for each in (own, bots):
        folder = tmp_path / each.namespace
        folder.mkdir()
        kubelets.append(Kubelet(each, folder))

    def until(look: Callable[[], Any], what: str, *, also: Callable[[], None] = lambda: None) -> Any:
        def step() -> Any:
            also()
            for kubelet in kubelets:
                kubelet.step()
            return look()

        return eventually(step, what=what, patience_s=TRADED_WITHIN_S)

    yield until
    for kubelet in kubelets:
        kubelet.stop()


def binding(bots: Cluster) -> dict[str, Any]:
    """Return what gives the operator its rights among the bots."""
    return bots.api.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{bots.namespace}/rolebindings/{BINDING}")


def lots_held(url: str) -> int:
    """Return what all bots hold, by the fills that were booked."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(CASE side WHEN 'BUY' THEN lots ELSE -lots END), 0) FROM tradefleet.fill"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_deleted_namespace_sells_its_positions_and_ends(
    governor: GovernorProcess,
    own: Cluster,
    bots: Cluster,
    play: Callable[..., Any],
    fresh_database: str,  # noqa: F811
) -> None:
    apply(bots, *one_bot(speed="600x", deletionPolicy="Flatten"))
    governor.start()
    play(lambda: status_of(bots, "TradingBot", "alpha").get("fills", 0), "the bot to trade")
    assert FINALIZER in binding(bots)["metadata"]["finalizers"]
    assert own.names("Deployment") == []
    assert lots_held(fresh_database) > 0
    controller = NamespaceController(bots)

    assert bots.api.delete(controller.path).accepted
    eventually(lambda: "deletionTimestamp" in bots.api.get(controller.path)["metadata"], what="it to be ending")

    seen: set[str] = set()

    def is_gone() -> bool:
        seen.update(own.names("Deployment"))
        return controller.is_gone()

    play(is_gone, f"the namespace to end: {governor.last_lines()}", also=controller.step)
    assert seen == {
        away(bots, Role.VENUE, "Exchange", "simulator"),
        away(bots, Role.GATEWAY, "Exchange", "simulator"),
        away(bots, Role.FEED, "Feed", "replay"),
    }, "the bot itself is not run there"
    assert lots_held(fresh_database) == 0
    for kind in WORKLOADS:
        play(lambda kind=kind: own.names(kind) == [], f"every {kind} to go")
    assert logins(fresh_database) == set()
    assert governor.is_ready()


def test_a_lockstep_run_goes_on_beside_the_operator_until_its_bots_have_sold(
    governor: GovernorProcess,
    own: Cluster,
    bots: Cluster,
    play: Callable[..., Any],
    fresh_database: str,  # noqa: F811
) -> None:
    bodies = one_bot(speed="lockstep", deletionPolicy="Flatten")
    for body in bodies:
        if body["kind"] == "Dataset":
            body["spec"]["synthetic"]["bars"] = 100_000  # longer than the test
    apply(bots, *bodies)
    governor.start()
    play(lambda: status_of(bots, "TradingBot", "alpha").get("fills", 0), "the bot to trade")
    controller = NamespaceController(bots)

    assert bots.api.delete(controller.path).accepted

    seen: set[str] = set()

    def is_gone() -> bool:
        seen.update(own.names("Deployment"))
        return controller.is_gone()

    play(is_gone, f"the namespace to end: {governor.last_lines()}", also=controller.step)
    assert away(bots, Role.BOT, "TradingBot", "alpha") in seen, "everybody waits for a bot that takes part"
    assert lots_held(fresh_database) == 0
    play(lambda: own.names("Deployment") == [], "its workloads to go")


def away(bots: Cluster, role: Role, kind: str, name: str) -> str:
    """Return what a workload of a namespace that ends is called beside the operator."""
    owner = ResourceKey(kind, bots.namespace, name)
    return object_key(workload_name(role, owner), owner, "the-operators")[1]


def test_a_namespace_that_is_gone_holds_up_no_other(
    governor: GovernorProcess, own: Cluster, bots: Cluster, play: Callable[..., Any]
) -> None:
    (exchange, *_) = one_bot()
    apply(bots, exchange)
    governor.start()
    eventually(governor.is_ready, what="the first round")
    controller = NamespaceController(bots)
    assert bots.api.delete(controller.path).accepted
    play(controller.is_gone, "the namespace to end", also=controller.step)

    governor.kill()
    governor.start()

    eventually(governor.is_ready, what=f"a Governor that starts without it: {governor.last_lines()}")


def test_the_rights_are_let_go_with_the_last_resource(
    governor: GovernorProcess, bots: Cluster, play: Callable[..., Any]
) -> None:
    (exchange, *_) = one_bot()
    apply(bots, exchange)
    governor.start()
    eventually(lambda: FINALIZER in binding(bots)["metadata"].get("finalizers", []), what="the rights to be held")
    settled(governor, bots)

    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{bots.namespace}/exchanges/simulator"
    assert bots.api.delete(place).accepted

    eventually(lambda: "finalizers" not in binding(bots)["metadata"], what="the rights to be let go")
