"""The chart's values as types: `values.schema.json` is made from them, and `values.yaml` must say the same defaults."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Port = Annotated[int, Field(ge=1, le=65535)]
KubernetesName = Annotated[str, Field(pattern="^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
OptionalName = Annotated[str, Field(pattern="^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$", max_length=253)]
Labels = dict[str, str]
# Parts of a pod, whose schema is Kubernetes' own; its API server checks them.
PodPart = dict[str, Any]
PodParts = list[dict[str, Any]]


class Part(BaseModel):
    """A group of values: names in camelCase, no other names allowed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Resources(Part):
    """Processor time and memory of a container, as in a pod."""

    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class ImageName(Part):
    """Where an image is; the digest wins over the tag."""

    repository: str = Field(min_length=1)
    tag: str = Field(default="", pattern="^[A-Za-z0-9_.-]{0,128}$")
    digest: str = Field(default="", pattern="^(sha256:[0-9a-f]{64})?$")


class Image(ImageName):
    """The image of the operator and of every workload."""

    repository: str = Field(default="localhost/tradefleet", min_length=1)
    pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    pull_secrets: list[KubernetesName] = []


class DevImage(ImageName):
    """The image that has a Kafka and a Postgres as well."""

    repository: str = Field(default="localhost/tradefleet-dev", min_length=1)


class Crds(Part):
    """The definitions of our kinds."""

    enabled: bool = True
    keep: bool = True


class Postgres(Part):
    """A database of the user's own."""

    existing_secret: OptionalName = ""
    url_key: str = Field(default="url", min_length=1)
    ca_secret: OptionalName = ""


class Kafka(Part):
    """A broker of the user's own."""

    bootstrap: str = Field(default="", pattern="^([^\\s,:]+:[0-9]{1,5}(,[^\\s,:]+:[0-9]{1,5})*)?$")
    topic_prefix: str = Field(default="", pattern="^[A-Za-z0-9._-]{0,100}$")
    security_secret: OptionalName = ""
    security_key: str = Field(default="security.json", min_length=1)
    ca_secret: OptionalName = ""


class SchemaRegistry(Part):
    """Where the schemas of messages in the Confluent wire format are kept."""

    url: str = Field(default="", pattern="^(https?://\\S+)?$")


class DevPostgres(Part):
    """The Postgres for trying."""

    resources: Resources = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"})


class DevKafka(Part):
    """The Kafka for trying."""

    resources: Resources = Resources(requests={"cpu": "100m", "memory": "512Mi"}, limits={"memory": "1Gi"})


class Dev(Part):
    """A Kafka and a Postgres of one pod each, to try the fleet."""

    enabled: bool = False
    image: DevImage = DevImage()
    postgres: DevPostgres = DevPostgres()
    kafka: DevKafka = DevKafka()


class CloudNativePg(Part):
    """A database made by the CloudNativePG operator."""

    enabled: bool = False
    instances: int = Field(default=3, ge=1, le=50)
    storage: str = Field(default="20Gi", pattern="^[0-9]+(Mi|Gi|Ti)$")
    storage_class: OptionalName = ""


class Strimzi(Part):
    """A broker made by the Strimzi operator."""

    enabled: bool = False
    replicas: int = Field(default=3, ge=1, le=100)
    storage: str = Field(default="50Gi", pattern="^[0-9]+(Mi|Gi|Ti)$")
    storage_class: OptionalName = ""
    version: str = Field(default="", pattern="^([0-9]+[.][0-9]+[.][0-9]+)?$")


class Governor(Part):
    """The operator."""

    replicas: int = Field(default=1, ge=0, le=5)
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    resync_seconds: int = Field(default=60, ge=5, le=3600)
    simulations_max: int = Field(default=4, ge=1, le=10_000)
    kueue_queue: OptionalName = ""
    resources: Resources = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"})
    node_selector: Labels = {}
    tolerations: PodParts = []
    affinity: PodPart = {}
    priority_class_name: OptionalName = ""
    pod_labels: Labels = {}
    pod_annotations: Labels = {}


class Workloads(Part):
    """What pods of bots, gateways and feeds get."""

    resources: Resources = Resources(requests={"cpu": "10m", "memory": "64Mi"}, limits={"memory": "256Mi"})
    node_selector: Labels = {}
    tolerations: PodParts = []
    priority_class_name: OptionalName = ""


class Migrations(Part):
    """The upgrade of the database's schema."""

    enabled: bool = True
    resources: Resources = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"})


class ServiceAccount(Part):
    """As whom the operator speaks to the API server."""

    create: bool = True
    name: OptionalName = ""
    annotations: Labels = {}


class Rbac(Part):
    """What the operator may do, and what people may."""

    create: bool = True
    aggregate: bool = True


class UninstallGuard(Part):
    """The refusal to uninstall while resources exist."""

    enabled: bool = True


class ApiServerPeer(Part):
    """Whom the operator may reach as the API server."""

    cidrs: list[Annotated[str, Field(pattern="^[0-9a-fA-F.:]+/[0-9]{1,3}$")]] = []
    ports: list[Port] = [443, 6443]


class PostgresPeer(Part):
    """Where databases listen."""

    ports: list[Port] = [5432]


class KafkaPeer(Part):
    """Where brokers listen."""

    ports: list[Port] = [9092, 9093, 9094]


class NetworkPolicy(Part):
    """Who may speak to whom."""

    enabled: bool = False
    api_server: ApiServerPeer = ApiServerPeer()
    postgres: PostgresPeer = PostgresPeer()
    kafka: KafkaPeer = KafkaPeer()


class PodDisruptionBudget(Part):
    """Whether a drain waits for another operator to be there."""

    enabled: bool = False


class ServiceMonitor(Part):
    """How the Prometheus operator finds what to collect."""

    enabled: bool = False
    interval: str = Field(default="30s", pattern="^[0-9]+(ms|s|m)$")
    labels: Labels = {}


class PrometheusRule(Part):
    """Alerts for the Prometheus operator."""

    enabled: bool = False
    labels: Labels = {}


class Dashboards(Part):
    """Dashboards for Grafana's sidecar."""

    enabled: bool = False
    labels: Labels = {"grafana_dashboard": "1"}


class Metrics(Part):
    """Where figures are shown, and who collects them."""

    port: int = Field(default=8080, ge=1024, le=65535)
    service_monitor: ServiceMonitor = ServiceMonitor()
    prometheus_rule: PrometheusRule = PrometheusRule()
    dashboards: Dashboards = Dashboards()


class ChartValues(Part):
    """Everything that can be set about an installation."""

    image: Image = Image()
    name_override: OptionalName = ""
    fullname_override: OptionalName = ""
    fleet: str = Field(default="", pattern="^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")
    watch_namespaces: list[KubernetesName] = []
    crds: Crds = Crds()
    postgres: Postgres = Postgres()
    kafka: Kafka = Kafka()
    schema_registry: SchemaRegistry = SchemaRegistry()
    dev: Dev = Dev()
    cloudnativepg: CloudNativePg = CloudNativePg()
    strimzi: Strimzi = Strimzi()
    governor: Governor = Governor()
    workloads: Workloads = Workloads()
    migrations: Migrations = Migrations()
    service_account: ServiceAccount = ServiceAccount()
    rbac: Rbac = Rbac()
    uninstall_guard: UninstallGuard = UninstallGuard()
    network_policy: NetworkPolicy = NetworkPolicy()
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    metrics: Metrics = Metrics()


def schema() -> dict[str, Any]:
    """Return the JSON schema of the values, as Helm reads it."""
    described = ChartValues.model_json_schema(by_alias=True)
    # Helm adds this name to the values of every chart that is a part of another.
    described["properties"]["global"] = {"type": "object", "description": "Values of a chart that this one is part of."}
    # The draft that every Helm 3 and 4 reads; what is used here means the same in the newer ones.
    return {"$schema": "http://json-schema.org/draft-07/schema#", **described}
