"""From a job to the objects that work it out in a cluster. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from governor.job import Job
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
    pod_security,
    pod_template_of,
    pull_policy,
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
    metadata = _metadata(owner, surroundings, result_name(job, owner), RESULT_LABEL)
    metadata["annotations"] = {DIGEST_ANNOTATION: job.digest}
    return _child(CONFIG_MAP, metadata, data={RESULT_KEY: json.dumps(result, sort_keys=True)})


def children_of_job(job: Job, owner: Resource, surroundings: Surroundings, database_url: str) -> list[Child]:
    """Return the objects of a job, in the order in which they are made."""
    name = job_name(job, owner)
    metadata = _metadata(owner, surroundings, name, JOB_LABEL)
    labels = metadata["labels"]
    settings = {**job.settings, **({"report": "/tmp/report.html"} if job.makes_report else {})}  # noqa: S108 - its own
    namespace = owner.metadata.namespace
    egress = [] if job.isolated else egress_rules(surroundings, namespace, with_broker=False)
    egress += [each for each in host_rules(job.needs.hosts, namespace) if each not in egress]
    policy = {
        "podSelector": {"matchLabels": {FLEET_LABEL: surroundings.fleet, JOB_LABEL: name}},
        "policyTypes": ["Ingress", "Egress"],
        **({"egress": egress} if egress else {}),  # none of them is none allowed
    }
    template = {"metadata": {"labels": labels}, "spec": _pod(job, name, owner, surroundings)}
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": TIME_S_MAX, "template": template}
    told = {SETTINGS_FILE: json.dumps(settings, default=str, sort_keys=True)}
    code = {f"{CODE_PREFIX}{file}": text for file, text in job.code.items()}
    secrets = [_child(SECRET, metadata, type="Opaque", data={URL_KEY: encoded(database_url)})]
    return [
        *([] if job.isolated else secrets),
        _child(CONFIG_MAP, metadata, data={**told, **code}),
        _child(NETWORK_POLICY, metadata, spec=policy),
        _child(JOB, metadata, spec=spec),
    ]


def _pod(job: Job, name: str, owner: Resource, surroundings: Surroundings) -> Body:
    defaults, template = surroundings.defaults, pod_template_of(owner)
    command = ["python", "-m", "governor.kubernetes.job_process", job.module, f"{SETTINGS_FOLDER}/settings.json"]
    container = {
        "name": CONTAINER,
        "image": template.image or defaults.image,
        "imagePullPolicy": pull_policy(template, defaults),
        "command": [*command, LAST_WORDS],
        "env": [
            {"name": "TRADEFLEET_FLEET", "value": surroundings.fleet},
            *(
                []
                if job.isolated
                else [{"name": "TRADEFLEET_DATABASE_URL_FILE", "value": f"{SECRET_FOLDER}/{URL_KEY}"}]
            ),
            *([CODE_PATH] if job.code else []),
            *needed_variables(job.needs),
        ],
        "resources": {part: dict(amounts) for part, amounts in defaults.resources.items() if amounts},
        "securityContext": container_security(),
        "terminationMessagePath": LAST_WORDS,
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            *([] if job.isolated else [{"name": "secret", "mountPath": SECRET_FOLDER, "readOnly": True}]),
            *([CODE_MOUNT] if job.code else []),
            *needed_mounts(job.needs),
        ],
    }
    own_secrets = [reference.name for reference in template.image_pull_secrets]
    pull_secrets = own_secrets if template.image is not None else [*defaults.image_pull_secrets, *own_secrets]
    optional: Body = {
        "imagePullSecrets": [{"name": each} for each in dict.fromkeys(pull_secrets)],
        "nodeSelector": defaults.node_selector,
        "tolerations": [dict(each) for each in defaults.tolerations],
    }
    code = {f"{CODE_PREFIX}{file}": file for file in job.code}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "settings", "configMap": _entries(name, {SETTINGS_FILE: SETTINGS_FILE})},
            *([] if job.isolated else [{"name": "secret", "secret": {"secretName": name, "defaultMode": PRIVATE}}]),
            *([{"name": "code", "configMap": _entries(name, code)}] if job.code else []),
            *needed_volumes(job.needs),
        ],
        **{part: value for part, value in optional.items() if value},
    }


def _entries(name: str, paths: Mapping[str, str]) -> Body:
    """Return a volume with some entries of a ConfigMap, each at a path."""
    items = [{"key": key, "path": path} for key, path in sorted(paths.items())]
    return {"name": name, "items": items, "defaultMode": READABLE}


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
