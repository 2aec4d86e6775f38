"""Which fleet a command works on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.api_server import kubeconfig
from tests.unit.cli.running import run
from tradefleet.cli.cluster_fleet import ClusterTarget, keepers_of, open_cluster, read_resource
from tradefleet.cli.fleet_target import NoFleet, Place, in_namespace, open_fleet
from tradefleet.domain.errors import Permanent
from tradefleet.resources.load import parse_text

HERE, FILE = Path("/data"), Path("/kubeconfig")
NOWHERE = "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("place", "environment", "is_in_cluster"),
    [
        (Place(), {}, False),
        (Place(namespace="paper"), {}, False),
        (Place(every_namespace=True), {}, False),
        (Place(context="production"), {}, True),
        (Place(kubeconfig=FILE), {}, True),
        (Place(), {"TRADEFLEET_CONTEXT": "production"}, True),
        (Place(), {"TRADEFLEET_CONTEXT": ""}, False),
        (Place(), {"KUBECONFIG": "/kubeconfig"}, False),
        (Place(data_dir=HERE), {"TRADEFLEET_CONTEXT": "production"}, False),
    ],
)
def test_a_cluster_is_chosen_by_an_option_or_by_the_environment_alone(place: Any, environment: Any, is_in_cluster: Any):
    assert place.is_in_cluster(environment) is is_in_cluster


@pytest.mark.parametrize(
    "place",
    [
        Place(data_dir=HERE, context="production"),
        Place(data_dir=HERE, kubeconfig=FILE),
        Place(namespace="paper", every_namespace=True),
    ],
)
def test_options_that_contradict_each_other_are_refused(place: Place):
    with pytest.raises(NoFleet, match=r"give only|exclude"):
        place.is_in_cluster({})


def test_without_any_fleet_both_ways_to_one_are_named(tmp_path: Path):
    environment = {"TRADEFLEET_HOME": str(tmp_path / "none")}
    with pytest.raises(NoFleet) as caught, open_fleet(Place(), environment):
        pass
    assert "tradefleet up FILES" in str(caught.value)
    assert "--context NAME" in str(caught.value)
    assert "TRADEFLEET_CONTEXT" in str(caught.value)


def written(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def opened(place: Place, environment: Any = None) -> ClusterTarget:
    found = open_cluster(place, environment or {})
    found.close()
    return found


def test_the_namespace_is_that_of_the_option_else_of_the_context(tmp_path: Path):
    path = written(tmp_path, kubeconfig(NOWHERE, namespace="first"))

    assert opened(Place(kubeconfig=path)).namespace == "first"
    assert opened(Place(kubeconfig=path, context="two")).namespace == "second"
    assert opened(Place(kubeconfig=path, namespace="third")).namespace == "third"


def test_the_context_of_the_environment_is_looked_for_in_its_kubeconfig(tmp_path: Path):
    path = written(tmp_path, kubeconfig(NOWHERE))
    environment = {"TRADEFLEET_CONTEXT": "two", "KUBECONFIG": str(path)}

    assert opened(Place(), environment).namespace == "second"
    # A file that was named has a current context of its own.
    assert opened(Place(kubeconfig=path), environment).namespace == "default"


@pytest.mark.parametrize(
    ("config", "context", "message"),
    [
        (kubeconfig(NOWHERE), "tow", "there is no context 'tow'; did you mean two?"),
        (kubeconfig(NOWHERE, current=""), "", "no context is the current one: give --context NAME (one, two)"),
        ({**kubeconfig(NOWHERE), "clusters": []}, "one", "context one: its cluster and user cannot be used"),
        ({"contexts": 5}, "one", "is not one"),
    ],
)
def test_a_kubeconfig_that_does_not_lead_to_a_cluster_is_said_in_one_line(
    config: Any, context: str, message: str, tmp_path: Path
):
    path = written(tmp_path, config)

    found = run("get", "--kubeconfig", str(path), *(["--context", context] if context else []))

    assert found.status == 2
    assert message in found.err
    assert len(found.err.splitlines()) == 1


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path):
    found = run("get", "--kubeconfig", str(tmp_path / "none"))

    assert found.status == 2
    assert "there is no such file" in found.err


def test_an_api_server_that_does_not_answer_is_named_with_its_context(tmp_path: Path):
    path = written(tmp_path, kubeconfig(NOWHERE))

    found = run("get", "--kubeconfig", str(path))

    assert found.status == 2
    assert f"API server {NOWHERE} (context one): no answer" in found.err
    assert "--context" in found.err
    assert "of-mine" not in found.err
    assert len(found.err.splitlines()) == 1


def test_a_command_is_repeated_with_the_options_that_name_the_same_fleet():
    place = Place(context="my cluster", kubeconfig=FILE, namespace="paper")
    assert place.options() == ["--context", "'my cluster'", "--kubeconfig", "/kubeconfig", "-n", "paper"]
    assert Place().options() == []
    assert Place(every_namespace=True).options() == ["-A"]


BOT = """
apiVersion: tradefleet.dev/v1alpha1
kind: RiskPolicy
metadata: {name: limits%s}
spec: {}
"""


def test_resources_of_files_belong_to_the_namespace_that_is_asked_for():
    bare, placed = parse_text(BOT % "", "a.yaml"), parse_text(BOT % ", namespace: live", "a.yaml")

    assert in_namespace(bare, "paper", is_asked_for=False)[0].resource.key.namespace == "paper"
    assert in_namespace(placed, "paper", is_asked_for=False)[0].resource.key.namespace == "live"
    assert in_namespace(placed, "live", is_asked_for=True)[0].resource.key.namespace == "live"
    with pytest.raises(Permanent, match=r"a\.yaml:4 .*another namespace than -n paper"):
        in_namespace(placed, "paper", is_asked_for=True)


def test_a_resource_that_a_newer_release_wrote_is_shown_with_what_it_says():
    body = {
        "metadata": {"name": "limits", "namespace": "live", "uid": "u", "creationTimestamp": "2026-11-21T18:00:00Z"},
        "spec": {"halt": True, "laterField": {"a": 1}},
        "status": {"phase": "Running"},
    }

    found = read_resource("RiskPolicy", body)

    assert (found.key.namespace, found.key.name) == ("live", "limits")
    assert found.body()["spec"] == body["spec"]
    assert found.body()["status"]["phase"] == "Running"


def test_who_declares_a_field_is_known_but_for_the_command_line_and_the_governor():
    def entry(manager: str, operation: str, field: str) -> dict[str, Any]:
        return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {f"f:{field}": {}}}}

    body = {
        "metadata": {
            "managedFields": [
                entry("kustomize-controller", "Apply", "state"),
                entry("helm-controller", "Apply", "wallet"),
                entry("tradefleet-governor", "Apply", "state"),
                entry("tradefleet-cli", "Apply", "state"),
                entry("kubectl-edit", "Update", "state"),
            ]
        }
    }
    assert keepers_of(body, "state") == ["kustomize-controller"]
