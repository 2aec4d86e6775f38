"""What all kinds of resources have in common: names, metadata, conditions, status, references to each other."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from tradefleet.resources.model import Model, rule
from tradefleet.resources.problems import InvalidResource, problems_of
from tradefleet.resources.values import (
    Distinct,
    Instant,
    KubernetesName,
    Many,
    Parameter,
    ParameterName,
    PluginName,
    ResourceName,
    Whole,
    instant_us,
)

GROUP = "tradefleet.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["tradefleet.dev/v1alpha1"] = "tradefleet.dev/v1alpha1"
CATEGORY = "tradefleet"
DEFAULT_NAMESPACE = "default"


class ResourceKey(NamedTuple):
    """What identifies a resource in a fleet."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.full_name}"

    @property
    def full_name(self) -> str:
        """Return "namespace/name"."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrinterColumn:
    """One column of `kubectl get`. `path` is a JSONPath without the braces; `priority` 1 shows it in `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0

    @classmethod
    def ready(cls) -> "PrinterColumn":
        """Return the column of the Ready condition."""
        path = '.status.conditions[?(@.type=="Ready")].status'
        return cls(name="Ready", path=path, description="Whether it does what its spec says.")

    @classmethod
    def phase(cls) -> "PrinterColumn":
        """Return the column of the phase."""
        return cls(name="Phase", path=".status.phase", description="Where it is in its life.")

    @classmethod
    def age(cls) -> "PrinterColumn":
        """Return the column of the age."""
        return cls(name="Age", path=".metadata.creationTimestamp", description="Since when it exists.", type="date")

    @classmethod
    def reason(cls) -> "PrinterColumn":
        """Return the column of the one-line reason, shown in `-o wide`."""
        return cls(name="Reason", path=".status.reason", description="Why, and what to do next.", priority=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindNames:
    """How a kind is called on the command line."""

    plural: str
    short: str


class Mode(StrEnum):
    """Whether real money is at stake."""

    PAPER = "paper"
    LIVE = "live"


class Phase(StrEnum):
    """Where a resource is in its life, for people; programs read the conditions."""

    PENDING = "Pending"
    STARTING = "Starting"
    WARMING_UP = "WarmingUp"
    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    SUCCEEDED = "Succeeded"  # of what ends by itself: a Dataset's import, a Backtest
    FAILED = "Failed"


class ConditionType(StrEnum):
    """The conditions that a resource may show."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"
    WARNING = "Warning"
    CONFIG_DRIFT = "ConfigDrift"
    IN_PARITY = "InParity"


class ConditionStatus(StrEnum):
    """What a condition says: yes, no, or that nobody knows."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class OwnerReference(Model):
    """The object that made this one; Kubernetes deletes this one with it."""

    api_version: str = Field(description="API group and version of the owner.")
    kind: str = Field(description="Kind of the owner.")
    name: str = Field(description="Name of the owner.")
    uid: str = Field(description="UID of the owner.")
    controller: bool | None = Field(default=None, description="Whether the owner manages this object.")
    block_owner_deletion: bool | None = Field(default=None, description="Whether the owner waits for this object.")


class Metadata(Model):
    """Name, labels and the bookkeeping that Kubernetes (or the local fleet) adds."""

    name: ResourceName = Field(description="Name, unique among its kind in its namespace.")
    namespace: KubernetesName = Field(default=DEFAULT_NAMESPACE, description="Namespace that the resource lives in.")
    labels: dict[str, str] = Field(default={}, description="Labels, for selectors such as that of a RiskPolicy.")
    annotations: dict[str, str] = Field(default={}, description="Notes of people and tools.")
    uid: str | None = Field(default=None, description="Identity given at creation; a re-created resource has another.")
    generation: Whole | None = Field(default=None, description="Counts the changes of spec.")
    resource_version: str | None = Field(default=None, description="Version of the stored object.")
    creation_timestamp: str | None = Field(default=None, description="When the resource was created, UTC.")
    deletion_timestamp: str | None = Field(default=None, description="When deletion was asked for, UTC.")
    deletion_grace_period_seconds: Whole | None = Field(default=None, description="Seconds granted to end, set by it.")
    finalizers: Many[str] = Field(default=(), description="Who must agree before the resource is gone.")
    owner_references: Many[OwnerReference] = Field(default=(), description="What this resource belongs to.")
    managed_fields: JsonValue = Field(default=None, description="Who owns which field; written by Kubernetes.")
    generate_name: str | None = Field(default=None, description="Prefix of a generated name.")
    self_link: str | None = Field(default=None, description="Old field of Kubernetes, without meaning.")


class Condition(Model):
    """One thing that is true, false or unknown about a resource, with a reason that names the next step."""

    model_config = ConfigDict(extra="ignore")

    type: str = Field(max_length=316, description="What the condition is about: Ready, Reconciling, Stalled, ...")
    status: ConditionStatus = Field(strict=False, description="True, False or Unknown.")
    reason: str = Field(max_length=1024, description="One word for programs: why.")
    message: str = Field(default="", max_length=32768, description="One line for people: why, and what to do next.")
    observed_generation: Whole | None = Field(default=None, description="metadata.generation that was judged.")
    last_transition_time: str | None = Field(
        default=None,
        description="When status last changed, UTC.",
        json_schema_extra={"format": "date-time"},
    )


class Status(Model):
    """What the fleet says about a resource; written by the Governor, never by users.

    Fields that this version does not know are left out instead of refused: a newer Governor may have written them.
    """

    model_config = ConfigDict(extra="ignore")

    observed_generation: Whole | None = Field(default=None, description="metadata.generation that was acted upon.")
    conditions: Annotated[Many[Condition], Distinct("type")] = Field(
        default=(), description="Ready, Reconciling, Stalled and more: for kubectl wait, Helm, Flux and Argo CD."
    )
    phase: Phase | None = Field(default=None, strict=False, description="Where the resource is in its life, to read.")
    reason: str | None = Field(default=None, description="One line: why it is so, and what to do next.")

    def condition(self, wanted: ConditionType) -> Condition | None:
        """Return the condition of that type, None when it was not reported yet."""
        return next((each for each in self.conditions if each.type == wanted), None)


class Reference(Model):
    """The name of another resource in the same namespace."""

    name: ResourceName = Field(description="Name of a resource in the same namespace.")


class SecretReference(Model):
    """The name of a Secret in the same namespace; its content is never copied into a resource or a log."""

    name: KubernetesName = Field(description="Name of a Secret in the same namespace.")


class ConfigMapReference(Model):
    """The name of a ConfigMap in the same namespace."""

    name: KubernetesName = Field(description="Name of a ConfigMap in the same namespace.")


class PluginReference(Model):
    """A built-in source, or the user's own class."""

    name: PluginName = Field(description="A built-in source, or your own class written module:Class.")
    params: dict[ParameterName, Parameter] = Field(
        default={}, max_length=64, description="Parameters handed to the source; their meaning is its own."
    )


class LabelSelector(Model):
    """Chooses resources by their labels."""

    match_labels: dict[str, str] = Field(
        default={}, max_length=16, description="Labels that must all be there; empty chooses every one."
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` holds every label of the selector."""
        return all(labels.get(name) == value for name, value in self.match_labels.items())


class TimeRange(Model):
    """A stretch of time, from the first moment up to but not including the last."""

    start: Instant | None = Field(
        default=None, alias="from", description="First moment, UTC: 2018-04-04 or 2018-04-04T12:30:00Z. Default: all."
    )
    end: Instant | None = Field(
        default=None, alias="to", description="First moment that is no longer part of it, UTC. Default: all."
    )

    @rule(
        cel="!has(self.from) || !has(self.to) || "
        "timestamp(size(self.from) == 10 ? self.from + 'T00:00:00Z' : self.from) < "
        "timestamp(size(self.to) == 10 ? self.to + 'T00:00:00Z' : self.to)",
        message="from must be before to",
        field="from",
    )
    def _is_not_empty(self) -> bool:
        return self.start is None or self.end is None or instant_us(self.start) < instant_us(self.end)


class Resource(Model):
    """A custom resource: apiVersion, kind, metadata, spec, status. Each kind is a subclass."""

    names: ClassVar[KindNames]
    columns: ClassVar[tuple[PrinterColumn, ...]]

    api_version: Literal["tradefleet.dev/v1alpha1"] = Field(
        default=API_VERSION, description="Group and version of the resource's schema."
    )
    kind: str
    metadata: Metadata = Field(description="Name, labels and bookkeeping.")
    spec: Model
    status: Status

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Return the resource in `body`, as YAML or the API server gives it.

        Raises InvalidResource with every problem found: field, rule, value and remedy.
        """
        try:
            return cls.model_validate(dict(body), by_alias=True, by_name=False)
        except ValidationError as error:
            raise InvalidResource(problems_of(error, cls, body)) from error

    @property
    def key(self) -> ResourceKey:
        """What identifies the resource in the fleet."""
        return ResourceKey(self.kind, self.metadata.namespace, self.metadata.name)

    def digest(self) -> str:
        """Return the SHA-256 of the spec with its defaults, in hex: equal specs have equal digests."""
        spec = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """Return the resource as plain values, as `kubectl get -o json` shows it: defaults in, what is unset out."""
        body: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        body["metadata"] = {name: value for name, value in body["metadata"].items() if value not in ({}, [])}
        body["status"] = {name: value for name, value in body["status"].items() if value not in ({}, [])}
        if not body["status"]:
            del body["status"]
        return body
