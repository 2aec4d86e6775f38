"""The meaning of NetworkPolicies, by the examples of the Kubernetes documentation ("Network Policies")."""

from typing import Any

import pytest
import yaml

from cluster.network import UDP, Network, Pod, matches, pod_from

NAMESPACES = {
    "default": {"kubernetes.io/metadata.name": "default"},
    "mine": {"kubernetes.io/metadata.name": "mine", "project": "myproject", "user": "alice"},
    "other": {"kubernetes.io/metadata.name": "other", "user": "bob"},
}
DB = Pod(name="db", namespace="default", labels={"role": "db"}, address="10.244.0.2", ports={"redis": ("TCP", 6379)})
FRONTEND = Pod(name="frontend", namespace="default", labels={"role": "frontend"}, address="10.244.0.3")
BACKEND = Pod(name="backend", namespace="default", labels={"role": "backend"}, address="10.244.0.4")
PROJECT = Pod(name="project", namespace="mine", labels={"role": "client"}, address="10.244.1.2")
STRANGER = Pod(name="stranger", namespace="other", labels={"role": "frontend"}, address="10.244.2.2")


def outside(address: str) -> Pod:
    return Pod(name=address, address=address)


def policy(spec: str, namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"name": "tried", "namespace": namespace}, "spec": yaml.safe_load(spec)}


def network(*specs: str) -> Network:
    return Network([policy(spec) for spec in specs], NAMESPACES)


# "The NetworkPolicy resource", the page's first example.
EXAMPLE = """
podSelector: {matchLabels: {role: db}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
  - namespaceSelector: {matchLabels: {project: myproject}}
  - podSelector: {matchLabels: {role: frontend}}
  ports: [{protocol: TCP, port: 6379}]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/24}}]
  ports: [{protocol: TCP, port: 5978}]
"""


@pytest.mark.parametrize(
    ("sender", "port", "expected"),
    [
        (FRONTEND, 6379, True),
        (FRONTEND, 6380, False),
        (BACKEND, 6379, False),
        (PROJECT, 6379, True),
        (STRANGER, 6379, False),  # its role is right, its namespace is not
        (outside("172.17.0.1"), 6379, True),
        (outside("172.17.0.255"), 6379, True),
        (outside("172.17.1.1"), 6379, False),
        (outside("172.17.2.0"), 6379, True),
        (outside("172.18.0.1"), 6379, False),
    ],
)
def test_the_documentations_example_lets_in(sender: Pod, port: int, expected: bool):
    assert network(EXAMPLE).allows(sender, DB, port) is expected


@pytest.mark.parametrize(
    ("receiver", "port", "expected"),
    [
        (outside("10.0.0.7"), 5978, True),
        (outside("10.0.0.7"), 5979, False),
        (outside("10.0.1.7"), 5978, False),
        (FRONTEND, 5978, False),
    ],
)
def test_the_documentations_example_lets_out(receiver: Pod, port: int, expected: bool):
    assert network(EXAMPLE).allows(DB, receiver, port) is expected


def test_who_is_not_selected_is_open():
    assert network(EXAMPLE).allows(STRANGER, FRONTEND, 1)
    assert Network([], NAMESPACES).allows(STRANGER, DB, 1)


def test_one_peer_with_two_selectors_is_not_two_peers():
    """ "Behavior of to and from selectors"."""
    alices, clients = "namespaceSelector: {matchLabels: {user: alice}}", "podSelector: {matchLabels: {role: client}}"
    both = f"{{podSelector: {{}}, ingress: [{{from: [{{{alices}, {clients}}}]}}]}}"
    either = f"{{podSelector: {{}}, ingress: [{{from: [{{{alices}}}, {{{clients}}}]}}]}}"
    alices_other = Pod(name="other", namespace="mine", labels={"role": "other"})
    own_client = Pod(name="client", namespace="default", labels={"role": "client"})

    assert [network(both).allows(each, DB, 1) for each in (PROJECT, alices_other, own_client)] == [True, False, False]
    assert [network(either).allows(each, DB, 1) for each in (PROJECT, alices_other, own_client)] == [True, True, True]


@pytest.mark.parametrize(
    ("spec", "comes_in", "goes_out"),
    [
        ("{podSelector: {}, policyTypes: [Ingress]}", False, True),
        ("{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}", True, True),
        ("{podSelector: {}, policyTypes: [Egress]}", True, False),
        ("{podSelector: {}, egress: [{}], policyTypes: [Egress]}", True, True),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", False, False),
        ("{podSelector: {}}", False, True),  # without policyTypes it is about ingress
        ("{podSelector: {}, egress: [{ports: [{port: 1}]}]}", False, True),  # and about egress if it has such rules
        ("{podSelector: {}, egress: [{ports: [{port: 2}]}]}", False, False),
    ],
)
def test_the_documentations_default_policies(spec: str, comes_in: bool, goes_out: bool):
    assert network(spec).allows(STRANGER, DB, 1) is comes_in
    assert network(spec).allows(DB, STRANGER, 1) is goes_out


def test_policies_add_up_and_both_ends_must_agree():
    deny, allow = (
        "{podSelector: {}, policyTypes: [Ingress, Egress]}",
        "{podSelector: {matchLabels: {role: db}}, ingress: [{}]}",
    )

    assert network(deny, allow).allows(STRANGER, DB, 1)
    assert not network(deny, allow).allows(FRONTEND, DB, 1), "it may not leave"


def test_ranges_names_and_protocols_of_ports():
    """ "Targeting a range of ports"; a name is looked up at the pod that receives."""
    ranged = """
podSelector: {}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/24}}]
  ports: [{protocol: TCP, port: 32000, endPort: 32768}]
"""
    there = outside("10.0.0.1")
    assert [network(ranged).allows(DB, there, port) for port in (31_999, 32_000, 32_768, 32_769)] == [
        False,
        True,
        True,
        False,
    ]
    assert not network(ranged).allows(DB, there, 32_000, UDP)

    named = "{podSelector: {}, ingress: [{ports: [{port: redis}]}]}"
    assert network(named).allows(STRANGER, DB, 6379)
    assert not network(named).allows(STRANGER, FRONTEND, 6379), "it has no port of that name"
    assert not network(named).allows(STRANGER, DB, 6379, UDP)
    assert network("{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}").allows(STRANGER, DB, 9, UDP)


def test_a_policy_of_another_namespace_selects_nobody_here():
    there = Network([policy("{podSelector: {}}", namespace="mine")], NAMESPACES)

    assert there.allows(STRANGER, DB, 1)
    assert not there.allows(STRANGER, PROJECT, 1)


def test_nobody_is_cut_off_from_himself():
    """ "A Pod cannot block access to itself"."""
    assert network("{podSelector: {}, policyTypes: [Ingress, Egress]}").allows(DB, DB, 1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "role", "operator": "In", "values": ["db", "cache"]}, True),
        ({"key": "role", "operator": "In", "values": ["cache"]}, False),
        ({"key": "none", "operator": "In", "values": ["db"]}, False),
        ({"key": "role", "operator": "NotIn", "values": ["db"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["db"]}, True),
        ({"key": "role", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "role", "operator": "DoesNotExist"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
    ],
)
def test_label_expressions(expression: dict[str, Any], expected: bool):
    """ "Labels and Selectors", set-based requirements."""
    assert matches({"matchExpressions": [expression]}, {"role": "db"}) is expected


def test_a_pod_is_read_from_its_manifest():
    body = {
        "metadata": {"name": "a", "namespace": "default", "labels": {"x": "y"}},
        "spec": {"containers": [{"ports": [{"name": "api", "containerPort": 8443}, {"containerPort": 1}]}]},
        "status": {"podIP": "10.1.1.1"},
    }

    assert pod_from(body) == Pod(
        name="a", namespace="default", labels={"x": "y"}, address="10.1.1.1", ports={"api": ("TCP", 8443)}
    )
