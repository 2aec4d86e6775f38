"""The Lease, the client and the store of resources at a real API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from governor.annotations import FINALIZER
from governor.kubernetes.cache import Cache
from governor.kubernetes.client import (
    CONFIG_MAP,
    LEASE,
    MANAGER,
    Api,
    Body,
    Conflict,
    NotFound,
    Refused,
    Unreachable,
    custom,
)
from governor.kubernetes.events import Events
from governor.kubernetes.lease import HOLD_S, LENGTH_S, GovernorLease, LeaseLost
from governor.kubernetes.login import FileLogin
from governor.kubernetes.resources import CUSTOM, FIGURES_EVERY_S, ClusterResources
from governor.reporting import plain
from governor.sets import change_of

from tests.cluster.api import Api as Client
from tests.unit.resources.cases import BOT, EXCHANGE
from tradefleet.domain.errors import Retryable
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.problems import InvalidResource

BOT_SET: Body = {
    "apiVersion": "tradefleet.dev/v1alpha1",
    "kind": "BotSet",
    "metadata": {"name": "many"},
    "spec": {
        "matrix": {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD", "LTC-USD"]},
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
    },
}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(kubeconfig: Any) -> Iterator[Api]:
    """Our client, as the administrator."""
    client = Api(FileLogin(kubeconfig))
    yield client
    client.close()


# --- client -----------------------------------------------------------------------------------------------------------


def config_map(namespace: str, **data: str) -> Body:
    metadata = {"namespace": namespace, "name": "one"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_an_apply_makes_changes_and_takes_back_its_own_fields_alone(server: Api, namespace: str):
    server.apply(CONFIG_MAP, config_map(namespace, a="1", b="2"), is_ours=True)
    server.merge(CONFIG_MAP, namespace, "one", {"data": {"theirs": "3"}})

    changed = server.apply(CONFIG_MAP, config_map(namespace, a="9"), is_ours=True)

    assert changed["data"] == {"a": "9", "theirs": "3"}
    assert {each["manager"] for each in changed["metadata"]["managedFields"]} == {MANAGER}


def test_only_a_missing_object_is_not_found(server: Api, namespace: str):
    with pytest.raises(NotFound):
        server.get(CONFIG_MAP, namespace, "one")
    with pytest.raises(Unreachable):
        server.get(custom("Nothing", "nothings"), namespace, "one")
    with pytest.raises(Unreachable):
        server.list(custom("Nothing", "nothings"), namespace)


def test_a_stale_patch_is_a_conflict(server: Api, namespace: str):
    old = server.apply(CONFIG_MAP, config_map(namespace, a="1"), is_ours=True)
    server.apply(CONFIG_MAP, config_map(namespace, a="2"), is_ours=True)
    version = {"resourceVersion": old["metadata"]["resourceVersion"]}

    with pytest.raises(Conflict):
        server.merge(CONFIG_MAP, namespace, "one", {"metadata": version, "data": {"a": "3"}})
    with pytest.raises(Conflict):
        server.rewrite(CONFIG_MAP, old, {**old, "data": {"a": "3"}})


def test_a_rewrite_takes_away_what_an_apply_leaves(server: Api, namespace: str):
    wanted = config_map(namespace, a="1")
    server.apply(CONFIG_MAP, wanted, is_ours=True)
    stored = server.merge(CONFIG_MAP, namespace, "one", {"data": {"theirs": "3"}})

    assert server.rewrite(CONFIG_MAP, stored, {**stored, "data": {"a": "1"}})["data"] == {"a": "1"}


def test_what_breaks_a_rule_is_refused(server: Api, namespace: str):
    with pytest.raises(Refused):
        server.apply(CONFIG_MAP, {**config_map(namespace), "data": {"bad key!": "1"}}, is_ours=True)


def test_a_deletion_spares_a_namesake(server: Api, namespace: str):
    server.apply(CONFIG_MAP, config_map(namespace), is_ours=True)

    server.delete(CONFIG_MAP, namespace, "one", uid="another")

    assert server.get(CONFIG_MAP, namespace, "one")


def test_without_a_permit_nothing_is_written(kubeconfig: Any, namespace: str):
    def refuse() -> None:
        raise LeaseLost("not ours")

    client = Api(FileLogin(kubeconfig), permit=refuse)

    with pytest.raises(LeaseLost):
        client.apply(CONFIG_MAP, config_map(namespace), is_ours=True)
    with pytest.raises(NotFound):
        client.get(CONFIG_MAP, namespace, "one")


def test_an_api_server_that_is_away_is_no_empty_cluster(kubeconfig: Any, namespace: str):
    login = FileLogin(kubeconfig)
    login.server = "https://127.0.0.1:1"

    with pytest.raises(Unreachable):
        Api(login).get(CONFIG_MAP, namespace, "one")


# --- lease ------------------------------------------------------------------------------------------------------------


def lease(server: Api, namespace: str, holder: str, clock: Clock) -> GovernorLease:
    return GovernorLease(server, namespace=namespace, name="governor", holder=holder, clock_s=clock)


def test_one_of_two_holds_the_lease(server: Api, namespace: str, clock: Clock):
    first, second = lease(server, namespace, "a", clock), lease(server, namespace, "b", clock)

    assert (first.try_once(), second.try_once()) == (True, False)

    first.check()
    with pytest.raises(LeaseLost, match="held by a"):
        second.check()


def test_a_lease_that_is_renewed_is_never_taken_over(server: Api, namespace: str, clock: Clock):
    first, second = lease(server, namespace, "a", clock), lease(server, namespace, "b", clock)
    for _ in range(10):
        assert first.try_once()
        assert not second.try_once()
        clock.now_s += LENGTH_S / 2


def test_the_holder_stops_before_anybody_else_may_begin(server: Api, namespace: str, clock: Clock):
    first, second = lease(server, namespace, "a", clock), lease(server, namespace, "b", clock)
    first.try_once()
    second.try_once()

    clock.now_s += HOLD_S
    with pytest.raises(LeaseLost):
        first.check()
    assert not second.try_once()

    clock.now_s += LENGTH_S - HOLD_S
    assert second.try_once()
    assert not first.try_once()


def test_a_lease_that_was_given_up_is_taken_at_once(server: Api, namespace: str, clock: Clock):
    first, second = lease(server, namespace, "a", clock), lease(server, namespace, "b", clock)
    first.try_once()

    first.give_up()

    assert second.try_once()
    with pytest.raises(LeaseLost):
        first.check()


def test_a_holder_that_starts_again_has_its_lease_at_once(server: Api, namespace: str, clock: Clock):
    lease(server, namespace, "a", clock).try_once()

    assert lease(server, namespace, "a", clock).try_once()


def test_giving_up_leaves_another_ones_lease_alone(server: Api, namespace: str, clock: Clock):
    first, second = lease(server, namespace, "a", clock), lease(server, namespace, "b", clock)
    first.try_once()
    second.try_once()
    clock.now_s += LENGTH_S
    assert second.try_once()

    first.give_up()

    assert server.get(LEASE, namespace, "governor")["spec"]["holderIdentity"] == "b"


# --- resources --------------------------------------------------------------------------------------------------------


class Store:
    """The store of resources of one namespace, listed anew before each look."""

    def __init__(self, server: Api, namespace: str, clock: Clock) -> None:
        self.server = server
        self.namespace = namespace
        self.cache = Cache()
        self.resources = ClusterResources(
            server, self.cache, Events(server, instance="test"), namespaces=[namespace], clock_s=clock
        )

    def all(self) -> dict[str, Resource]:
        for kind in CUSTOM.values():
            self.cache.refresh(kind, self.namespace, self.server.list(kind, self.namespace))
        return {each.metadata.name: each for each in self.resources.all()}


@pytest.fixture
def store(server: Api, namespace: str, clock: Clock) -> Iterator[Store]:
    made = Store(server, namespace, clock)
    yield made
    made.resources.close()


def test_nothing_is_known_before_everything_was_listed(store: Store):
    with pytest.raises(Retryable, match="not been listed yet"):
        store.resources.all()


def test_a_new_resource_gets_our_finalizer_before_anybody_sees_it(store: Store, api: Client):
    api.create(EXCHANGE, store.namespace)

    (exchange,) = store.all().values()

    stored = api.read("Exchange", exchange.metadata.name, store.namespace).body
    assert stored["metadata"]["finalizers"] == [FINALIZER]
    assert exchange.metadata.uid == stored["metadata"]["uid"]


def test_one_that_lost_its_finalizer_is_still_there_and_gets_it_again(store: Store, api: Client):
    api.create(EXCHANGE, store.namespace)
    (name,) = store.all()
    kind = CUSTOM["Exchange"]
    api.patch(kind.path(store.namespace, name), {"metadata": {"finalizers": []}})

    assert list(store.all()) == [name]
    assert api.read("Exchange", name, store.namespace).body["metadata"]["finalizers"] == [FINALIZER]


def test_a_status_is_written_once_and_figures_seldom(store: Store, api: Client, clock: Clock):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()
    uid = bot.metadata.uid or ""

    def version() -> str:
        return str(api.read("TradingBot", bot.metadata.name, store.namespace).body["metadata"]["resourceVersion"])

    store.resources.write_statuses({uid: {"phase": "Running", "equity": "1", "position": {"BTC-USD": "1"}}})
    first = version()
    store.resources.write_statuses({uid: {"phase": "Running", "equity": "1", "position": {"BTC-USD": "1"}}})
    store.resources.write_statuses({uid: {"phase": "Running", "equity": "2", "position": {}}})
    assert version() == first, "a figure waits"

    clock.now_s += FIGURES_EVERY_S
    store.resources.write_statuses({uid: {"phase": "Running", "equity": "2", "position": {"LTC-USD": "1"}}})
    store.resources.write_statuses({uid: {"phase": "Paused", "equity": "2"}})

    status = api.read("TradingBot", bot.metadata.name, store.namespace).body["status"]
    assert status == {"phase": "Paused", "equity": "2"}, "and what is not said any more is gone"


def test_a_stale_status_undoes_no_change_of_spec(store: Store, api: Client):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()
    kind = CUSTOM["TradingBot"]
    place = kind.path(store.namespace, bot.metadata.name)
    assert api.patch(place, {"spec": {"state": "Paused"}}).accepted

    store.resources.write_statuses({bot.metadata.uid or "": {"phase": "Running"}})

    stored = api.get(place)
    assert stored["spec"]["state"] == "Paused"
    assert "status" not in stored, "the next round, which knows of the change, says more"


def test_what_cannot_be_read_says_so_and_disturbs_nobody(store: Store, api: Client):
    api.create(BOT, store.namespace)
    store.all()
    # A rule about parameters, which the API server cannot see.
    broken = [{"name": "dca", "paramLists": {"every": []}}]
    spec = {**BOT_SET["spec"], "matrix": {**BOT_SET["spec"]["matrix"], "strategies": broken}}
    made = api.create({**BOT_SET, "spec": spec}, store.namespace)
    assert made.accepted, made.causes

    found = store.all()

    assert list(found) == [BOT["metadata"]["name"]]
    stored = api.read("BotSet", "many", store.namespace).body
    conditions = {each["type"]: each for each in stored["status"]["conditions"]}
    assert (conditions["Stalled"]["status"], conditions["Stalled"]["reason"]) == ("True", "InvalidSpec")
    assert "needs at least one value" in stored["status"]["reason"]
    assert store.resources.unreadable() == {stored["metadata"]["uid"]}
    before = stored["metadata"]["resourceVersion"]
    store.all()
    assert api.read("BotSet", "many", store.namespace).body["metadata"]["resourceVersion"] == before

    api.patch(CUSTOM["BotSet"].path(store.namespace, "many"), {"spec": {"matrix": {"strategies": [{"name": "dca"}]}}})

    assert sorted(store.all()) == sorted(["many", BOT["metadata"]["name"]])
    assert store.resources.unreadable() == set()


def bots_of(store: Store) -> list[str]:
    found = store.all()
    (bot_set,) = (each for each in found.values() if isinstance(each, BotSet))
    change = change_of(bot_set, list(found.values()))
    changes = store.resources.apply(change.apply, owner=bot_set.metadata.uid)
    return [each.verb for each in changes]


def test_the_bots_of_a_set_are_made_once_and_belong_to_it(store: Store, api: Client):
    uid = api.create(BOT_SET, store.namespace).body["metadata"]["uid"]

    assert bots_of(store) == ["created", "created"]
    assert bots_of(store) == ["unchanged", "unchanged"]

    found = {name: each for name, each in store.all().items() if each.kind == "TradingBot"}
    assert [each.metadata.owner_references[0].uid for each in found.values()] == [uid, uid]
    name = next(iter(found))
    api.patch(CUSTOM["TradingBot"].path(store.namespace, name), {"spec": {"state": "Paused"}})
    assert sorted(bots_of(store)) == ["configured", "unchanged"]


def test_a_set_does_not_take_over_somebody_elses_bot(store: Store, api: Client):
    api.create(BOT_SET, store.namespace)
    bot_set = next(each for each in store.all().values() if isinstance(each, BotSet))
    bots = change_of(bot_set, []).apply
    theirs = {**BOT, "metadata": {"name": bots[0].metadata.name}}
    api.create(theirs, store.namespace)

    store.all()
    with pytest.raises(InvalidResource, match="was not made by this BotSet"):
        store.resources.apply(bots, owner=bot_set.metadata.uid)

    assert len([each for each in store.all().values() if each.kind == "TradingBot"]) == 1
    events = api.get(f"/apis/events.k8s.io/v1/namespaces/{store.namespace}/events")["items"]
    assert [(each["reason"], each["regarding"]["name"]) for each in events] == [("TradingBotRefused", "many")]


def test_a_deleted_resource_goes_when_we_let_it(store: Store, api: Client):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()

    assert store.resources.delete([bot.key]) == [bot.key]
    assert store.resources.delete([bot.key]) == []
    (ending,) = store.all().values()
    assert ending.metadata.deletion_timestamp is not None

    store.resources.remove(ending)

    assert store.all() == {}
    assert api.read("TradingBot", bot.metadata.name, store.namespace).status == 404


def test_a_namesake_that_was_made_since_is_not_let_go(store: Store, api: Client):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()
    metadata = bot.metadata.model_copy(update={"uid": "of-before"})

    store.resources.remove(bot.model_copy(update={"metadata": metadata}))

    stored = api.read("TradingBot", bot.metadata.name, store.namespace).body
    assert stored["metadata"]["finalizers"] == [FINALIZER]


def test_only_what_the_api_server_does_not_have_is_gone(store: Store, api: Client):
    api.create(BOT, store.namespace)
    bot = next(iter(store.all().values()))
    key, uid = bot.key, bot.metadata.uid or ""

    assert not store.resources.is_gone(key, uid)
    assert store.resources.is_gone(key, "of-before")
    assert store.resources.is_gone(key._replace(name="nobody"), uid)
    assert not store.resources.is_gone(key._replace(namespace="kube-system"), uid), "it is out of sight"


def test_what_befell_a_resource_is_an_event_told_once(store: Store, api: Client):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()

    for _ in range(3):
        store.resources.note(bot.key, "process ended", "oops")
    store.resources.note(ResourceKey("TradingBot", store.namespace, "nobody"), "process ended", "oops")

    (event,) = api.get(f"/apis/events.k8s.io/v1/namespaces/{store.namespace}/events")["items"]
    assert (event["reason"], event["note"], event["type"]) == ("ProcessEnded", "oops", "Warning")
    assert event["regarding"]["uid"] == bot.metadata.uid


def test_a_status_reads_back_as_it_was_written(store: Store, api: Client):
    api.create(BOT, store.namespace)
    (bot,) = store.all().values()
    status = {"phase": "Running", "equity": "12.5", "openOrders": 3}

    store.resources.write_statuses({bot.metadata.uid or "": status})

    (again,) = store.all().values()
    assert plain(again.status) == status
