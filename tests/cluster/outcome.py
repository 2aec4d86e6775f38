"""What came of a fleet's resources, in a form in which two fleets can be compared, and what must hold of each."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from governor.annotations import FINALIZER, OWNER_ANNOTATION
from governor.kubernetes.logins import COMPONENTS
from governor.workload import Role, unique_name, workload_name

from tests.cluster.governor import Cluster
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import API_VERSION, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.store.logins import Component, component_login, holder_login, workload_login

Body = dict[str, Any]

MADE: Final = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy", "Job")
# What differs between two fleets that are the same: who wrote, when, under which number, and secrets.
PASSING: Final = frozenset(
    {
        *("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "status", "clusterIP"),
        *("clusterIPs", "lastTransitionTime", "observedGeneration", "startedTime", "finishedTime", "seed", "restarts"),
        *("tradefleet.dev/digest", "tradefleet.dev/secret-digest", "database-url", "token", "batch.kubernetes.io"),
    }
)
JOB_LABEL: Final = "tradefleet.dev/job"
ASKING_LABELS: Final = frozenset({JOB_LABEL, "tradefleet.dev/simulation"})
_HASH: Final = re.compile(r"\b[0-9a-f]{8,64}\b")


def resources(cluster: Cluster) -> list[Body]:
    """Return all resources of ours in a namespace."""
    found = []
    for kind in KINDS:
        found += [{"apiVersion": API_VERSION, "kind": kind, **each} for each in cluster.ours(kind)]
    return found


def as_applied(found: list[Body]) -> list[Body]:
    """Return what a person would apply to have these resources: those that sets make are made by them."""
    bare = []
    for each in found:
        metadata = each["metadata"]
        if OWNER_ANNOTATION in metadata.get("annotations", {}):
            continue
        kept = {part: metadata[part] for part in ("name", "labels", "annotations") if part in metadata}
        bare.append({name: each[name] for name in ("apiVersion", "kind", "spec")} | {"metadata": kept})
    return bare


def picture(cluster: Cluster) -> dict[str, object]:
    """Return all resources with their statuses and all that was made for them, without what differs by nature."""
    there = resources(cluster)
    words = {each["metadata"]["uid"]: f"uid of {place_of(each)}" for each in there}
    words[cluster.namespace] = "namespace"
    found: dict[str, object] = {}
    for each in there:
        metadata = {part: each["metadata"].get(part) for part in ("labels", "annotations", "finalizers")}
        found[place_of(each)] = _plain([metadata, each["spec"], _said(each)], words)
    for kind in MADE:
        for each in _made(cluster, kind):
            # A job asks its question once, about what was there then: that it is asked is what can be compared.
            is_asked = not ASKING_LABELS.isdisjoint(each["metadata"]["labels"])
            content = "asked" if is_asked else _content(each)
            found[str(_plain(place_of({"kind": kind, **each}), words))] = _plain(content, words)
    return found


def difference(one: object, other: object, path: str = "") -> str:
    """Return where two values differ first; empty when they are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(name, one.get(name), other.get(name)) for name in sorted(one.keys() | other.keys())]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(index), a, b) for index, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return "" if one == other else f"{path}: {one!r} instead of {other!r}"
    found = (difference(a, b, f"{path}.{name}") for name, a, b in pairs)
    return next((each for each in found if each), "")


def wrong_in(cluster: Cluster, database_url: str, fleet: str) -> list[str]:
    """Return what must not be in any fleet at rest: orphans, doubles, and resources of which nothing is said."""
    there = resources(cluster)
    return [
        *_silent(there),
        *_orphans(cluster, there),
        *_doubles(cluster),
        *_logins(there, cluster, database_url, fleet),
    ]


# --- parts ------------------------------------------------------------------------------------------------------------


def _silent(there: list[Body]) -> Iterator[str]:
    for each in there:
        problem = silence_of(each)
        if problem:
            yield f"{place_of(each)} {problem}: {json.dumps(each.get('status'))[:500]}"


def silence_of(each: Body) -> str:
    """Return what a resource at rest does not say of itself; empty when its status is clear."""
    metadata, status = each["metadata"], each.get("status", {})
    if "deletionTimestamp" in metadata:
        return "is still being deleted"
    if FINALIZER not in metadata.get("finalizers", []):
        return "lacks the finalizer"
    if status.get("observedGeneration") != metadata["generation"]:
        return "is judged by an older spec"
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    true = [name for name in ("Ready", "Reconciling", "Stalled") if conditions.get(name, {}).get("status") == "True"]
    if len(true) != 1:
        return f"is {' and '.join(true) or 'nothing'} at once"
    if not status.get("phase"):
        return "has no phase"
    if true != ["Ready"] and not (status.get("reason") and conditions[true[0]].get("message")):
        return "does not say why it is not Ready"
    return ""


def _orphans(cluster: Cluster, there: list[Body]) -> Iterator[str]:
    uids = {each["metadata"]["uid"] for each in there}
    for kind in MADE:
        for each in _made(cluster, kind):
            owners = {one["uid"] for one in each["metadata"].get("ownerReferences", [])}
            if len(owners) != 1 or not owners <= uids:
                labels = {name: said for name, said in each["metadata"].get("labels", {}).items() if "/" in name}
                yield f"{place_of({'kind': kind, **each})} belongs to nobody: {labels} {owners}"


def _doubles(cluster: Cluster) -> Iterator[str]:
    """Yield workloads with several Deployments, and resources with several Jobs."""
    seen: set[str] = set()
    marks = [each["metadata"]["labels"]["tradefleet.dev/workload"] for each in _made(cluster, "Deployment")]
    marks += [f"Job of {each['metadata']['ownerReferences'][0]['uid']}" for each in _made(cluster, "Job")]
    for mark in marks:
        if mark in seen:
            yield f"{mark} is there twice"
        seen.add(mark)


def _logins(there: list[Body], cluster: Cluster, database_url: str, fleet: str) -> Iterator[str]:
    """Yield log-ins to the database that nobody uses any more."""
    wanted = {component_login(fleet, Component.SUPERVISOR)}
    for each in there:
        key = ResourceKey(each["kind"], cluster.namespace, each["metadata"]["name"])
        wanted.add(holder_login(fleet, BotUid(each["metadata"]["uid"])))
        wanted.add(workload_login(fleet, Component.BACKTEST, unique_name(key.kind.lower(), key)))
        wanted |= {workload_login(fleet, COMPONENTS[role], workload_name(role, key)) for role in Role}
    with psycopg.connect(database_url) as connection:
        kept = dict(connection.execute("SELECT role, component FROM tradefleet.login_role WHERE fleet = %s", (fleet,)))
        roles = {role for (role,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall()}
        assigned = {
            role
            for (role,) in connection.execute(
                "SELECT db_role FROM tradefleet.bot WHERE fleet = %s AND uid = ANY(%s)",
                (fleet, [each["metadata"]["uid"] for each in there]),
            ).fetchall()
        }
    for role, component in kept.items():
        if role not in roles:
            yield f"the log-in {role} ({component}) is noted and does not exist"
        if role not in wanted | assigned:
            yield f"the log-in {role} ({component}) belongs to nobody"


def _made(cluster: Cluster, kind: str) -> list[Body]:
    found = cluster.api.get(f"{cluster.path(kind)}?labelSelector=tradefleet.dev/fleet")
    return list(found["items"])


def place_of(body: Body) -> str:
    """Return kind and name."""
    return f"{body['kind']}/{body['metadata']['name']}"


def _said(body: Body) -> object:
    status = body.get("status", {})
    conditions = {
        each["type"]: [each["status"], each["reason"], each["message"]] for each in status.get("conditions", [])
    }
    # One that was True once says that it is not any more; one that never was says nothing.
    told = {name: said for name, said in conditions.items() if said[0] == "True" or name in ("Ready", "Stalled")}
    return [status.get("reason"), status.get("phase"), told]


def _content(body: Body) -> object:
    metadata = {part: body["metadata"].get(part) or {} for part in ("labels", "annotations", "ownerReferences")}
    told = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    if "settings.json" in told.get("data", {}):
        told["data"] = {**told["data"], "settings.json": json.loads(told["data"]["settings.json"])}
    return [metadata, told]


def _plain(value: object, words: dict[str, str]) -> object:
    """Return a value without what passes, and with UIDs and hashes said in words."""
    if isinstance(value, dict):
        kept = {
            name: each for name, each in value.items() if name not in PASSING and not name.startswith("example.com")
        }
        return {str(_plain(name, words)): _plain(each, words) for name, each in kept.items()}
    if isinstance(value, list):
        return [_plain(each, words) for each in value]
    if isinstance(value, str):
        for word, said in words.items():
            value = value.replace(word, said)
        return _HASH.sub("#", value)
    return value
