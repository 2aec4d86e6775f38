"""A BotSet at a real API server: made, changed a few at a time, halted by a bot that fails, and taken back."""

import json
from typing import Any

from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.test_governor import (  # noqa: F401 - fixtures
    apply,
    cluster,
    condition,
    governor,
    one_bot,
    started,
    status_of,
)
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures

WITHIN_S = 120.0
SET: dict[str, Any] = {
    "apiVersion": "tradefleet.dev/v1alpha1",
    "kind": "BotSet",
    "metadata": {"name": "many"},
    "spec": {
        "matrix": {
            "strategies": [{"name": "dca", "paramLists": {"every_bars": [2, 3, 4, 5]}}],
            "instruments": ["BTC-USD"],
        },
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
        "maxUnavailable": "2",
    },
}
BOTS = [f"many-dca-every-bars-{number}-btc-usd" for number in (2, 3, 4, 5)]
FAILED = {"exitCode": 4, "message": json.dumps({"reason": "StrategyError", "message": "on_bar raised"})}


def test_a_change_of_a_set_is_halted_by_a_bot_that_fails_and_goes_on_when_it_is_mended(
    governor: GovernorProcess,  # noqa: F811
    cluster: Cluster,  # noqa: F811
):
    *market, _ = one_bot()
    started(governor, cluster, *market, SET)
    for name in ("venue-simulator", "gateway-simulator", "feed-replay", *(f"bot-{bot}" for bot in BOTS)):
        cluster.play_pod(name, ready=True)
    until(governor, lambda: condition(cluster, "BotSet", "many", "Ready")["status"] == "True", "the set")
    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/botsets/many"

    assert cluster.api.patch(place, {"spec": {"template": {"spec": {"seed": 7}}}}).accepted
    until(governor, lambda: len(changed(cluster)) == 2, "two bots to be changed")
    good, bad = sorted(changed(cluster))
    turn(cluster, bad, ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": FAILED})
    turn(cluster, good, ready=True)

    stalled = until(
        governor,
        lambda: (found := condition(cluster, "BotSet", "many", "Stalled"))["reason"] == "ChangeHalted" and found,
        "the change to be halted",
    )
    assert (
        f"2 of 4 bots have it: mend the set or take the change back, the others go on as they are: {bad}"
        in (stalled["message"])
    )
    until(governor, lambda: condition(cluster, "TradingBot", good, "Ready")["status"] == "True", "the good one")
    assert sorted(changed(cluster)) == [good, bad]
    assert "ChangeHalted" in {each["reason"] for each in cluster.all("Event")}

    assert cluster.api.patch(place, {"spec": {"suspend": True}}).accepted
    until(governor, lambda: status_of(cluster, "BotSet", "many")["phase"] == "Stopped", "the set to be suspended")
    assert cluster.api.patch(place, {"spec": {"suspend": False, "template": {"spec": {"seed": 0}}}}).accepted
    until(governor, lambda: changed(cluster) == [], "the change to be taken back")
    for bot in (good, bad):
        turn(cluster, bot, ready=True)
    until(governor, lambda: condition(cluster, "BotSet", "many", "Ready")["status"] == "True", "the set to be well")

    strategies = [{"name": "dca", "paramLists": {"every_bars": [2, 3, 4]}}]
    assert cluster.api.patch(place, {"spec": {"matrix": {"strategies": strategies}}}).accepted
    gone = f"bot-{BOTS[3]}"
    until(governor, lambda: cluster.get("Deployment", gone) is None, "its process to be ended")
    assert cluster.api.delete(f"{cluster.path('Pod', gone)}?gracePeriodSeconds=0").accepted
    until(governor, lambda: sorted(bots(cluster)) == BOTS[:3], "what left the matrix to go")


def until(governor: GovernorProcess, look: Any, what: str) -> Any:  # noqa: F811
    return eventually(look, what=f"{what}: {governor.last_lines()}", patience_s=WITHIN_S)


def bots(cluster: Cluster) -> dict[str, dict[str, Any]]:  # noqa: F811
    found = cluster.api.get(f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots")["items"]
    return {each["metadata"]["name"]: each for each in found}


def changed(cluster: Cluster) -> list[str]:  # noqa: F811
    return [name for name, body in bots(cluster).items() if body["spec"].get("seed", 0) == 7]


def turn(cluster: Cluster, bot: str, *, ready: bool, **container: Any) -> None:  # noqa: F811
    """Let the pod of a changed bot take the place of the one before, once its Deployment says so."""
    name = f"bot-{bot}"
    before = digest(cluster.get("Pod", name))
    eventually(lambda: digest(cluster.get("Deployment", name)) != before, what=f"{name} to be changed")
    assert cluster.api.delete(f"{cluster.path('Pod', name)}?gracePeriodSeconds=0").accepted
    cluster.play_pod(name, ready=ready, **container)


def digest(body: dict[str, Any] | None) -> str:
    assert body is not None
    metadata = body["spec"]["template"]["metadata"] if body["kind"] == "Deployment" else body["metadata"]
    found: str = metadata["annotations"]["tradefleet.dev/digest"]
    return found
