"""What a user may say about pods. A local fleet runs processes, and leaves all but the limit of memory aside."""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pydantic import Field

from tradefleet.resources.common import SecretReference
from tradefleet.resources.model import Model, rule
from tradefleet.resources.values import Many, Quantity, Whole


class ImagePullPolicy(StrEnum):
    """When the node fetches the image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """Lets the pod run on a node with a matching taint, as in a Pod's spec."""

    key: str | None = Field(default=None, max_length=317, description="Key of the taint; absent with Exists: any.")
    operator: TolerationOperator = Field(
        default=TolerationOperator.EQUAL, strict=False, description="Equal compares the value, Exists only the key."
    )
    value: str | None = Field(default=None, max_length=63, description="Value of the taint, for Equal.")
    effect: TaintEffect | None = Field(default=None, strict=False, description="Effect of the taint; absent: any.")
    toleration_seconds: Whole | None = Field(
        default=None, description="Seconds the pod stays after a NoExecute taint appears; absent: for ever."
    )

    @rule(
        cel="self.operator != 'Exists' || !has(self.value)",
        message="a toleration with operator Exists has no value",
        field="value",
    )
    def _exists_has_no_value(self) -> bool:
        return self.operator is not TolerationOperator.EXISTS or self.value is None


class ResourceRequirements(Model):
    """Memory and CPU of a pod."""

    requests: dict[str, Quantity] = Field(
        default={}, max_length=16, description="What is set aside for the pod, such as cpu: 50m, memory: 64Mi."
    )
    limits: dict[str, Quantity] = Field(
        default={}, max_length=16, description="What the pod may use at most; beyond its memory it is killed."
    )


_UNITS: Final = {
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)},
}


class PodTemplate(Model):
    """Changes to the pod that the fleet would make by itself."""

    labels: dict[str, str] = Field(default={}, max_length=64, description="Labels added to the pod.")
    annotations: dict[str, str] = Field(default={}, max_length=64, description="Annotations added to the pod.")
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Image that holds your strategy's code. Default: the fleet's own image, with the built-in "
        "strategies only.",
    )
    image_pull_policy: ImagePullPolicy | None = Field(
        default=None, strict=False, description="When the node fetches the image. Default: as Kubernetes decides."
    )
    image_pull_secrets: Many[SecretReference] = Field(
        default=(), max_length=16, description="Secrets with the login for the image's registry."
    )
    resources: ResourceRequirements | None = Field(
        default=None, description="Memory and CPU of the pod. Default: the fleet's, see the chart."
    )
    node_selector: dict[str, str] = Field(
        default={}, max_length=64, description="Labels that a node must have to run the pod."
    )
    tolerations: Many[Toleration] = Field(
        default=(), max_length=64, description="Taints of nodes that the pod puts up with."
    )
    priority_class_name: str | None = Field(
        default=None, max_length=253, description="PriorityClass of the pod: who goes first when a node is full."
    )


def memory_limit_of(template: PodTemplate | None) -> int | None:
    """Return the bytes of memory that a pod may use at most; None when nothing is said of it."""
    if template is None or template.resources is None or "memory" not in template.resources.limits:
        return None
    parts = re.fullmatch("([0-9.]+)(.*)", template.resources.limits["memory"])
    assert parts is not None, "the field's own pattern makes sure of it"
    return int(Decimal(parts[1]) * _UNITS.get(parts[2], 1))
