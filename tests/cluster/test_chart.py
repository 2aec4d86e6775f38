"""The chart on a real API server: what it makes is accepted, allowed and refused as it should be. No pod runs here."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from governor.chart.uninstall import remaining
from governor.kubernetes.client import DEPLOYMENT
from governor.kubernetes.manifests import Credentials, Surroundings, children_of
from governor.kubernetes.settings import read_settings
from governor.workload import Role, Workload, workload_name

from cluster.control_plane import ControlPlane, kubectl
from tests.cluster.helm import CHART, helm
from tests.unit.governor import fleets
from tests.unit.resources.cases import BOT
from tradefleet.resources.kinds import KINDS

RELEASE_NAMESPACE = "operators"
BOTS_NAMESPACE = "trading"

OWN = {"postgres": {"existingSecret": "database"}, "kafka": {"bootstrap": "kafka:9092"}}
DEV = {"dev": {"enabled": True}}
FULL = {
    "postgres": {"existingSecret": "database", "caSecret": "database-ca"},
    "kafka": {"bootstrap": "one:9093,two:9093", "securitySecret": "kafka", "caSecret": "kafka-ca"},
    "watchNamespaces": [BOTS_NAMESPACE, RELEASE_NAMESPACE],
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["login"]},
    "schemaRegistry": {"url": "http://registry:8081"},
    "governor": {
        "replicas": 2,
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "b"},
    },
    "networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}},
    "podDisruptionBudget": {"enabled": True},
}
MONITORED = {
    **OWN,
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    },
}
OPERATORS = {"cloudnativepg": {"enabled": True, "storageClass": "fast"}, "strimzi": {"enabled": True, "replicas": 1}}
POLICED_DEV = {**DEV, "networkPolicy": {"enabled": True}, "watchNamespaces": [BOTS_NAMESPACE]}
INSTALLABLE = {"own services": OWN, "dev": DEV, "full": FULL, "dev with policies": POLICED_DEV}
EVERY = {**INSTALLABLE, "monitored": MONITORED, "operators": OPERATORS}

# Of operators that are not installed here; whoever has them has their definitions.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Cluster", "Kafka", "KafkaNodePool"}


def values_file(folder: Path, values: dict[str, Any]) -> str:
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def rendered(folder: Path, values: dict[str, Any], *more: str) -> list[dict[str, Any]]:
    done = helm("template", "fleet", str(CHART), "-n", RELEASE_NAMESPACE, "-f", values_file(folder, values), *more)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def pod_templates(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods that the objects would make."""
    pods = [each["spec"]["template"] for each in objects if each["kind"] in ("Deployment", "StatefulSet", "Job")]
    return [*pods, *(each for each in objects if each["kind"] == "Pod")]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of an API server of this module's own, with two namespaces that take restricted pods only."""
    server = ControlPlane(tmp_path_factory.mktemp("chart"))
    server.start()
    for name in (RELEASE_NAMESPACE, BOTS_NAMESPACE):
        asked(server.kubeconfig, "create", "namespace", name)
        asked(server.kubeconfig, "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield server.kubeconfig
    server.stop()


def asked(config: Path, *arguments: str, given: str | None = None) -> str:
    answer = kubectl(config, *arguments, given=given)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture
def release(config: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an installed release; hooks need pods, so they are left out here."""
    values = getattr(request, "param", OWN)
    place = ("fleet", "-n", RELEASE_NAMESPACE)
    installed = helm("install", *place, str(CHART), "--no-hooks", "-f", values_file(tmp_path, values), config=config)
    assert installed.returncode == 0, installed.stderr
    yield "fleet"
    helm("uninstall", *place, "--no-hooks", config=config)


@pytest.mark.parametrize("name", EVERY)
def test_the_linter_has_nothing_to_say(tmp_path: Path, name: str):
    done = helm("lint", "--strict", str(CHART), "-f", values_file(tmp_path, EVERY[name]))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", EVERY)
def test_helm_3_makes_the_same_of_it(tmp_path: Path, name: str):
    arguments = ("fleet", str(CHART), "-n", RELEASE_NAMESPACE, "-f", values_file(tmp_path, EVERY[name]))

    old, new = (helm("template", *arguments, program=each) for each in ("helm3", "helm"))

    assert (old.returncode, old.stderr) == (0, "")
    by_kind_and_name = [
        {f"{each['kind']}/{each['metadata']['name']}": without_passwords(each) for each in documents_of(done.stdout)}
        for done in (old, new)
    ]
    assert by_kind_and_name[0] == by_kind_and_name[1]
    linted = helm("lint", "--strict", *arguments[1:], program="helm3")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def documents_of(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def without_passwords(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what is made up anew each time."""
    if body["kind"] != "Secret":
        return body
    return {**body, "stringData": sorted(body.get("stringData") or ()), "data": sorted(body.get("data") or ())}


def test_helm_3_installs_upgrades_and_uninstalls_it(config: Path, tmp_path: Path):
    place = ("fleet", "-n", RELEASE_NAMESPACE)
    values = ("--no-hooks", "-f", values_file(tmp_path, FULL))

    for arguments in (
        ("install", *place, str(CHART), *values),
        ("upgrade", *place, str(CHART), *values),
        ("uninstall", *place, "--no-hooks"),
    ):
        done = helm(*arguments, config=config, program="helm3")
        assert done.returncode == 0, done.stderr
    left = objects_of(config, "deployments,services,configmaps,roles,rolebindings,networkpolicies")
    assert [name for name in left if name != "ConfigMap/kube-root-ca.crt"] == []


@pytest.mark.parametrize("name", EVERY)
def test_pods_obey_the_restricted_profile_and_hold_no_token_they_do_not_need(config: Path, tmp_path: Path, name: str):
    pods = pod_templates(rendered(tmp_path, EVERY[name]))

    assert pods
    for pod in pods:
        spec = pod["spec"]
        assert ("serviceAccountName" in spec) != (spec.get("automountServiceAccountToken") is False)
        assert spec["enableServiceLinks"] is False
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        # Accounts, Secrets and priorities are not what is judged here.
        body = {**spec, "restartPolicy": "Never", "serviceAccountName": "default"}
        body.pop("priorityClassName", None)
        asked(config, "create", "serviceaccount", "default", "-n", RELEASE_NAMESPACE) if not has_account(
            config
        ) else None
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "tried", "namespace": RELEASE_NAMESPACE},
            "spec": body,
        }
        asked(config, "create", "--dry-run=server", "-f", "-", given=json.dumps(manifest))


def has_account(config: Path) -> bool:
    return kubectl(config, "get", "serviceaccount", "default", "-n", RELEASE_NAMESPACE).returncode == 0


@pytest.mark.parametrize("release", INSTALLABLE.values(), ids=INSTALLABLE, indirect=True)
def test_everything_is_accepted_and_an_upgrade_changes_nothing(config: Path, tmp_path: Path, release: str):
    everything = "deployments,statefulsets,services,configmaps,secrets,roles,rolebindings,networkpolicies"
    before = objects_of(config, everything)

    upgraded = helm(
        *("upgrade", release, str(CHART), "-n", RELEASE_NAMESPACE, "--reuse-values", "--no-hooks"), config=config
    )

    assert upgraded.returncode == 0, upgraded.stderr
    assert objects_of(config, everything) == before
    assert len(before) > 5


def objects_of(config: Path, kinds: str) -> dict[str, Any]:
    listed = json.loads(asked(config, "get", kinds, "-n", RELEASE_NAMESPACE, "-o", "json"))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each.get("spec") or each.get("data") or each.get("rules")
        for each in listed
        if not each["metadata"]["name"].startswith("sh.helm.release")
    }


@pytest.mark.parametrize("release", [FULL], indirect=True)
def test_the_operator_may_do_its_work_and_nothing_else(config: Path, release: str):
    account = f"system:serviceaccount:{RELEASE_NAMESPACE}:fleet-tradefleet"

    def may(verb: str, what: str, namespace: str) -> bool:
        flags = ("--as", account, "-n", namespace)
        return kubectl(config, "auth", "can-i", verb, what, *flags).stdout.strip() == "yes"

    for namespace in (BOTS_NAMESPACE, RELEASE_NAMESPACE):
        assert may("watch", "tradingbots.tradefleet.dev", namespace)
        assert may("patch", "backtests.tradefleet.dev/status", namespace)
        assert may("create", "deployments.apps", namespace)
        assert may("get", "secrets", namespace)
        # What a Governor that was broken into could do harm with.
        assert not may("list", "secrets", namespace)
        assert not may("create", "pods", namespace)
        assert not may("create", "pods/exec", namespace)
        assert not may("create", "rolebindings.rbac.authorization.k8s.io", namespace)
        assert not may("delete", "exchanges.tradefleet.dev", namespace)
        assert not may("impersonate", "users", namespace)
    assert may("update", "leases.coordination.k8s.io/fleet-tradefleet", RELEASE_NAMESPACE)
    assert not may("update", "leases.coordination.k8s.io/another", RELEASE_NAMESPACE)
    assert not may("get", "leases.coordination.k8s.io/fleet-tradefleet", BOTS_NAMESPACE)
    assert not may("watch", "tradingbots.tradefleet.dev", "default")
    assert not may("get", "nodes", "default")


@pytest.mark.parametrize("release", [{**OWN, "watchNamespaces": [BOTS_NAMESPACE]}], indirect=True)
def test_the_operator_may_run_what_a_namespace_needs_for_its_end_beside_itself(config: Path, release: str):
    account = f"system:serviceaccount:{RELEASE_NAMESPACE}:fleet-tradefleet"

    def may(verb: str, what: str, namespace: str) -> bool:
        flags = ("--as", account, "-n", namespace)
        return kubectl(config, "auth", "can-i", verb, what, *flags).stdout.strip() == "yes"

    assert may("create", "deployments.apps", RELEASE_NAMESPACE)
    assert not may("patch", "tradingbots.tradefleet.dev", RELEASE_NAMESPACE)
    assert not may("create", "jobs.batch", RELEASE_NAMESPACE)
    for namespace in (BOTS_NAMESPACE, RELEASE_NAMESPACE):
        assert may("get", f"namespaces/{namespace}", namespace)
    assert not may("get", "namespaces/default", "default")
    assert not may("list", "namespaces", BOTS_NAMESPACE)
    assert may("patch", "rolebindings.rbac.authorization.k8s.io/fleet-tradefleet-governor", BOTS_NAMESPACE)
    assert not may("patch", "rolebindings.rbac.authorization.k8s.io/another", BOTS_NAMESPACE)
    assert not may("patch", "clusterroles.rbac.authorization.k8s.io", BOTS_NAMESPACE)


@pytest.mark.parametrize("name", EVERY)
def test_no_rule_has_a_wildcard(tmp_path: Path, name: str):
    roles = [each for each in rendered(tmp_path, EVERY[name]) if each["kind"] in ("Role", "ClusterRole")]

    assert roles
    for role in roles:
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


def test_the_definitions_stay_when_the_release_goes(config: Path, release: str):
    names = {f"{kind.names.plural}.tradefleet.dev" for kind in KINDS.values()}
    asked(config, "wait", "--for=condition=Established", *(f"crd/{name}" for name in names), "--timeout=30s")
    asked(config, "apply", "-n", BOTS_NAMESPACE, "-f", "-", given=json.dumps(BOT))

    gone = helm("uninstall", release, "-n", RELEASE_NAMESPACE, "--no-hooks", config=config)

    assert gone.returncode == 0, gone.stderr
    assert "trend" in asked(config, "get", "tb", "-n", BOTS_NAMESPACE, "-o", "name")
    asked(config, "delete", "tb", "--all", "-n", BOTS_NAMESPACE)


@pytest.mark.parametrize("release", [FULL], indirect=True)
def test_an_uninstallation_sees_what_is_left(config: Path, tmp_path: Path, release: str):
    account = tmp_path / "account"
    account.mkdir()
    token = asked(config, "create", "token", "fleet-tradefleet", "-n", RELEASE_NAMESPACE)
    (account / "token").write_text(token)
    cluster = yaml.safe_load(config.read_text())["clusters"][0]["cluster"]
    shutil.copyfile(cluster["certificate-authority"], account / "ca.crt")
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    namespaces = [BOTS_NAMESPACE, RELEASE_NAMESPACE]

    assert remaining(environment, account, namespaces) == []
    asked(config, "apply", "-n", BOTS_NAMESPACE, "-f", "-", given=json.dumps(BOT))
    assert remaining(environment, account, namespaces) == [f"{BOTS_NAMESPACE}: tradingbots/trend"]
    asked(config, "delete", "tb", "--all", "-n", BOTS_NAMESPACE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "name the Secret with its URL in postgres.existingSecret, or set dev.enabled=true"),
        ({"postgres": {"existingSecret": "database"}}, "give its host:port in kafka.bootstrap"),
        ({**OWN, **DEV}, "exactly one of postgres.existingSecret, cloudnativepg.enabled, dev.enabled"),
        ({**DEV, "kafka": {"bootstrap": "kafka:9092"}}, "exactly one of kafka.bootstrap, strimzi.enabled, dev.enabled"),
        ({"dev": {"enable": True}}, "additional properties 'enable' not allowed"),
        ({**DEV, "governor": {"replicas": "2"}}, "at '/governor/replicas': got string, want integer"),
        ({**DEV, "image": {"digest": "latest"}}, "at '/image/digest'"),
        ({**DEV, "fleet": "My Fleet"}, "at '/fleet'"),
        ({**OWN, "kafka": {"bootstrap": "kafka"}}, "at '/kafka/bootstrap'"),
    ],
)
def test_wrong_values_are_refused_with_the_remedy(tmp_path: Path, values: dict[str, Any], message: str):
    done = helm("template", "fleet", str(CHART), "-f", values_file(tmp_path, values))

    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("name", EVERY)
def test_foreign_kinds_appear_only_where_they_are_asked_for(tmp_path: Path, name: str):
    kinds = {each["kind"] for each in rendered(tmp_path, EVERY[name])}

    assert bool(kinds & FOREIGN) is (name in ("monitored", "operators"))


def test_a_database_that_the_release_makes_is_upgraded_by_the_operators_pod(tmp_path: Path):
    by_hook = {each["metadata"]["name"] for each in rendered(tmp_path, OWN) if each["kind"] == "Job"}
    made = rendered(tmp_path, DEV)

    (deployment,) = (each for each in made if each["kind"] == "Deployment")
    assert [each["args"] for each in deployment["spec"]["template"]["spec"]["initContainers"]] == [
        ["db", "upgrade", "--wait", "300"]
    ]
    assert by_hook - {each["metadata"]["name"] for each in made} == {"fleet-tradefleet-migrations"}


def test_the_operators_settings_are_one_document_that_names_everything(tmp_path: Path):
    (settings,) = (
        each for each in rendered(tmp_path, FULL) if each["kind"] == "ConfigMap" and "governor.yaml" in each["data"]
    )

    told = yaml.safe_load(settings["data"]["governor.yaml"])

    assert told["namespaces"] == [BOTS_NAMESPACE, RELEASE_NAMESPACE]
    assert told["workloads"]["image"] == "localhost/tradefleet@sha256:" + "0" * 64
    assert told["workloads"]["resources"]["limits"] == {"memory": "256Mi"}
    assert told["schema_registry_url"] == "http://registry:8081"


PORT = 9911
ANOTHER_PORT = {**MONITORED, "metrics": {**MONITORED["metrics"], "port": PORT}}


def test_chart_and_processes_agree_on_where_figures_are_told(tmp_path: Path):
    objects = rendered(tmp_path, ANOTHER_PORT)
    (told,) = (each["data"]["governor.yaml"] for each in objects if "governor.yaml" in (each.get("data") or {}))
    path = tmp_path / "governor.yaml"
    path.write_text(told, encoding="utf-8")
    defaults = read_settings(path).workloads
    surroundings = Surroundings(
        fleet="here", defaults=defaults, database_hosts=(), kafka_bootstrap="kafka:9092", kafka_prefix="here."
    )
    owner = fleets.exchange()
    workload = Workload(name=workload_name(Role.GATEWAY, owner.key), role=Role.GATEWAY, owner=owner.key, settings={})
    children = children_of(workload, owner, surroundings, Credentials(database_url="postgresql://h/d", token=""))
    made = next(child.body for child in children if child.kind == DEPLOYMENT)
    (operator,) = (each for each in objects if each["kind"] == "Deployment")

    for deployment in (operator, made):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        listens = {each["name"]: each.get("value") for each in container["env"]}["TRADEFLEET_HEALTH_PORT"]
        probed = {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")}
        assert (ports["metrics"], listens) == (PORT, str(PORT))
        assert probed <= {"metrics", PORT}
    scraped = [each["spec"] for each in objects if each["kind"] in ("ServiceMonitor", "PodMonitor")]
    endpoints = [one["port"] for spec in scraped for one in spec.get("endpoints", spec.get("podMetricsEndpoints"))]
    assert endpoints == ["metrics", "metrics"]
