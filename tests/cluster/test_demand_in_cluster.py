"""A Feed that the Governor makes for the demand of bots, at a real API server: made, changed, released, never taken."""

from typing import Any

from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.test_governor import (  # noqa: F401 - fixtures
    apply,
    cluster,
    condition,
    governor,
    one_bot,
    settled,
    started,
    status_of,
)
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures

WITHIN_S = 120.0


def test_a_feed_is_made_for_bots_and_goes_with_the_last_of_them(
    governor: GovernorProcess,  # noqa: F811
    cluster: Cluster,  # noqa: F811
):
    exchange, dataset, _, bot = _replayed()
    started(governor, cluster, exchange, dataset, bot)

    (feed,) = cluster.ours("Feed")
    owner = cluster.api.read("Exchange", "simulator", cluster.namespace).body["metadata"]
    (reference,) = feed["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"], reference["controller"]) == ("Exchange", owner["uid"], True)
    assert feed["metadata"]["labels"] == {"tradefleet.dev/derived-from": "simulator"}
    assert "feed-simulator" in cluster.names("Deployment")
    assert settled(governor, cluster), "it is written once"

    change = {"spec": {"simulator": {"replay": {"speed": "60x"}}}}
    assert cluster.api.patch(cluster.place("Exchange", "simulator"), change).accepted
    _until(governor, lambda: cluster.ours("Feed")[0]["spec"]["replay"]["speed"] == "60x", "the change")

    assert cluster.api.delete(cluster.place("Feed", "simulator")).accepted
    _until(governor, lambda: set(_uids(cluster)) - {feed["metadata"]["uid"]}, "it to be made again, since it is needed")

    assert cluster.api.patch(cluster.place("TradingBot", "alpha"), {"spec": {"state": "Stopped"}}).accepted
    _until(governor, lambda: cluster.ours("Feed") == [], "it to be released")
    assert "feed-simulator" not in cluster.names("Deployment")
    assert cluster.api.patch(cluster.place("TradingBot", "alpha"), {"spec": {"state": "Running"}}).accepted
    _until(governor, lambda: _uids(cluster), "it to be made anew")

    for each in (("TradingBot", "alpha"), ("Exchange", "simulator")):
        assert cluster.api.delete(cluster.place(*each)).accepted
    _until(governor, lambda: cluster.ours("Exchange") == cluster.ours("Feed") == [], "all of it to be gone")


def test_a_feed_of_the_users_own_wins_and_one_of_that_name_is_never_taken(
    governor: GovernorProcess,  # noqa: F811
    cluster: Cluster,  # noqa: F811
):
    exchange, dataset, own, bot = _replayed()
    posts = {"social": {"sources": [{"name": "mine:Posts"}]}}
    taken = {**own, "metadata": {"name": "simulator"}, "spec": posts}
    started(governor, cluster, exchange, dataset, bot, taken)

    stalled = condition(cluster, "Exchange", "simulator", "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "FeedNameTaken")
    assert "Feed simulator is there already and is not its own: delete that Feed" in stalled["message"]
    assert stalled["message"] in status_of(cluster, "TradingBot", "alpha")["reason"]
    assert "ownerReferences" not in cluster.ours("Feed")[0]["metadata"]
    assert cluster.ours("Feed")[0]["spec"].keys() >= {"social"}

    assert cluster.api.delete(cluster.place("Feed", "simulator")).accepted
    _until(governor, lambda: "feed-simulator" in cluster.names("Deployment"), "the market to be played")
    assert condition(cluster, "Exchange", "simulator", "Stalled")["status"] == "False"

    apply(cluster, own)
    _until(
        governor, lambda: [each["metadata"]["name"] for each in cluster.ours("Feed")] == ["replay"], "the user's own"
    )
    _until(governor, lambda: "feed-replay" in cluster.names("Deployment"), "the user's own to play")


def _replayed() -> list[dict[str, Any]]:
    """Return an exchange that names its market, the data, a Feed of the user's own that plays it, too, and a bot."""
    exchange, dataset, feed, bot = one_bot()
    exchange["spec"]["simulator"] = {**exchange["spec"].get("simulator", {}), "replay": feed["spec"]["replay"]}
    return [exchange, dataset, feed, bot]


def _uids(cluster: Cluster) -> list[str]:  # noqa: F811
    feeds = (each["metadata"] for each in cluster.ours("Feed"))
    return [each["uid"] for each in feeds if "deletionTimestamp" not in each]


def _until(governor: GovernorProcess, look: Any, what: str) -> Any:  # noqa: F811
    return eventually(look, what=f"{what}: {governor.last_lines()}", patience_s=WITHIN_S)
