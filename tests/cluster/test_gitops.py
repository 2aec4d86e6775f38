"""`examples/gitops` on a real API server: overlays build, are accepted, pruned and reverted."""

import shutil
from pathlib import Path

import pytest
import yaml

from cluster.control_plane import kubectl
from tradefleet.resources.common import API_VERSION, Resource
from tradefleet.resources.load import parse_body

EXAMPLES = Path(__file__).parents[2] / "examples" / "gitops"
OVERLAYS = ("paper", "live")


def built(folder: Path, kubeconfig: Path) -> list[dict]:
    """What an overlay gives."""
    done = kubectl(kubeconfig, "kustomize", str(folder))
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def ours(bodies: list[dict]) -> list[Resource]:
    return [parse_body(body) for body in bodies if body["apiVersion"] == API_VERSION]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_says_what_the_models_take(kubeconfig: Path, overlay: str) -> None:
    resources = ours(built(EXAMPLES / "overlays" / overlay, kubeconfig))
    assert {each.metadata.namespace for each in resources} == {f"trading-{overlay}"}
    assert {"Exchange", "BotSet", "RiskPolicy"} <= {each.kind for each in resources}


def test_only_the_live_overlay_is_live_and_says_so_twice(kubeconfig: Path) -> None:
    modes = {}
    for overlay in OVERLAYS:
        bodies = {body["kind"]: body["spec"] for body in built(EXAMPLES / "overlays" / overlay, kubeconfig)}
        modes[overlay] = (bodies["Exchange"].get("mode"), bodies["BotSet"]["template"]["spec"].get("mode"))
    assert modes == {"paper": (None, None), "live": ("live", "live")}


def test_no_key_is_in_git() -> None:
    secrets = [path for path in EXAMPLES.rglob("*.yaml") if "kind: Secret\n" in path.read_text(encoding="utf-8")]
    assert secrets == []


@pytest.fixture
def repository(tmp_path: Path, namespace: str) -> Path:
    """A copy of the example, whose paper overlay goes into a namespace of the test's own."""
    copy = tmp_path / "fleet"
    shutil.copytree(EXAMPLES, copy)
    overlay = copy / "overlays" / "paper" / "kustomization.yaml"
    overlay.write_text(overlay.read_text(encoding="utf-8").replace("trading-paper", namespace), encoding="utf-8")
    return copy


def sync(kubeconfig: Path, repository: Path) -> None:
    """Do what a GitOps agent does: apply, and delete what is not there any more."""
    done = kubectl(
        kubeconfig,
        *("apply", "-k", str(repository / "overlays" / "paper")),
        *("--prune", "--selector", "environment=paper"),
        *(
            f"--prune-allowlist={API_VERSION}/{kind}"
            for kind in ("BotSet", "Dataset", "Exchange", "Feed", "RiskPolicy")
        ),
    )
    assert done.returncode == 0, done.stderr


def found(kubeconfig: Path, namespace: str) -> set[str]:
    """The names of what is there, as kubectl says them."""
    done = kubectl(kubeconfig, "get", "tradefleet", "--namespace", namespace, "-o", "name")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_merge_a_removal_and_its_revert_arrive(kubeconfig: Path, namespace: str, repository: Path) -> None:
    sync(kubeconfig, repository)
    whole = found(kubeconfig, namespace)
    names = {"botset": "trend", "dataset": "made-up-market", "exchange": "exchange", "feed": "replay"}
    assert whole == {f"{kind}.tradefleet.dev/{name}" for kind, name in {**names, "riskpolicy": "desk"}.items()}

    base = repository / "base" / "kustomization.yaml"
    text = base.read_text(encoding="utf-8")
    base.write_text(text.replace("  - risk.yaml\n", ""), encoding="utf-8")
    sync(kubeconfig, repository)
    assert found(kubeconfig, namespace) == whole - {"riskpolicy.tradefleet.dev/desk"}

    base.write_text(text, encoding="utf-8")
    sync(kubeconfig, repository)
    assert found(kubeconfig, namespace) == whole
