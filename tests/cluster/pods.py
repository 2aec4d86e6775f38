"""Plays the controllers that an API server without nodes lacks.

Pods of Deployments come, follow an edit, and go; what belonged to a resource that is gone is collected. No process runs
in the pods: what their containers say is up to the test.
"""

from typing import Any, Final

from tests.cluster.governor import Cluster
from tradefleet.resources.kinds import KINDS

OWNED: Final = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy", "Job")


class Pods:
    """One pod for each Deployment of a namespace. `step` does what is due; nothing happens between two steps."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.troubles: dict[str, dict[str, Any]] = {}  # what the container of a Deployment's pod says instead of ready

    def step(self) -> bool:
        """Bring the pods closer to their Deployments; return whether there was anything to do."""
        deployments = {each["metadata"]["name"]: each for each in self._cluster.all("Deployment")}
        wanted = {name: each for name, each in deployments.items() if each["spec"]["replicas"] == 1}
        there = {each["metadata"]["name"]: each for each in self._cluster.all("Pod")}
        changed = False
        for name, pod in there.items():
            if name not in wanted or _template(pod) != _template(wanted[name]["spec"]["template"]):
                self._cluster.api.delete(f"{self._cluster.path('Pod', name)}?gracePeriodSeconds=0")
                changed = True
        for name in wanted.keys() - there.keys():
            trouble = self.troubles.get(name)
            template, said = wanted[name]["spec"]["template"], trouble or {"state": {"running": {}}}
            self._cluster.put_pod(name, template, ready=trouble is None, **said)
            changed = True
        return self._collect() or changed

    def heal(self) -> None:
        """Let no pod be in trouble any more: those that are go, and come again."""
        self.troubles.clear()
        for pod in self._cluster.all("Pod"):
            containers = pod.get("status", {}).get("containerStatuses", [])
            if not all(each["ready"] for each in containers):
                self._cluster.api.delete(f"{self._cluster.path('Pod', pod['metadata']['name'])}?gracePeriodSeconds=0")

    def _collect(self) -> bool:
        """Delete what belongs to nobody any more; return whether there was any."""
        resources = {kind: self._cluster.ours(kind) for kind in KINDS}
        there = {each["metadata"]["uid"] for found in resources.values() for each in found}
        owned = [(self._cluster.path(kind), each) for kind in OWNED for each in self._cluster.all(kind)]
        owned += [(self._cluster.place("TradingBot"), each) for each in resources["TradingBot"]]
        changed = False
        for place, each in owned:
            owners = {one["uid"] for one in each["metadata"].get("ownerReferences", [])}
            if owners and not owners & there and "deletionTimestamp" not in each["metadata"]:
                name = each["metadata"]["name"]
                changed |= self._cluster.api.delete(f"{place}/{name}?propagationPolicy=Background").accepted
        return changed


def _template(body: dict[str, Any]) -> object:
    """Return the marks by which a pod is told from one of before an edit."""
    return body["metadata"].get("annotations")
