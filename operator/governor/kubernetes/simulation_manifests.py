"""From the simulations of a Backtest to an Indexed Job and what its pods stand on. Pure.

Only parallelism and suspend of a Job may ever change, so another question is another Job.
"""

import hashlib
import json
from typing import Any, Final

from governor.simulation import MODULE, RETRIES_PER_INDEX, TRIAL_FAILED, WORDS_VARIABLE, Simulation
from tradefleet.resources.common import GROUP, Resource

from .client import JOB, Body
from .job_manifests import (
    DIGEST_LENGTH,
    NAME_LENGTH_MAX,
    TIME_S_MAX,
    Outside,
    child_of,
    metadata_of,
    pod_of,
    surroundings_of_pod,
)
from .manifests import (
    CONTAINER,
    DIGEST_ANNOTATION,
    LAST_WORDS,
    SETTINGS_FOLDER,
    Child,
    Surroundings,
    object_name,
    others,
    pod_template_of,
)

SIMULATION_LABEL: Final = f"{GROUP}/simulation"
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
INDEX_ANNOTATION: Final = "batch.kubernetes.io/job-completion-index"
INDEX_LENGTH: Final = 4  # "-255": a pod is called by its Job and its index


def simulation_name(simulation: Simulation) -> str:
    """Return the name of the objects of a simulation: those of another question have another one."""
    room = NAME_LENGTH_MAX - DIGEST_LENGTH - INDEX_LENGTH - 1
    base = object_name(simulation.name, simulation.owner)[:room].rstrip("-")
    return f"{base}-{simulation.digest[:DIGEST_LENGTH]}"


def children_of_simulation(
    simulation: Simulation, owner: Resource, surroundings: Surroundings, database_url: str, *, slots: int, queue: str
) -> list[Child]:
    """Return the objects of a simulation, in the order in which they are made.

    With a `queue` the Job waits for Kueue, which says when it runs; else `slots` of its pods run at a time.
    """
    name = simulation_name(simulation)
    metadata = metadata_of(owner, surroundings, name, SIMULATION_LABEL)
    metadata["labels"]["app.kubernetes.io/component"] = "simulation"
    outside = Outside(owner=owner, needs=simulation.needs, code=simulation.code)
    template = pod_template(simulation, metadata, surroundings, outside)
    spec = {
        "completionMode": "Indexed",
        "completions": simulation.indexes,
        "parallelism": simulation.parallelism if queue else max(1, slots),
        "suspend": bool(queue) or not slots,
        "backoffLimitPerIndex": RETRIES_PER_INDEX,
        "maxFailedIndexes": min(simulation.indexes, simulation.indexes_failed_max),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                # What the strategy did wrong once it does wrong again: another try would cost as much as the first.
                {
                    "action": "FailIndex",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [TRIAL_FAILED]},
                },
                # A node that is drained, or a pod of a higher priority, is nobody's fault.
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
        "template": template,
    }
    job = {
        **metadata,
        "labels": {**metadata["labels"], **({QUEUE_LABEL: queue} if queue else {})},
        "annotations": {DIGEST_ANNOTATION: digest_of(template)},
    }
    return [
        *surroundings_of_pod(metadata, SIMULATION_LABEL, surroundings, outside, simulation.told, database_url),
        child_of(JOB, job, spec=spec),
    ]


def pod_template(simulation: Simulation, metadata: Body, surroundings: Surroundings, outside: Outside) -> Body:
    """Return the template of the pods of a simulation. Kubernetes adds to each its index."""
    command = ["python", "-m", MODULE, f"{SETTINGS_FOLDER}/settings.json"]
    environment = {WORDS_VARIABLE: LAST_WORDS}
    pod = pod_of(metadata["name"], surroundings, outside, command, environment)
    pod["activeDeadlineSeconds"] = TIME_S_MAX * min(4, simulation.trials_each)
    said = pod_template_of(outside.owner)
    annotations = others(said.annotations)
    labels = {**others(said.labels), **metadata["labels"]}
    return {"metadata": {"labels": labels, **({"annotations": annotations} if annotations else {})}, "spec": pod}


def digest_of(template: Any) -> str:  # noqa: ANN401 - JSON is what it is
    """Return a hash of a template, by which a Job that was made from another one is known."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def indexes_in(text: str) -> list[int]:
    """Return the indexes that a Job's status names, such as `1,3-5`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
