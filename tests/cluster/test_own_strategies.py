"""Strategies of somebody's own in a cluster: from a ConfigMap into a bot's pod, and what is said when it cannot be."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import kubectl
from tests.cluster.conftest import ROOT
from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.kubelet import Kubelet
from tests.cluster.test_governor import apply, cluster, condition, governor, one_bot, status_of  # noqa: F401 - fixtures
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures

WITHIN_S = 120.0

BUYER = """
from workloads.strategy.api import Bar, Strategy, param


class Buyer(Strategy):
    part: float = param(0.5, ge=0.1, le=1.0)

    def on_bar(self, bar: Bar) -> None:
        self.target(self.part)
"""
RAISES = BUYER.replace("self.target(self.part)", "self.target(self.parts)")


class Stage:
    """A Governor and a kubelet over one namespace."""

    def __init__(self, cluster: Cluster, governor: GovernorProcess, kubelet: Kubelet) -> None:  # noqa: F811
        self.cluster = cluster
        self.governor = governor
        self.kubelet = kubelet

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Return what `look` finds, as soon as it finds something, while pods and jobs run."""

        def step() -> Any:
            self.kubelet.step()
            return look()

        return eventually(step, what=f"{what}: {self.governor.last_lines()}", patience_s=WITHIN_S)

    def until_alone(self, look: Callable[[], Any]) -> Any:
        """Return what `look` finds, as soon as it finds something, while no pod runs."""
        return eventually(look, what=self.governor.last_lines(), patience_s=WITHIN_S)

    def says(self, kind: str, name: str, **wanted: str) -> dict[str, Any]:
        """Wait for a condition: its type, and parts of what it says."""
        sort = wanted.pop("type", "Stalled")

        def look() -> dict[str, Any]:
            found = condition(self.cluster, kind, name, sort)
            fits = all(part in found.get(field, "") for field, part in wanted.items())
            return found if fits and found else {}

        found: dict[str, Any] = self.until(look, f"{kind} {name} to say {wanted}")
        return found

    def code(self, **files: str) -> None:
        """Apply the ConfigMap with code, whatever it was before."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "my-code"},
            "data": {f"{name}.py": text for name, text in files.items()},
        }
        self.cluster.api.delete(self.cluster.path("ConfigMap", "my-code"))
        assert self.cluster.api.post(self.cluster.path("ConfigMap"), body).accepted


@pytest.fixture
def stage(
    cluster: Cluster,  # noqa: F811
    governor: GovernorProcess,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Stage]:
    kubelet = Kubelet(cluster, tmp_path)
    yield Stage(cluster, governor, kubelet)
    kubelet.stop()


def own_bot(**spec: Any) -> list[dict[str, Any]]:
    strategy = {"name": "buyer:Buyer", "codeFrom": {"configMapRef": {"name": "my-code"}}}
    return one_bot(speed="600x", strategy=strategy, **spec)


def deployed(stage: Stage) -> dict[str, Any]:
    found = stage.cluster.get("Deployment", "bot-alpha")
    return {} if found is None else found


def code_of_pod(stage: Stage) -> str:
    """Return the modules that the bot's pod is to have."""
    volumes = deployed(stage)["spec"]["template"]["spec"]["volumes"]
    (name,) = (each["configMap"]["name"] for each in volumes if each["name"] == "code")
    found = stage.cluster.get("ConfigMap", name)
    assert found is not None
    text: str = found["data"]["buyer.py"]
    return text


def test_a_strategy_from_a_config_map_trades_and_its_change_is_a_change_of_the_bot(stage: Stage):
    apply(stage.cluster, *own_bot())
    stage.governor.start()

    waits = stage.says("TradingBot", "alpha", type="Ready", reason="CodeNotFound")
    assert "waits for ConfigMap my-code" in waits["message"]
    assert "apply it" in waits["message"]
    assert deployed(stage) == {}

    stage.code(buyer="def broken(:\n")
    refused = stage.says("TradingBot", "alpha", reason="StrategyRefused", status="True")
    assert "SyntaxError" in refused["message"]
    assert "(buyer.py, line 1)" in refused["message"]

    stage.code(buyer=BUYER)
    stage.until(lambda: status_of(stage.cluster, "TradingBot", "alpha").get("fills", 0), "the bot to trade")
    stage.says("TradingBot", "alpha", type="Ready", status="True")
    first = deployed(stage)["metadata"]["annotations"]["tradefleet.dev/digest"]

    # A change that cannot be run does not replace what trades.
    stage.code(buyer="import nothing_of_this_name\n" + BUYER)
    refused = stage.says("TradingBot", "alpha", reason="StrategyRefused", status="True")
    assert "nothing_of_this_name" in refused["message"]
    assert "(buyer.py:1 in <module>" in refused["message"]
    assert "goes on as it was before" in refused["message"]
    assert deployed(stage)["metadata"]["annotations"]["tradefleet.dev/digest"] == first
    assert code_of_pod(stage) == BUYER

    stage.code(buyer=RAISES)
    stalled = stage.says("TradingBot", "alpha", reason="StrategyError", status="True")
    assert "buyer.py:9 in on_bar: self.target(self.parts)" in stalled["message"]
    assert deployed(stage)["metadata"]["annotations"]["tradefleet.dev/digest"] != first

    stage.code(buyer=BUYER.replace("0.5", "0.25"))
    stage.says("TradingBot", "alpha", type="Ready", status="True")
    reasons = {each["reason"] for each in stage.cluster.all("Event")}
    assert {"CodeNotFound", "StrategyRefused", "StrategyError"} <= reasons


def test_with_manual_updates_new_code_waits_and_the_old_one_is_kept(stage: Stage):
    stage.code(buyer=BUYER)
    apply(stage.cluster, *own_bot(updateStrategy="Manual"))
    stage.governor.start()
    stage.says("TradingBot", "alpha", type="Ready", status="True")
    first = deployed(stage)["metadata"]["annotations"]["tradefleet.dev/digest"]

    changed = BUYER.replace("0.5", "0.25")
    stage.code(buyer=changed)
    drift = stage.says("TradingBot", "alpha", type="ConfigDrift", status="True", reason="CodeChanged")
    assert deployed(stage)["metadata"]["annotations"]["tradefleet.dev/digest"] == first
    assert code_of_pod(stage) == BUYER

    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{stage.cluster.namespace}/tradingbots/alpha"
    annotation, _, agreed = drift["message"].partition("tb alpha ")[2].partition(" ")[0].partition("=")
    assert stage.cluster.api.patch(place, {"metadata": {"annotations": {annotation: agreed}}}).accepted
    stage.until(lambda: code_of_pod(stage) == changed, "the new code to be taken")
    stage.says("TradingBot", "alpha", type="Ready", status="True")
    stage.says("TradingBot", "alpha", type="ConfigDrift", status="False")


def test_the_example_is_applied_backtested_and_trades(stage: Stage):
    done = kubectl(
        stage.cluster.api.kubeconfig,
        *("apply", "--namespace", stage.cluster.namespace, "-k", str(ROOT / "examples" / "own-strategy")),
        timeout_s=WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    strategy = {"name": "breakout:Breakout", "codeFrom": {"configMapRef": {"name": "own-strategies"}}}
    body = {
        "apiVersion": "tradefleet.dev/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "breakout"},
        "spec": {
            "strategy": strategy,
            "datasetRef": {"name": "own-market"},
            "exchangeRef": {"name": "own-simulator"},
            "instruments": ["BTC-USD"],
            "wallet": {"USD": "10000"},
        },
    }
    apply(stage.cluster, body)
    stage.governor.start()

    stage.says("Backtest", "breakout", type="Ready", status="True", reason="Complete")
    stage.says("TradingBot", "breakout", type="Ready", status="True")
    stage.until(lambda: status_of(stage.cluster, "TradingBot", "breakout").get("equity"), "its first figures")
