"""What the tries of a cluster's pods say of its NetworkPolicies."""

import subprocess
import sys
from socket import create_server

import pytest

from cluster.network import Network, Pod
from cluster.probe import SCRIPT, Try, judge, verdict
from tradefleet.domain.errors import Permanent

POLICY = {
    "metadata": {"name": "b", "namespace": "here"},
    "spec": {"podSelector": {"matchLabels": {"app": "b"}}, "ingress": [{"ports": [{"port": 80}]}]},
}
NETWORK = Network([POLICY], {"here": {}})
PODS = {f"here/{name}": Pod(name=name, namespace="here", labels={"app": name}) for name in "ab"}
A, B = PODS
# `b` listens at 80 and 90 and takes 80 only; nobody listens at 70.
OWN = {Try(B, B, 80): True, Try(B, B, 90): True, Try(B, B, 70): False}


def said(*, at_80: bool, at_90: bool) -> str:
    reached = {**OWN, Try(A, B, 80): at_80, Try(A, B, 90): at_90, Try(A, B, 70): False}
    return verdict(judge(NETWORK, PODS, reached), 1)


def test_policies_that_are_obeyed():
    assert said(at_80=True, at_90=False) == (
        "2 connections between pods tried, 1 of them forbidden: what the 1 NetworkPolicies allow gets through, and "
        "nothing else"
    )


def test_a_cluster_without_an_agent_is_named_as_such():
    with pytest.raises(Permanent, match="nothing enforces NetworkPolicies in this cluster"):
        said(at_80=True, at_90=True)


def test_what_is_held_back_and_must_not_be_is_named():
    with pytest.raises(Permanent, match=r"was held back and must not be .*: here/a -> here/b:80"):
        said(at_80=False, at_90=False)


def test_what_gets_through_beside_what_does_not_is_named():
    reached = {**OWN, Try(A, B, 90): True, Try(B, A, 1): True, Try(A, A, 1): True}
    other = {**POLICY, "spec": {"podSelector": {"matchLabels": {"app": "a"}}}}
    findings = judge(Network([POLICY, other], {"here": {}}), PODS, {**reached, Try(B, A, 1): False})

    with pytest.raises(Permanent, match=r"got through and must not .*: here/a -> here/b:90"):
        verdict(findings, 2)


def test_a_cluster_that_forbids_nothing_proves_nothing():
    findings = judge(Network([], {}), PODS, {**OWN, Try(A, B, 80): True})

    with pytest.raises(Permanent, match="nothing is forbidden"):
        verdict(findings, 0)


def test_the_script_that_runs_in_a_pod_tells_who_listens():
    with create_server(("127.0.0.1", 0)) as listening, create_server(("127.0.0.1", 0)) as closed:
        ports = [each.getsockname()[1] for each in (listening, closed)]
        closed.close()
        places = str([["127.0.0.1", port] for port in ports]).replace("'", '"')
        done = subprocess.run([sys.executable, "-c", SCRIPT, places], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[true, false]"
