"""Whether a cluster enforces the fleet's NetworkPolicies: every pod of it tries to reach every other, and is compared.

What should get through is evaluated from the policies in the cluster (`cluster.network`); what does is tried from
within the pods. A port counts when something listens there, which its own pod tells: nothing keeps a pod from itself.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradefleet.domain.errors import Permanent, Retryable

from .binaries import Tell
from .control_plane import kubectl
from .network import TCP, Network, Pod, pod_from

FLEET: Final = {"app.kubernetes.io/part-of": "tradefleet"}
CONNECT_S: Final = 3.0
EXEC_TIMEOUT_S: Final = 60.0
SHOWN_MAX: Final = 20

# Runs in a pod, whose image has a Python; it prints which of the addresses take a connection.
SCRIPT: Final = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def takes(place):
    try:
        socket.create_connection(tuple(place), {CONNECT_S}).close()
        return True
    except OSError:
        return False
places = json.loads(sys.argv[1])
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(takes, places))))
"""


@dataclass(frozen=True, slots=True, order=True)
class Try:
    """One connection that was tried."""

    sender: str
    receiver: str
    port: int

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was tried, as far as somebody listened: what got through against the policies, and what did not."""

    tried: int
    forbidden: int  # of those tried, how many the policies do not allow
    let_through: Sequence[Try] = ()
    held_back: Sequence[Try] = ()

    @property
    def is_enforced(self) -> bool:
        """Whether anything that should be held back was: else there is no agent that enforces policies."""
        return len(self.let_through) < self.forbidden


def judge(network: Network, pods: Mapping[str, Pod], reached: Mapping[Try, bool]) -> Findings:
    """Return what the tries say; `pods` are by the names that tries have."""
    listening = {(one.receiver, one.port) for one, is_open in reached.items() if is_open and one.sender == one.receiver}
    between = {
        one: is_open
        for one, is_open in reached.items()
        if one.sender != one.receiver and (one.receiver, one.port) in listening
    }
    allowed = {one: network.allows(pods[one.sender], pods[one.receiver], one.port) for one in between}
    return Findings(
        tried=len(between),
        forbidden=sum(not may for may in allowed.values()),
        let_through=sorted(one for one, is_open in between.items() if is_open and not allowed[one]),
        held_back=sorted(one for one, is_open in between.items() if allowed[one] and not is_open),
    )


def probe(kubeconfig: Path, tell: Tell) -> str:
    """Return a line that says what was proven. Raises Permanent when policies are not enforced, or wrongly."""
    pods = _pods(_asked(kubeconfig, "get", "pods", "--all-namespaces", "--output=json"))
    if not pods:
        raise Permanent("no pod of a fleet runs here: apply one first, such as examples/quickstart")
    policies = _asked(kubeconfig, "get", "networkpolicies", "--all-namespaces", "--output=json")["items"]
    namespaces = _asked(kubeconfig, "get", "namespaces", "--output=json")["items"]
    network = Network(policies, {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces})
    reached: dict[Try, bool] = {}
    for name, (pod, container) in sorted(pods.items()):
        tell(f"{name} tries to reach the others")
        reached |= _tries(kubeconfig, pod, container, [each for each, _ in pods.values()])
    findings = judge(network, {name: pod for name, (pod, _) in pods.items()}, reached)
    return verdict(findings, len(policies))


def verdict(findings: Findings, policies: int) -> str:
    """Return what the findings prove. Raises Permanent for what they disprove, naming the cause and the remedy."""
    tried = f"{findings.tried} connections between pods tried, {findings.forbidden} of them forbidden"
    if not findings.forbidden:
        raise Permanent(f"nothing is forbidden by the {policies} NetworkPolicies here ({tried}): is this the fleet's?")
    if not findings.is_enforced:
        raise Permanent(
            f"nothing enforces NetworkPolicies in this cluster: all that the {policies} policies forbid got through "
            f"({tried}): install a network agent that enforces them, such as Calico or Cilium"
        )
    if findings.let_through:
        raise Permanent(f"got through and must not ({tried}): {_listed(findings.let_through)}")
    if findings.held_back:
        raise Permanent(f"was held back and must not be ({tried}): {_listed(findings.held_back)}")
    return f"{tried}: what the {policies} NetworkPolicies allow gets through, and nothing else"


def _listed(tries: Collection[Try]) -> str:
    some = ", ".join(str(each) for each in sorted(tries)[:SHOWN_MAX])
    return some if len(tries) <= SHOWN_MAX else f"{some} and {len(tries) - SHOWN_MAX} more"


def _pods(listed: Mapping[str, Any]) -> dict[str, tuple[Pod, str]]:
    """Return the fleet's pods that run, each with its first container, by "namespace/name"."""
    found = {}
    for body in listed["items"]:
        labels, status = body["metadata"].get("labels") or {}, body.get("status") or {}
        if FLEET.items() <= labels.items() and status.get("phase") == "Running" and status.get("podIP"):
            pod = pod_from(body)
            found[f"{pod.namespace}/{pod.name}"] = pod, str(body["spec"]["containers"][0]["name"])
    return found


def _tries(kubeconfig: Path, pod: Pod, container: str, others: Sequence[Pod]) -> dict[Try, bool]:
    own = f"{pod.namespace}/{pod.name}"
    places = [
        (Try(own, f"{each.namespace}/{each.name}", number), each.address)
        for each in others
        for protocol, number in each.ports.values()
        if protocol == TCP
    ]
    wanted = json.dumps([[address, one.port] for one, address in places])
    place = ("exec", "--namespace", pod.namespace, pod.name, "--container", container)
    done = kubectl(kubeconfig, *place, "--", "python", "-c", SCRIPT, wanted, timeout_s=EXEC_TIMEOUT_S)
    if done.returncode != 0:
        raise Retryable(f"{own}: cannot try from within it: {(done.stderr or done.stdout).strip()}")
    return {one: bool(is_open) for (one, _), is_open in zip(places, json.loads(done.stdout), strict=True)}


def _asked(kubeconfig: Path, *arguments: str) -> dict[str, Any]:
    done = kubectl(kubeconfig, *arguments, timeout_s=EXEC_TIMEOUT_S)
    if done.returncode != 0:
        raise Retryable(f"kubectl {' '.join(arguments[:2])}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
