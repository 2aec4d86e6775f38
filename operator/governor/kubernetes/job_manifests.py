"""From a job to the objects that work it out in a cluster. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from governor.job import Job
from governor.workload import Needs
from tradefleet.resources.common import GROUP, Resource

from .client import CONFIG_MAP, JOB, NETWORK_POLICY, SECRET, Body, Kind
from .manifests import (
    CODE_MOUNT,
    CODE_PATH,
    CONTAINER,
    DIGEST_ANNOTATION,
    FLEET_LABEL,
    LAST_WORDS,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PRIVATE,
    READABLE,
    SECRET_FOLDER,
    SETTINGS_FOLDER,
    URL_KEY,
    Child,
    Surroundings,
    container_security,
    egress_rules,
    encoded,
    host_rules,
    needed_mounts,
    needed_variables,
    needed_volumes,
    object_name,
    owner_references,
    placement,
    pod_security,
    pod_template_of,
    pull_policy,
    resources_of,
)

JOB_LABEL: Final = f"{GROUP}/job"
RESULT_LABEL: Final = f"{GROUP}/result"
RESULT_KEY: Final = "result.json"
NAME_LENGTH_MAX: Final = 63  # a Job's name is a label of its pods
DIGEST_LENGTH: Final = 8
SETTINGS_FILE: Final = "settings.json"
CODE_PREFIX: Final = "code."  # of the entries with modules
TIME_S_MAX: Final = 6 * 3_600  # a job that takes longer has hung


def result_name(job: Job, owner: Resource) -> str:
    """Return the name of the object in which a job's result is kept."""
    return f"{object_name(job.name, owner.key)}-result"


def job_name(job: Job, owner: Resource) -> str:
    """Return the name of the objects of a job as it is asked now: a Job can never be changed."""
    base = object_name(job.name, owner.key)[: NAME_LENGTH_MAX - DIGEST_LENGTH - 1].rstrip("-")
    return f"{base}-{job.digest[:DIGEST_LENGTH]}"


def result_of(job: Job, owner: Resource, surroundings: Surroundings, result: dict[str, Any]) -> Child:
    """Return the object in which a result is kept, longer than the pod that found it."""
    metadata = metadata_of(owner, surroundings, result_name(job, owner), RESULT_LABEL)
    metadata["annotations"] = {DIGEST_ANNOTATION: job.digest}
    return child_of(CONFIG_MAP, metadata, data={RESULT_KEY: json.dumps(result, sort_keys=True)})


def children_of_job(job: Job, owner: Resource, surroundings: Surroundings, database_url: str) -> list[Child]:
    """Return the objects of a job, in the order in which they are made."""
    metadata = metadata_of(owner, surroundings, job_name(job, owner), JOB_LABEL)
    command = ["python", "-m", "governor.kubernetes.job_process", job.module, f"{SETTINGS_FOLDER}/settings.json"]
    outside = Outside(owner=owner, needs=job.needs, code=job.code, isolated=job.isolated)
    pod = pod_of(metadata["name"], surroundings, outside, [*command, LAST_WORDS])
    template = {"metadata": {"labels": metadata["labels"]}, "spec": pod}
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": TIME_S_MAX, "template": template}
    return [
        *surroundings_of_pod(metadata, JOB_LABEL, surroundings, outside, job.settings, database_url),
        child_of(JOB, metadata, spec=spec),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What pods have of other people's: what their owner says about its pods, what they need, modules to import.

    Those that are `isolated` have no log-in and nobody to speak with but the hosts of their needs.
    """

    owner: Resource
    needs: Needs
    code: Mapping[str, str]
    isolated: bool = False


def surroundings_of_pod(
    metadata: Body,
    label: str,
    surroundings: Surroundings,
    outside: Outside,
    settings: Mapping[str, Any],
    database_url: str,
) -> list[Child]:
    """Return what the pods of a job stand on: log-in, settings, and the bounds of what they reach."""
    namespace = metadata["namespace"]
    egress = [] if outside.isolated else egress_rules(surroundings, namespace, with_broker=False)
    egress += [each for each in host_rules(outside.needs.hosts, namespace) if each not in egress]
    policy = {
        "podSelector": {"matchLabels": {FLEET_LABEL: surroundings.fleet, label: metadata["name"]}},
        "policyTypes": ["Ingress", "Egress"],
        **({"egress": egress} if egress else {}),  # none of them is none allowed
    }
    told = {SETTINGS_FILE: json.dumps(settings, default=str, sort_keys=True)}
    code = {f"{CODE_PREFIX}{file}": text for file, text in outside.code.items()}
    secrets = [child_of(SECRET, metadata, type="Opaque", data={URL_KEY: encoded(database_url)})]
    return [
        child_of(CONFIG_MAP, metadata, data={**told, **code}),  # before the Secret, which no list shows
        *([] if outside.isolated else secrets),
        child_of(NETWORK_POLICY, metadata, spec=policy),
    ]


def pod_of(
    name: str,
    surroundings: Surroundings,
    outside: Outside,
    command: Sequence[str],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Body:
    """Return the spec of the pods of a job, whose other objects have the same `name`."""
    defaults, template = surroundings.defaults, pod_template_of(outside.owner)
    has_login = not outside.isolated
    login = {"name": "TRADEFLEET_DATABASE_URL_FILE", "value": f"{SECRET_FOLDER}/{URL_KEY}"}
    container = {
        "name": CONTAINER,
        "image": template.image or defaults.image,
        "imagePullPolicy": pull_policy(template, defaults),
        "command": list(command),
        "env": [
            {"name": "TRADEFLEET_FLEET", "value": surroundings.fleet},
            *([login] if has_login else []),
            *({"name": variable, "value": value} for variable, value in environment.items()),
            *([CODE_PATH] if outside.code else []),
            *needed_variables(outside.needs),
        ],
        "resources": resources_of(template, defaults),
        "securityContext": container_security(),
        "terminationMessagePath": LAST_WORDS,
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            *([{"name": "secret", "mountPath": SECRET_FOLDER, "readOnly": True}] if has_login else []),
            *([CODE_MOUNT] if outside.code else []),
            *needed_mounts(outside.needs),
        ],
    }
    code = {f"{CODE_PREFIX}{file}": file for file in outside.code}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "settings", "configMap": _entries(name, {SETTINGS_FILE: SETTINGS_FILE})},
            *([{"name": "secret", "secret": {"secretName": name, "defaultMode": PRIVATE}}] if has_login else []),
            *([{"name": "code", "configMap": _entries(name, code)}] if outside.code else []),
            *needed_volumes(outside.needs),
        ],
        **placement(template, defaults),
    }


def _entries(name: str, paths: Mapping[str, str]) -> Body:
    """Return a volume with some entries of a ConfigMap, each at a path."""
    items = [{"key": key, "path": path} for key, path in sorted(paths.items())]
    return {"name": name, "items": items, "defaultMode": READABLE}


def metadata_of(owner: Resource, surroundings: Surroundings, name: str, label: str) -> Body:
    """Return the metadata of all objects of a job; `label` is the one by which its pods are found."""
    labels = {
        **surroundings.defaults.labels,
        FLEET_LABEL: surroundings.fleet,
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/name": "tradefleet",
        "app.kubernetes.io/part-of": "tradefleet",
        "app.kubernetes.io/component": "job",
        f"{GROUP}/{owner.kind.lower()}": owner.metadata.name,
        label: name,
    }
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": labels,
        "ownerReferences": owner_references(owner),
    }


def job_changes(wanted: Body, stored: Body) -> Body:
    """Return the merge patch that makes a Job that works what it should be, as far as one can change; often empty."""
    old, new = stored["metadata"], wanted["metadata"]
    owners = [each.get("uid") for each in old.get("ownerReferences") or ()]
    metadata: Body = {}
    if owners != [each["uid"] for each in new["ownerReferences"]]:
        metadata["ownerReferences"] = new["ownerReferences"]
    labels = old.get("labels") or {}
    lost = {name: value for name, value in new["labels"].items() if labels.get(name) != value}
    if lost:
        metadata["labels"] = lost
    return {
        **({"metadata": metadata} if metadata else {}),
        **({"spec": {"suspend": False}} if stored["spec"].get("suspend") else {}),
    }


def child_of(kind: Kind, metadata: Body, **fields: Any) -> Child:  # noqa: ANN401 - JSON is what it is
    """Return an object with this metadata."""
    return Child(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields})
