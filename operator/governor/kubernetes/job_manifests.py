"""From a job to the objects that work it out in a cluster. Pure."""

import json
from typing import Any, Final

from governor.job import Job
from tradefleet.resources.common import GROUP, Resource

from .client import CONFIG_MAP, JOB, NETWORK_POLICY, SECRET, Body, Kind
from .manifests import (
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
    object_name,
    owner_references,
    pod_security,
)

JOB_LABEL: Final = f"{GROUP}/job"
RESULT_LABEL: Final = f"{GROUP}/result"
RESULT_KEY: Final = "result.json"
NAME_LENGTH_MAX: Final = 63  # a Job's name is a label of its pods
DIGEST_LENGTH: Final = 8
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
    metadata = _metadata(owner, surroundings, result_name(job, owner), RESULT_LABEL)
    metadata["annotations"] = {DIGEST_ANNOTATION: job.digest}
    return _child(CONFIG_MAP, metadata, data={RESULT_KEY: json.dumps(result, sort_keys=True)})


def children_of_job(job: Job, owner: Resource, surroundings: Surroundings, database_url: str) -> list[Child]:
    """Return the objects of a job, in the order in which they are made."""
    name = job_name(job, owner)
    metadata = _metadata(owner, surroundings, name, JOB_LABEL)
    labels = metadata["labels"]
    settings = {**job.settings, **({"report": "/tmp/report.html"} if job.makes_report else {})}  # noqa: S108 - its own
    policy = {
        "podSelector": {"matchLabels": {FLEET_LABEL: surroundings.fleet, JOB_LABEL: name}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": egress_rules(surroundings, owner.metadata.namespace, with_broker=False),
    }
    template = {"metadata": {"labels": labels}, "spec": _pod(job, name, surroundings)}
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": TIME_S_MAX, "template": template}
    return [
        _child(CONFIG_MAP, metadata, data={"settings.json": json.dumps(settings, default=str, sort_keys=True)}),
        _child(SECRET, metadata, type="Opaque", data={URL_KEY: encoded(database_url)}),
        _child(NETWORK_POLICY, metadata, spec=policy),
        _child(JOB, metadata, spec=spec),
    ]


def _pod(job: Job, name: str, surroundings: Surroundings) -> Body:
    defaults = surroundings.defaults
    command = ["python", "-m", "governor.kubernetes.job_process", job.module, f"{SETTINGS_FOLDER}/settings.json"]
    container = {
        "name": CONTAINER,
        "image": defaults.image,
        "imagePullPolicy": defaults.image_pull_policy,
        "command": [*command, LAST_WORDS],
        "env": [
            {"name": "TRADEFLEET_FLEET", "value": surroundings.fleet},
            {"name": "TRADEFLEET_DATABASE_URL_FILE", "value": f"{SECRET_FOLDER}/{URL_KEY}"},
        ],
        "resources": {part: dict(amounts) for part, amounts in defaults.resources.items() if amounts},
        "securityContext": container_security(),
        "terminationMessagePath": LAST_WORDS,
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            {"name": "secret", "mountPath": SECRET_FOLDER, "readOnly": True},
        ],
    }
    optional: Body = {
        "imagePullSecrets": [{"name": each} for each in defaults.image_pull_secrets],
        "nodeSelector": defaults.node_selector,
        "tolerations": [dict(each) for each in defaults.tolerations],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "settings", "configMap": {"name": name, "defaultMode": READABLE}},
            {"name": "secret", "secret": {"secretName": name, "defaultMode": PRIVATE}},
        ],
        **{part: value for part, value in optional.items() if value},
    }


def _metadata(owner: Resource, surroundings: Surroundings, name: str, label: str) -> Body:
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


def _child(kind: Kind, metadata: Body, **fields: Any) -> Child:  # noqa: ANN401 - JSON is what it is
    return Child(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields})
