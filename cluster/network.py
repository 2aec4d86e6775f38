"""What NetworkPolicies let through: the meaning of networking.k8s.io/v1, for any two pods and a port. Pure.

After the Kubernetes documentation, "Network Policies", and the comments of the API's types. A policy selects pods of
its own namespace. A pod that no policy selects for a direction is open in that direction; one that some do is open as
far as any of them allows. A connection needs the sender's egress and the receiver's ingress; answers are never stopped.

Not modelled: traffic of a pod with itself and of a node with its pods, which no policy stops; addresses that an agent
rewrites on the way (Services are resolved to pods by whoever asks); policies of an agent's own kinds.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Policy = Mapping[str, Any]
Rule = Mapping[str, Any]

TCP: Final = "TCP"
UDP: Final = "UDP"
INGRESS: Final = "Ingress"
EGRESS: Final = "Egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One end of a connection. `ports` are the container ports that have a name. No namespace: outside the cluster."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # protocol and number


@dataclass(frozen=True, slots=True)
class Network:
    """The policies of a cluster, and the labels of its namespaces."""

    policies: Sequence[Policy]
    namespaces: Mapping[str, Mapping[str, str]]

    def allows(self, sender: Pod, receiver: Pod, port: int, protocol: str = TCP) -> bool:
        """Return whether `sender` may open a connection to a port of `receiver`."""
        if sender == receiver:
            return True
        leaves = self._is_open(EGRESS, sender, receiver, receiver, port, protocol)
        return leaves and self._is_open(INGRESS, receiver, sender, receiver, port, protocol)

    def _is_open(self, direction: str, own: Pod, other: Pod, receiver: Pod, port: int, protocol: str) -> bool:
        if not own.namespace:
            return True  # no policy is about what is outside
        mine = [each for each in self.policies if direction in policy_types(each) and _selects(each, own)]
        return not mine or any(
            _has_port(rule, receiver, port, protocol) and self._has_peer(each, rule, direction, other)
            for each in mine
            for rule in each["spec"].get(direction.lower()) or ()
        )

    def _has_peer(self, policy: Policy, rule: Rule, direction: str, other: Pod) -> bool:
        peers = rule.get("from" if direction == INGRESS else "to")
        return not peers or any(self._is_peer(policy["metadata"]["namespace"], peer, other) for peer in peers)

    def _is_peer(self, own_namespace: str, peer: Mapping[str, Any], other: Pod) -> bool:
        block = peer.get("ipBlock")
        if block is not None:
            return _is_within(block, other.address)
        if not other.namespace:
            return False
        namespaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
        if namespaces is None:
            is_there = other.namespace == own_namespace
        else:
            is_there = matches(namespaces, self.namespaces.get(other.namespace, {}))
        return is_there and (pods is None or matches(pods, other.labels))


def policy_types(policy: Policy) -> Sequence[str]:
    """Return the directions that a policy is about: without a word, ingress, and egress if it has rules for that."""
    spec = policy["spec"]
    found: Sequence[str] | None = spec.get("policyTypes")
    return found or ([INGRESS, EGRESS] if spec.get("egress") else [INGRESS])


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether labels satisfy a label selector; an empty one is satisfied by all."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    return all(_satisfies(each, labels) for each in selector.get("matchExpressions") or ())


def _satisfies(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return name in labels and labels[name] in values
        case "NotIn":
            return name not in labels or labels[name] not in values
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
        case operator:
            raise ValueError(f"a label selector has no operator {operator}")


def _selects(policy: Policy, pod: Pod) -> bool:
    return policy["metadata"]["namespace"] == pod.namespace and matches(
        policy["spec"].get("podSelector") or {}, pod.labels
    )


def _has_port(rule: Rule, receiver: Pod, port: int, protocol: str) -> bool:
    ports: Iterable[Mapping[str, Any]] = rule.get("ports") or ()
    return not ports or any(_is_port(each, receiver, port, protocol) for each in ports)


def _is_port(wanted: Mapping[str, Any], receiver: Pod, port: int, protocol: str) -> bool:
    if wanted.get("protocol", TCP) != protocol:
        return False
    number = wanted.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        return receiver.ports.get(number) == (protocol, port)
    return int(number) <= port <= int(wanted.get("endPort", number))


def _is_within(block: Mapping[str, Any], address: str) -> bool:
    if not address:
        return False
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(each) for each in block.get("except") or ()
    )


def pod_from(body: Mapping[str, Any], namespace: str = "") -> Pod:
    """Return a pod from its manifest, or from a template with the namespace that it is made in."""
    metadata = body["metadata"]
    ports = {
        port["name"]: (port.get("protocol", TCP), int(port["containerPort"]))
        for container in body["spec"]["containers"]
        for port in container.get("ports") or ()
        if "name" in port
    }
    return Pod(
        name=str(metadata.get("name", "")),
        namespace=namespace or str(metadata.get("namespace", "")),
        labels=metadata.get("labels") or {},
        address=str((body.get("status") or {}).get("podIP", "")),
        ports=ports,
    )
