"""Who may speak with whom in a fleet: the policies as they are rendered, evaluated for all pods, pairs and ports.

The table is what is meant; the policies come from the chart and from the Governor. What a policy means is evaluated by
`cluster.network`, which has tests of its own. No cluster is needed here, but the Helm that was built with it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from governor.job import Job
from governor.kubernetes.client import DEPLOYMENT, JOB, NETWORK_POLICY
from governor.kubernetes.job_manifests import children_of_job
from governor.kubernetes.manifests import Child, Credentials, Surroundings, children_of
from governor.kubernetes.settings import read_settings
from governor.workload import Role, Workload, workload_name

from cluster.network import TCP, UDP, Network, Pod, pod_from
from tests.cluster.helm import CHART, helm
from tests.unit.governor import fleets
from tradefleet.resources.common import Resource

OPERATORS, BOTS, ELSEWHERE = "operators", "default", "elsewhere"
POLICED = {"networkPolicy": {"enabled": True}, "watchNamespaces": [BOTS]}
DEV = {**POLICED, "dev": {"enabled": True}}
OWN = {**POLICED, "postgres": {"existingSecret": "database"}, "kafka": {"bootstrap": "kafka:9092"}}
DATABASE = f"fleet-tradefleet-postgres.{OPERATORS}.svc"
BROKER = f"fleet-tradefleet-kafka.{OPERATORS}.svc"

# Whoever asks, downwards; what is asked for, to the right. `x` gets through.
# DNS is asked by UDP and TCP; "any pod" stands for port 9999 of a bot, "ssh" for port 22 of the database's pod; "web"
# is outside of the cluster; the metrics are a bot's and the Governor's. Nothing keeps a pod from itself.
TABLE = """
                 dns  postgres kafka venue other-venue api-server metrics governor-metrics any-pod ssh web
governor          x      x       x     .        .          x         .           x            .     .   .
migrations        x      x       x     .        .          x         .           .            .     .   .
uninstall-guard   x      x       x     .        .          x         .           .            .     .   .
test              x      x       x     .        .          x         .           .            .     .   .
venue             x      x       x     x        .          .         .           .            .     .   .
gateway           x      x       x     x        .          .         .           .            .     .   .
feed              x      x       x     .        .          .         .           .            .     .   .
recorder          x      x       x     .        .          .         .           .            .     .   .
bot               x      x       x     .        .          .         x           .            x     .   .
other-bot         x      x       x     .        .          .         .           .            .     .   .
host              x      x       x     .        .          .         .           .            .     .   .
dataset-job       x      x       .     .        .          .         .           .            .     .   .
backtest-job      x      x       .     .        .          .         .           .            .     .   .
postgres          .      x       .     .        .          .         .           .            .     x   .
kafka             .      .       x     .        .          .         .           .            .     .   .
neighbour         x      .       .     .        .          x         x           x            .     .   x
stranger          x      .       .     .        .          x         x           x            .     .   x
collector         x      .       .     .        .          x         x           x            .     .   x
"""


def rendered(folder: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = helm("template", "fleet", str(CHART), "-n", OPERATORS, "-f", str(path))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def workload(role: Role, owner: Resource, **more: Any) -> tuple[Workload, Resource]:
    name = workload_name(role, owner.key)
    return Workload(name=name, role=role, owner=owner.key, settings={}, **more), owner


def market(name: str) -> dict[str, tuple[Workload, Resource]]:
    owner = fleets.exchange(name)
    port = workload_name(Role.VENUE, owner.key)
    return {
        "venue": workload(Role.VENUE, owner, port_name=port, token_name=port),
        "gateway": workload(Role.GATEWAY, owner, peer_port_name=port, token_name=port),
    }


def surroundings(objects: list[dict[str, Any]], folder: Path) -> Surroundings:
    """Return what the Governor of the rendered chart is told."""
    (text,) = (each["data"]["governor.yaml"] for each in objects if "governor.yaml" in each.get("data", {}))
    path = folder / "governor.yaml"
    path.write_text(text, encoding="utf-8")
    settings = read_settings(path)
    services = {
        f"{each['metadata']['name']}.{each['metadata']['namespace']}.svc" for each in of_kind(objects, "Service")
    }
    assert {DATABASE, BROKER} <= services
    return Surroundings(
        fleet="operators-fleet",
        defaults=settings.workloads,
        database_hosts=((DATABASE, 5432),),
        kafka_bootstrap=f"{BROKER}:9092",
        kafka_prefix="operators-fleet.",
    )


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] in kinds]


def pod_of(children: list[Child], name: str) -> Pod:
    (made,) = (each.body for each in children if each.kind in (DEPLOYMENT, JOB))
    template = made["spec"]["template"]
    return pod_from({**template, "metadata": {**template["metadata"], "name": name}}, made["metadata"]["namespace"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Mapping[str, Pod]]:
    """The policies of a whole fleet, and a pod of each kind by name."""
    folder = tmp_path_factory.mktemp("chart")
    objects = rendered(folder, DEV)
    policies = of_kind(objects, "NetworkPolicy")
    pods = {}
    # With a database for trying there are no migrations as a Job of their own.
    for each in of_kind([*rendered(folder, OWN), *objects], "Deployment", "StatefulSet", "Job", "Pod"):
        body = each["spec"].get("template", each)
        name = body["metadata"]["labels"]["app.kubernetes.io/component"]
        pods[name] = pod_from({**body, "metadata": {**body["metadata"], "name": name}}, OPERATORS)
    around = surroundings(objects, folder)
    planned = {
        **market("simulator"),
        "other-venue": market("other")["venue"],
        "feed": workload(Role.FEED, fleets.feed()),
        "recorder": workload(Role.RECORDER, fleets.dataset()),
        "bot": workload(Role.BOT, fleets.bot("alpha")),
        "other-bot": workload(Role.BOT, fleets.bot("beta")),
        "host": workload(Role.HOST, fleets.exchange()),
    }
    made = {
        name: children_of(one, owner, around, Credentials(database_url="postgresql://x"))
        for name, (one, owner) in planned.items()
    }
    for name in ("dataset", "backtest"):
        job = Job(name=f"{name}-a", module=f"governor.{name}_job", digest="0123456789abcdef", settings={})
        made[f"{name}-job"] = children_of_job(job, fleets.dataset(), around, "postgresql://x")
    for name, children in made.items():
        pods[name] = pod_of(children, name)
        policies += [each.body for each in children if each.kind == NETWORK_POLICY]
    pods |= {
        "neighbour": Pod(name="neighbour", namespace=BOTS, labels={"app": "neighbour"}),
        "stranger": Pod(name="stranger", namespace=ELSEWHERE, labels={"app.kubernetes.io/part-of": "tradefleet"}),
        "collector": Pod(name="collector", namespace=ELSEWHERE, labels={"app": "prometheus"}),
    }
    names = {name: {"kubernetes.io/metadata.name": name} for name in (OPERATORS, BOTS, ELSEWHERE, "kube-system")}
    return Network(policies, names), pods


def targets(pods: Mapping[str, Pod]) -> dict[str, list[tuple[Pod, int, str]]]:
    """Return what is asked for: pod, port and protocol, all of which must be open for an `x`."""
    names = Pod(name="dns", namespace="kube-system", labels={"k8s-app": "kube-dns"}, address="10.96.0.10")
    return {
        "dns": [(names, 53, UDP), (names, 53, TCP)],
        "postgres": [(pods["postgres"], 5432, TCP)],
        "kafka": [(pods["kafka"], 9092, TCP)],
        "venue": [(pods["venue"], 8443, TCP)],
        "other-venue": [(pods["other-venue"], 8443, TCP)],
        "api-server": [(Pod(name="api-server", address="192.168.1.1"), 6443, TCP)],
        "metrics": [(pods["bot"], 8080, TCP)],
        "governor-metrics": [(pods["governor"], 8080, TCP)],
        "any-pod": [(pods["bot"], 9999, TCP)],
        "ssh": [(pods["postgres"], 22, TCP)],
        "web": [(Pod(name="web", address="203.0.113.9"), 8080, TCP)],
    }


def test_everybody_reaches_what_the_table_says_and_nothing_else(fleet: tuple[Network, Mapping[str, Pod]]):
    network, pods = fleet
    head, *lines = TABLE.strip().splitlines()
    wanted = targets(pods)
    assert head.split() == list(wanted)
    expected = dict(line.split(maxsplit=1) for line in lines)
    assert expected.keys() | {"other-venue"} == pods.keys(), "a line for each pod there is"

    found = {
        name: [
            "x" if all(network.allows(pods[name], pod, port, protocol) for pod, port, protocol in each) else "."
            for each in wanted.values()
        ]
        for name in expected
    }

    assert {name: " ".join(marks) for name, marks in found.items()} == {
        name: " ".join(marks.split()) for name, marks in expected.items()
    }
