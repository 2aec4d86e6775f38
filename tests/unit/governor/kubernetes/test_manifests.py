"""From workloads to manifests, and back from what an API server stores to whether it is as wanted."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from governor.kubernetes.client import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE, Kind
from governor.kubernetes.drift import is_as_wanted, replacement
from governor.kubernetes.manifests import (
    Credentials,
    Surroundings,
    children_of,
    database_hosts,
    hosts_of,
    noted_template,
    object_key,
    object_name,
    pod_template_of,
)
from governor.kubernetes.settings import GovernorSettings, WorkloadDefaults, read_settings
from governor.plan.hosts import host_name
from governor.workload import Code, Mount, Needs, Role, SecretVariable, Workload, workload_name
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.governor import fleets
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.pods import PodTemplate
from tradefleet.runtime.settings import InvalidSettings

DEFAULTS = WorkloadDefaults(
    image="localhost/tradefleet:1",
    labels={"app.kubernetes.io/part-of": "tradefleet", "tradefleet.dev/fleet": "here"},
    resources={"requests": {"cpu": "10m"}, "limits": {"memory": "1024Mi"}},
)
SURROUNDINGS = Surroundings(
    fleet="here",
    defaults=DEFAULTS,
    database_hosts=(("postgres.stores.svc", 5432),),
    kafka_bootstrap="kafka.stores.svc:9092",
    kafka_prefix="here.",
)
CREDENTIALS = Credentials(database_url="postgresql://bot:hunter2@postgres.stores.svc/tradefleet", token="t0ken")


def workload(role: Role, owner: Resource, **more: Any) -> Workload:
    name = workload_name(role, owner.key)
    return Workload(name=name, role=role, owner=owner.key, settings={"speed": "max"}, **more)


def venue() -> tuple[Workload, Resource]:
    owner = fleets.exchange()
    name = workload_name(Role.VENUE, owner.key)
    return workload(Role.VENUE, owner, port_name=name, token_name=name), owner


def gateway() -> tuple[Workload, Resource]:
    owner = fleets.exchange()
    name = workload_name(Role.VENUE, owner.key)
    return workload(Role.GATEWAY, owner, peer_port_name=name, token_name=name), owner


def bot(**spec: Any) -> tuple[Workload, Resource]:
    owner = fleets.bot("alpha", **spec)
    return workload(Role.BOT, owner, bot_uid="uid-tradingbot-alpha"), owner


EVERY = pytest.mark.parametrize("made", [venue, gateway, bot])


def made_of(made: Callable[[], tuple[Workload, Resource]], **more: Any) -> dict[str, dict[str, Any]]:
    one, owner = made()
    return {child.kind.kind: child.body for child in children_of(one, owner, SURROUNDINGS, CREDENTIALS, **more)}


def pod_of(made: Callable[[], tuple[Workload, Resource]]) -> dict[str, Any]:
    found: dict[str, Any] = made_of(made)["Deployment"]["spec"]["template"]["spec"]
    return found


def variables(made: Callable[[], tuple[Workload, Resource]]) -> dict[str, Any]:
    (container,) = pod_of(made)["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@EVERY
def test_the_children_of_a_workload_go_with_their_owner(made: Any):
    one, owner = made()

    for child in children_of(one, owner, SURROUNDINGS, CREDENTIALS):
        (reference,) = child.body["metadata"]["ownerReferences"]
        assert (reference["kind"], reference["uid"], reference["controller"]) == (owner.kind, owner.metadata.uid, True)
        assert child.body["metadata"]["labels"]["tradefleet.dev/fleet"] == "here"
        assert child.body["metadata"]["namespace"] == owner.metadata.namespace


@EVERY
def test_what_is_wound_down_beside_the_operator_says_whose_it_is_and_has_no_owner_there(made: Any):
    """An owner in another namespace is none: the garbage collector would take the object."""
    one, owner = made()
    at_home = children_of(one, owner, SURROUNDINGS, CREDENTIALS)

    away = children_of(one, owner, SURROUNDINGS, CREDENTIALS, home="operators")

    assert [each.kind for each in away] == [each.kind for each in at_home]
    for child in away:
        metadata = child.body["metadata"]
        assert metadata["namespace"] == "operators"
        assert metadata["name"] == f"ending-{one.name}" == metadata["labels"]["tradefleet.dev/workload"]
        assert "ownerReferences" not in metadata
        assert metadata["labels"]["tradefleet.dev/namespace"] == owner.metadata.namespace
        assert metadata["labels"][f"tradefleet.dev/{owner.kind.lower()}"] == owner.metadata.name
    names = {each.body["metadata"]["name"] for each in at_home}
    assert all(name not in json.dumps([each.body for each in away]).replace(f"ending-{one.name}", "") for name in names)


def test_ends_of_a_port_find_each_other_beside_the_operator():
    (one, owner), (other, _) = gateway(), venue()
    told = {
        child.kind.kind: child.body for child in children_of(one, owner, SURROUNDINGS, CREDENTIALS, home="operators")
    }
    served = {
        child.kind.kind: child.body for child in children_of(other, owner, SURROUNDINGS, CREDENTIALS, home="operators")
    }

    assert json.loads(told["ConfigMap"]["data"]["settings.json"])["venue_host"] == served["Service"]["metadata"]["name"]
    pod = served["Deployment"]["spec"]["template"]["metadata"]["labels"]
    (peer,) = told["NetworkPolicy"]["spec"]["egress"][-1]["to"]
    assert peer["podSelector"]["matchLabels"].items() <= pod.items()
    (client,) = served["NetworkPolicy"]["spec"]["ingress"][-1]["from"]
    client_pod = told["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert client["podSelector"]["matchLabels"].items() <= client_pod.items()


def test_names_beside_the_operator_are_labels_and_all_different():
    owners = [ResourceKey("TradingBot", "n" * length, "a" * length) for length in (1, 20, 40, 50)]
    names = [object_key(workload_name(Role.BOT, owner), owner, "operators")[1] for owner in owners]

    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 and re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) for name in names)


def test_a_bots_deployment_says_which_template_it_was_made_from():
    one, owner = bot(podTemplate={"nodeSelector": {"disk": "fast"}, "labels": {"team": "a"}})

    (deployment,) = (
        each.body for each in children_of(one, owner, SURROUNDINGS, CREDENTIALS) if each.kind == DEPLOYMENT
    )

    assert noted_template(deployment) == pod_template_of(owner) != PodTemplate()
    deployment["metadata"]["annotations"]["tradefleet.dev/pod-template"] = "{"
    assert noted_template(deployment) is None
    plain_bot = next(each.body for each in children_of(*bot(), SURROUNDINGS, CREDENTIALS) if each.kind == DEPLOYMENT)
    assert noted_template(plain_bot) == PodTemplate()
    assert noted_template({"metadata": {}}) is None, "of an older release: nothing is known"


@EVERY
def test_a_pod_obeys_the_restricted_profile_and_has_no_token(made: Any):
    """The fields of the profile: Kubernetes documentation, Pod Security Standards, Restricted."""
    pod = pod_of(made)
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"emptyDir", "configMap", "secret"}


@EVERY
def test_no_secret_stands_outside_of_the_secret(made: Any):
    children = made_of(made)
    secret = children.pop("Secret")

    assert "hunter2" not in json.dumps(children)
    assert "t0ken" not in json.dumps(children)
    assert set(secret["data"]) == {"database-url", "token"}
    assert "hunter2" not in repr(CREDENTIALS)


def test_there_is_one_pod_and_the_old_one_ends_before_the_new_one_starts():
    spec = made_of(bot)["Deployment"]["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_replay_that_has_ended_keeps_its_objects_without_a_pod():
    deployment = made_of(bot, has_ended=True)["Deployment"]

    assert deployment["spec"]["replicas"] == 0
    assert deployment["metadata"]["annotations"]["tradefleet.dev/ended"] == bot()[0].digest


def test_a_process_holds_its_leases_as_its_pod():
    found = variables(bot)

    assert found["TRADEFLEET_HOLDER"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    assert found["TRADEFLEET_DATABASE_URL_FILE"] == "/etc/tradefleet/secret/database-url"
    assert found["TRADEFLEET_LAST_WORDS_PATH"] == pod_of(bot)["containers"][0]["terminationMessagePath"]


def test_a_venue_is_found_by_its_gateway():
    there = made_of(venue)
    told = json.loads(made_of(gateway)["ConfigMap"]["data"]["settings.json"])
    listening = json.loads(there["ConfigMap"]["data"]["settings.json"])

    assert told["venue_host"] == there["Service"]["metadata"]["name"] == "venue-simulator"
    assert told["venue_port"] == listening["port"] == there["Service"]["spec"]["ports"][0]["port"]
    assert listening["host"] == "0.0.0.0"
    assert told["token_file"] == listening["token_file"] == "/etc/tradefleet/secret/token"


def test_only_a_venue_has_a_service():
    assert "Service" not in made_of(bot)
    assert "Service" not in made_of(gateway)


def allows(rules: list[dict[str, Any]], port: int, peer: str) -> list[Any]:
    return [rule.get(peer, "anybody") for rule in rules if any(each["port"] == port for each in rule["ports"])]


def test_a_bot_reaches_database_and_broker_and_nothing_else():
    spec = made_of(bot)["NetworkPolicy"]["spec"]
    stores = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "stores"}}}]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert sorted(each["port"] for rule in spec["egress"] for each in rule["ports"]) == [53, 53, 5432, 9092]
    assert allows(spec["egress"], 5432, "to") == [stores]
    assert allows(spec["egress"], 9092, "to") == [stores]
    assert [[each["port"] for each in rule["ports"]] for rule in spec["ingress"]] == [[8080]]


def test_a_venue_hears_its_gateway_alone():
    (ingress,) = allows(made_of(venue)["NetworkPolicy"]["spec"]["ingress"], 8443, "from")
    (wanted,) = ingress
    labels = made_of(gateway)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    strange = made_of(bot)["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert wanted["podSelector"]["matchLabels"].items() <= labels.items()
    assert not wanted["podSelector"]["matchLabels"].items() <= strange.items()


def test_a_gateway_reaches_its_venue():
    ((peer,),) = allows(made_of(gateway)["NetworkPolicy"]["spec"]["egress"], 8443, "to")
    labels = made_of(venue)["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert peer["podSelector"]["matchLabels"].items() <= labels.items()


def test_an_address_is_as_narrow_as_it_says():
    stores = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "stores"}}}]
    for host, expected in (
        ("10.1.2.3", [{"ipBlock": {"cidr": "10.1.2.3/32"}}]),
        ("fd00::7", [{"ipBlock": {"cidr": "fd00::7/128"}}]),
        ("postgres", [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}]),
        ("db-0.db.stores.svc.cluster.local", stores),
        ("db.example.com", "anybody"),
    ):
        one, owner = bot()
        around = Surroundings(
            fleet="here",
            defaults=DEFAULTS,
            database_hosts=((host, 5432),),
            kafka_bootstrap="kafka:9092",
            kafka_prefix="",
        )
        policy = next(each.body for each in children_of(one, owner, around, CREDENTIALS) if each.kind == NETWORK_POLICY)
        assert allows(policy["spec"]["egress"], 5432, "to") == [expected], host


def test_a_schema_registry_is_named_to_every_pod_and_may_be_reached():
    owner = fleets.bot("a")
    around = replace(SURROUNDINGS, schema_registry_url="http://registry.stores.svc:8081")
    children = children_of(workload(Role.BOT, owner), owner, around, CREDENTIALS)
    pod = next(each.body for each in children if each.kind == DEPLOYMENT)["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert environment["TRADEFLEET_SCHEMA_REGISTRY_URL"] == "http://registry.stores.svc:8081"
    policy = next(each.body for each in children if each.kind == NETWORK_POLICY)
    assert len(allows(policy["spec"]["egress"], 8081, "to")) == 1
    plain = next(
        each.body
        for each in children_of(workload(Role.BOT, owner), owner, SURROUNDINGS, CREDENTIALS)
        if each.kind == NETWORK_POLICY
    )
    assert allows(plain["spec"]["egress"], 8081, "to") == []


def test_a_bots_template_changes_its_pod():
    template = {
        "image": "registry.example/mine:latest",
        "imagePullSecrets": [{"name": "login"}],
        "labels": {"team": "a", "tradefleet.dev/fleet": "stolen", "tradefleet.dev/exchange": "not-mine"},
        "annotations": {"note": "x"},
        "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
    }

    found = made_of(lambda: bot(podTemplate=template))["Deployment"]["spec"]["template"]

    (container,) = found["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/mine:latest", "Always")
    assert container["resources"] == template["resources"]
    assert found["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert found["spec"]["nodeSelector"] == {"disk": "fast"}
    assert found["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert found["spec"]["priorityClassName"] == "high"
    assert found["metadata"]["annotations"]["note"] == "x"
    assert found["metadata"]["labels"]["team"] == "a"
    assert found["metadata"]["labels"]["tradefleet.dev/fleet"] == "here", "what we find it by is ours"
    assert "tradefleet.dev/exchange" not in found["metadata"]["labels"]


def test_names_are_those_of_the_resources():
    for namespace in ("default", "my-team"):
        owner = ResourceKey("TradingBot", namespace, "alpha-1")
        assert object_name(workload_name(Role.BOT, owner), owner) == "bot-alpha-1"


@pytest.mark.parametrize("kind", [CONFIG_MAP, SECRET, SERVICE, NETWORK_POLICY, DEPLOYMENT])
@given(data=st.data())
def test_any_change_of_what_an_object_does_is_seen_and_mended(kind: Kind, data: st.DataObject):
    wanted = made_of(venue)[kind.kind]
    stored = copy.deepcopy(wanted)
    stored["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {**wanted["metadata"]["labels"], "team": "a"}}
    assert is_as_wanted(wanted, stored)

    _change(data, stored["data"] if "data" in stored else stored["spec"])

    assert not is_as_wanted(wanted, stored)
    mended = replacement(wanted, stored)
    assert mended is not None
    assert is_as_wanted(wanted, mended)
    assert mended["metadata"]["resourceVersion"] == "7", "it replaces what was looked at, and nothing newer"
    assert mended["metadata"]["labels"]["team"] == "a", "what others note stays"


def _change(data: st.DataObject, part: Any) -> None:
    """Change, add or take away something somewhere in a part of an object."""
    while isinstance(part, dict | list) and part and data.draw(st.booleans()):
        inner = part[data.draw(st.sampled_from(sorted(part)))] if isinstance(part, dict) else part[0]
        if not isinstance(inner, dict | list):
            break
        part = inner
    if isinstance(part, list):
        part.append({"name": "extra"})
    elif data.draw(st.booleans()) or not part:
        part["extra"] = "value"
    else:
        name = data.draw(st.sampled_from(sorted(part)))
        part[name] = [*part[name], "extra"] if isinstance(part[name], list) else "changed"


def test_amounts_are_compared_by_what_they_mean():
    wanted = made_of(bot)["Deployment"]
    stored = copy.deepcopy(wanted)
    stored["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "1Gi"
    assert is_as_wanted(wanted, stored)

    stored["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "2Gi"

    assert not is_as_wanted(wanted, stored)


def test_a_mark_under_our_own_prefix_that_is_not_ours_is_drift():
    wanted = made_of(bot)["Deployment"]
    stored = copy.deepcopy(wanted)
    stored["metadata"]["annotations"]["tradefleet.dev/ended"] = "forged"

    assert not is_as_wanted(wanted, stored)


def test_addresses_may_be_several():
    assert hosts_of("a:1, b:2,[fd00::1]:3,c", 9) == (("a", 1), ("b", 2), ("fd00::1", 3), ("c", 9))
    assert database_hosts("postgresql://u:p%40ss@one:5433,two/db?sslmode=require") == (("one", 5433), ("two", 5432))


def test_an_address_that_is_none_is_named():
    with pytest.raises(Permanent, match="write host:port"):
        hosts_of("a:b", 1)


# --- settings ---------------------------------------------------------------------------------------------------------


GIVEN = "lease_namespace: a\nlease_name: governor\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "governor.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_are_read_with_their_defaults(tmp_path: Path):
    path = write(
        tmp_path,
        f"{GIVEN}namespaces: [a]\nworkloads: {{image: x, resources: {{limits: {{memory: 1Gi}}}}}}\n",
    )

    settings = read_settings(path)

    assert isinstance(settings, GovernorSettings)
    assert (settings.resync_s, settings.workloads.metrics_port) == (60, 8080)
    assert settings.workloads.resources == {"limits": {"memory": "1Gi"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("namespaces: []", "name at least one namespace"),
        ("namespaces: [a]\nresync_s: 1", "at least 5: 1"),
        ("namespaces: [a]\nresync: 9", "did you mean resync_s"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(InvalidSettings, match=message):
        read_settings(write(tmp_path, f"{GIVEN}workloads: {{image: x}}\n{text}\n"))


def test_hosts_of_one_exchange_have_names_of_their_own() -> None:
    owner = ResourceKey("Exchange", "team", "sim-2")
    names = [object_name(host_name(owner, number), owner) for number in (1, 2, 12)]
    assert names == ["host-sim-2-1", "host-sim-2-2", "host-sim-2-12"]


# --- what users keep --------------------------------------------------------------------------------------------------


def with_code() -> tuple[Workload, Resource]:
    one, owner = bot(strategy={"name": "trend:Trend"})
    return replace(one, code=Code(files_digest="c0de", files={"trend.py": "…"})), owner


def needing() -> tuple[Workload, Resource]:
    owner = fleets.feed()
    needs = Needs(
        mounts=(Mount(folder="/data/a", claim="archive"), Mount(folder="/data/b", config_map="candles")),
        variables=(SecretVariable(name="SQL_URL", secret="prices", key="url"),),
        hosts=(("prices.stores.svc", 5433), ("10.1.2.3", 5432)),
    )
    return workload(Role.FEED, owner, needs=needs), owner


def test_a_bot_has_its_own_copy_of_its_code_on_its_module_path():
    one, owner = with_code()
    children = [child.body for child in children_of(one, owner, SURROUNDINGS, CREDENTIALS)]

    (copied,) = (each for each in children if each.get("immutable"))
    assert (copied["metadata"]["name"], copied["data"]) == ("bot-alpha-code-c0de", {"trend.py": "…"})
    assert children.index(copied) < len(children) - 1, "before the process that reads it"
    pod = pod_of(with_code)
    (volume,) = (each for each in pod["volumes"] if each["name"] == "code")
    assert volume["configMap"]["name"] == "bot-alpha-code-c0de"
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "code")
    assert mount["readOnly"] is True
    assert variables(with_code)["PYTHONPATH"] == mount["mountPath"]
    assert "PYTHONPATH" not in variables(bot)


def test_other_code_is_another_process_and_another_copy():
    one, _ = with_code()
    other = replace(one, code=Code(files_digest="0ther", files={"trend.py": "!"}))

    assert one.digest != other.digest
    assert one.digest == replace(one, code=Code(files_digest="c0de")).digest, "however its files are come by"


def test_a_pod_mounts_what_its_data_needs_and_may_reach_its_hosts():
    pod = pod_of(needing)
    mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
    volumes = {mounts[each["name"]]["mountPath"]: each for each in pod["volumes"] if each["name"] in mounts}

    assert volumes["/data/a"]["persistentVolumeClaim"] == {"claimName": "archive", "readOnly": True}
    assert volumes["/data/b"]["configMap"]["name"] == "candles"
    assert variables(needing)["SQL_URL"] == {"secretKeyRef": {"name": "prices", "key": "url"}}
    egress = made_of(needing)["NetworkPolicy"]["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 5432}], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]} in egress
    names = {"kubernetes.io/metadata.name": "stores"}
    rule = {
        "ports": [{"protocol": "TCP", "port": 5433}],
        "to": [{"namespaceSelector": {"matchLabels": names}}],
    }
    assert rule in egress
