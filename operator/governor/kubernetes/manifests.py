"""From a workload to the objects that run it in a cluster. Pure.

Everything that an API server would fill in by itself is written out, so that what is stored can be compared with what
should be by plain equality: any other field is somebody's change.
"""

import hashlib
import ipaddress
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from governor.workload import NAME_HASH_LENGTH, NAME_LENGTH_MAX, Needs, Role, Workload
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import API_VERSION, GROUP, Resource, ResourceKey
from tradefleet.resources.pods import PodTemplate

from .client import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE, SERVICE_ACCOUNT, Body, Kind
from .settings import WorkloadDefaults

FLEET_LABEL: Final = f"{GROUP}/fleet"
WORKLOAD_LABEL: Final = f"{GROUP}/workload"
NAMESPACE_LABEL: Final = f"{GROUP}/namespace"  # of what is wound down from our own namespace: the one that ends
AWAY: Final = "ending"  # how the names of such objects begin, and no others
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "tradefleet-governor"
DIGEST_ANNOTATION: Final = f"{GROUP}/digest"  # of what the process is told
SECRET_ANNOTATION: Final = f"{GROUP}/secret-digest"
TEMPLATE_ANNOTATION: Final = f"{GROUP}/pod-template"  # the podTemplate that a bot's Deployment was made from
ENDED_ANNOTATION: Final = f"{GROUP}/ended"  # digest of the workload that has come to its own end
OWN_PREFIX: Final = f"{GROUP}/"

USER: Final = 65532  # what the image runs as
VENUE_PORT: Final = 8443
GRACE_S: Final = 30
SETTINGS_FOLDER: Final = "/etc/tradefleet/workload"
SECRET_FOLDER: Final = "/etc/tradefleet/secret"  # noqa: S105 - a folder
LAST_WORDS: Final = "/dev/termination-log"
URL_KEY: Final = "database-url"
TOKEN_KEY: Final = "token"  # noqa: S105 - the name of a field
CONTAINER: Final = "workload"
READABLE: Final = 0o444
PRIVATE: Final = 0o440
CODE_FOLDER: Final = "/etc/tradefleet/code"
CODE_MOUNT: Final = {"name": "code", "mountPath": CODE_FOLDER, "readOnly": True}
CODE_PATH: Final = {"name": "PYTHONPATH", "value": CODE_FOLDER}

MODULES: Final = {
    Role.VENUE: ("workloads.exchange.main", "venue"),
    Role.GATEWAY: ("workloads.exchange.main", "gateway"),
    Role.FEED: ("workloads.feeds.main", "replay"),
    Role.RECORDER: ("workloads.feeds.main", "recorder"),
    Role.BOT: ("workloads.strategy.main",),
    Role.HOST: ("workloads.strategy.main",),
}
DNS_PORTS: Final = ({"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53})


_NOTHING_SAID: Final = PodTemplate()


class Child(NamedTuple):
    """One object that should be."""

    kind: Kind
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all pods of a fleet share."""

    fleet: str
    defaults: WorkloadDefaults
    database_hosts: tuple[tuple[str, int], ...]
    kafka_bootstrap: str
    kafka_prefix: str
    schema_registry_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a workload alone may know. `token` is shared by the two ends of a port."""

    database_url: str
    token: str = ""

    def __repr__(self) -> str:
        return "Credentials(***)"

    @property
    def digest(self) -> str:
        """Return a hash by which a change is seen; both values are random and too long to be guessed."""
        return hashlib.sha256(f"{self.database_url}\n{self.token}".encode()).hexdigest()[:16]


def object_name(planned: str, owner: ResourceKey) -> str:
    """Return what an object of a resource is called, from what it is called in the plan, which begins with a word.

    The namespace tells the rest: in a cluster a name needs to be unique in its namespace only. An exchange has several
    hosts, which the numbers at the ends of their names tell apart.
    """
    word = planned.partition("-")[0]
    return f"{word}-{owner.name}-{planned.rpartition('-')[2]}" if word == Role.HOST else f"{word}-{owner.name}"


def object_key(planned: str, owner: ResourceKey, home: str) -> tuple[str, str]:
    """Return namespace and name of the objects of a workload that runs in the namespace `home`.

    Its owner's namespace, as a rule. While that one ends it is the Governor's own, where others have such a name, too:
    there it is the one in the plan, which no other workload of the fleet has.
    """
    if home == owner.namespace:
        return home, object_name(planned, owner)
    name = f"{AWAY}-{planned}"
    if len(name) > NAME_LENGTH_MAX:
        ending = hashlib.sha256(planned.encode()).hexdigest()[:NAME_HASH_LENGTH]
        name = f"{name[: NAME_LENGTH_MAX - NAME_HASH_LENGTH - 1].rstrip('-')}-{ending}"
    return home, name


def code_key(workload: Workload, home: str) -> tuple[str, str]:
    """Return where the object with a workload's modules is: other modules are another object."""
    namespace, name = object_key(workload.name, workload.owner, home)
    return namespace, f"{name}-code-{workload.code.files_digest}"


def labels_of(workload: Workload, surroundings: Surroundings, home: str) -> dict[str, str]:
    """Return the labels that every object of a workload has."""
    away = {} if home == workload.owner.namespace else {NAMESPACE_LABEL: workload.owner.namespace}
    return {
        **surroundings.defaults.labels,
        **selector_of(workload, surroundings, home),
        **away,
        "app.kubernetes.io/name": "tradefleet",
        "app.kubernetes.io/part-of": "tradefleet",
        "app.kubernetes.io/component": str(workload.role),
        MANAGED_BY_LABEL: MANAGED_BY,
        f"{GROUP}/{workload.owner.kind.lower()}": workload.owner.name,
    }


def selector_of(workload: Workload, surroundings: Surroundings, home: str) -> dict[str, str]:
    """Return the labels by which a workload's pods are found; a Deployment's can never change."""
    _, name = object_key(workload.name, workload.owner, home)
    return {FLEET_LABEL: surroundings.fleet, WORKLOAD_LABEL: name}


def children_of(
    workload: Workload,
    owner: Resource,
    surroundings: Surroundings,
    credentials: Credentials,
    *,
    has_ended: bool = False,
    home: str = "",
    template: PodTemplate | None = None,
) -> list[Child]:
    """Return the objects of a workload, in the order in which they are made: its process comes last.

    A workload that `has_ended` by itself keeps them, without a pod, so that it does not begin again. `home` is the
    namespace that they are in, by default their owner's; `template` is what counts as the owner's podTemplate.
    """
    template = pod_template_of(owner) if template is None else template
    maker = _Maker(workload, owner, surroundings, credentials, template, home or workload.owner.namespace)
    return [
        maker.service_account(),
        maker.secret(),
        maker.config_map(),
        *([maker.code()] if workload.code.files_digest else []),
        *([maker.service()] if workload.port_name is not None else []),
        maker.network_policy(),
        maker.deployment(has_ended=has_ended),
    ]


def pod_template_of(owner: Resource) -> PodTemplate:
    """Return what a resource says about its pods; of bots and Backtests."""
    found = getattr(owner.spec, "pod_template", None)
    return found if isinstance(found, PodTemplate) else _NOTHING_SAID


def pull_policy(template: PodTemplate, defaults: WorkloadDefaults) -> str:
    """Return when the image is fetched; for an image of one's own what Kubernetes would take by itself."""
    if template.image_pull_policy is not None:
        return str(template.image_pull_policy)
    if template.image is None:
        return defaults.image_pull_policy
    _, at, _ = template.image.partition("@")
    tag = template.image.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if at or tag not in ("", "latest") else "Always"


def placement(template: PodTemplate, defaults: WorkloadDefaults, *, priority: str = "") -> Body:
    """Return the fields of a pod that say which nodes take it, how soon, and with which log-ins to registries.

    `priority` is its PriorityClass where the template names none; empty for that of the cluster.
    """
    own_secrets = [reference.name for reference in template.image_pull_secrets]
    pull_secrets = own_secrets if template.image is not None else [*defaults.image_pull_secrets, *own_secrets]
    tolerations = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in template.tolerations]
    found: Body = {
        "imagePullSecrets": [{"name": name} for name in dict.fromkeys(pull_secrets)],
        "priorityClassName": template.priority_class_name or priority,
        "nodeSelector": template.node_selector or defaults.node_selector,
        "tolerations": tolerations or [dict(each) for each in defaults.tolerations],
    }
    return {name: value for name, value in found.items() if value}


def resources_of(template: PodTemplate, defaults: WorkloadDefaults) -> Body:
    """Return the memory and CPU of a container: all of them are the template's as soon as it names any."""
    own = template.resources
    amounts = defaults.resources if own is None else {"requests": own.requests, "limits": own.limits}
    return {name: dict(each) for name, each in amounts.items() if each}


def template_text(template: PodTemplate) -> str:
    """Return a podTemplate as it is noted on a Deployment; `noted_template` reads it."""
    return template.model_dump_json(by_alias=True, exclude_defaults=True)


def noted_template(deployment: Body) -> PodTemplate | None:
    """Return the podTemplate that a bot's Deployment was made from; None when that is not noted, or not legible."""
    text = (deployment["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION, "")
    try:
        return PodTemplate.model_validate_json(text, by_alias=True)
    except ValueError:
        return None


class _Maker:
    def __init__(
        self,
        workload: Workload,
        owner: Resource,
        surroundings: Surroundings,
        credentials: Credentials,
        template: PodTemplate,
        home: str,
    ) -> None:
        self._workload = workload
        self._owner = owner
        self._surroundings = surroundings
        self._defaults = surroundings.defaults
        self._credentials = credentials
        self._template = template
        self._namespace, self._name = object_key(workload.name, workload.owner, home)
        self._is_away = home != workload.owner.namespace
        self._labels = labels_of(workload, surroundings, home)
        self._selector = selector_of(workload, surroundings, home)

    def _child(self, kind: Kind, **fields: Any) -> Child:  # noqa: ANN401 - JSON is what it is
        metadata: Body = {"name": self._name, "namespace": self._namespace, "labels": self._labels}
        if not self._is_away:  # an owner in another namespace is none: Kubernetes would delete the object
            metadata["ownerReferences"] = owner_references(self._owner)
        return Child(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields})

    def service_account(self) -> Child:
        return self._child(SERVICE_ACCOUNT, automountServiceAccountToken=False)

    def secret(self) -> Child:
        # As the API server stores it, so that it can be compared.
        values = {URL_KEY: self._credentials.database_url, TOKEN_KEY: self._credentials.token}
        return self._child(SECRET, type="Opaque", data={key: encoded(value) for key, value in values.items() if value})

    def config_map(self) -> Child:
        return self._child(CONFIG_MAP, data={"settings.json": settings_text(self._workload, self._namespace)})

    def code(self) -> Child:
        """Return the bot's own copy of its strategy's modules, with which it goes on whatever becomes of theirs."""
        child = self._child(CONFIG_MAP, data=dict(self._workload.code.files or {}), immutable=True)
        child.body["metadata"]["name"] = code_key(self._workload, self._namespace)[1]
        return child

    def service(self) -> Child:
        """Return a name for the pod, without a virtual address: there is one pod, ready or not."""
        port = {"name": "api", "port": VENUE_PORT, "targetPort": VENUE_PORT, "protocol": "TCP"}
        return self._child(
            SERVICE,
            spec={
                "type": "ClusterIP",
                "clusterIP": "None",
                "clusterIPs": ["None"],
                "selector": self._selector,
                "ports": [port],
                "publishNotReadyAddresses": True,
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
            },
        )

    # --- network --------------------------------------------------------------------------------------------------

    def network_policy(self) -> Child:
        """Return who may speak with the pod: a collector of metrics, and a venue's gateway; and with whom it may."""
        ingress: list[Body] = [{"ports": [_port(self._defaults.metrics_port)]}]
        if self._workload.port_name is not None:
            peer = {"podSelector": {"matchLabels": self._of_role(Role.GATEWAY)}}
            ingress.append({"ports": [_port(VENUE_PORT)], "from": [peer]})
        egress = egress_rules(self._surroundings, self._namespace, with_broker=True)
        if self._workload.peer_port_name is not None:
            _, peer_name = object_key(self._workload.peer_port_name, self._workload.owner, self._namespace)
            peer = {"podSelector": {"matchLabels": {**self._selector, WORKLOAD_LABEL: peer_name}}}
            egress.append({"ports": [_port(VENUE_PORT)], "to": [peer]})
        egress += [each for each in host_rules(self._workload.needs.hosts, self._namespace) if each not in egress]
        return self._child(
            NETWORK_POLICY,
            spec={
                "podSelector": {"matchLabels": self._selector},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": ingress,
                "egress": egress,
            },
        )

    def _of_role(self, role: Role) -> dict[str, str]:
        """Return the labels of a workload of the same owner with another role."""
        return {
            FLEET_LABEL: self._surroundings.fleet,
            **({NAMESPACE_LABEL: self._workload.owner.namespace} if self._is_away else {}),
            "app.kubernetes.io/component": str(role),
            f"{GROUP}/{self._workload.owner.kind.lower()}": self._workload.owner.name,
        }

    # --- process --------------------------------------------------------------------------------------------------

    def deployment(self, *, has_ended: bool) -> Child:
        child = self._child(
            DEPLOYMENT,
            spec={
                "replicas": 0 if has_ended else 1,
                # Two at the same time could do no harm, but the second would wait for the first one's lease.
                "strategy": {"type": "Recreate"},
                "revisionHistoryLimit": 1,
                "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": self._selector},
                "template": {"metadata": self._pod_metadata(), "spec": self._pod_spec()},
            },
        )
        annotations = {DIGEST_ANNOTATION: self._workload.digest}
        if self._workload.role is Role.BOT:
            annotations[TEMPLATE_ANNOTATION] = template_text(self._template)
        if has_ended:
            annotations[ENDED_ANNOTATION] = self._workload.digest
        child.body["metadata"]["annotations"] = annotations
        return child

    def _pod_metadata(self) -> Body:
        return {
            "labels": {**others(self._template.labels), **self._labels},
            "annotations": {
                **others(self._template.annotations),
                "kubectl.kubernetes.io/default-container": CONTAINER,
                DIGEST_ANNOTATION: self._workload.digest,
                SECRET_ANNOTATION: self._credentials.digest,
            },
        }

    def _pod_spec(self) -> Body:
        return {
            "serviceAccountName": self._name,
            "serviceAccount": self._name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # the names of Services as variables would look like settings of ours
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": GRACE_S,
            "securityContext": pod_security(),
            "containers": [self._container()],
            "volumes": self._volumes(),
            **placement(self._template, self._defaults, priority=self._defaults.priority_class_name),
        }

    def _container(self) -> Body:
        template, defaults = self._template, self._defaults
        module, *role = MODULES[self._workload.role]
        image = template.image or defaults.image
        port = defaults.metrics_port
        ports = [{"name": "metrics", "containerPort": port, "protocol": "TCP"}]
        if self._workload.port_name is not None:
            ports.append({"name": "api", "containerPort": VENUE_PORT, "protocol": "TCP"})
        return {
            "name": CONTAINER,
            "image": image,
            "imagePullPolicy": pull_policy(template, defaults),
            "command": ["python", "-m", module, *role, f"{SETTINGS_FOLDER}/settings.json"],
            "env": self._environment(),
            "ports": ports,
            "resources": resources_of(template, defaults),
            "securityContext": container_security(),
            # A process that starts may fold a long record before it answers; one that runs must not be silent.
            "startupProbe": _probe("/healthz", port, period_s=2, failures=60),
            "livenessProbe": _probe("/healthz", port, period_s=10, failures=6),
            "readinessProbe": _probe("/readyz", port, period_s=2, failures=2),
            "terminationMessagePath": LAST_WORDS,
            "terminationMessagePolicy": "File",
            "volumeMounts": [
                {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
                {"name": "secret", "mountPath": SECRET_FOLDER, "readOnly": True},
                *(
                    {"name": name, "mountPath": f"/etc/tradefleet/{name}", "readOnly": True}
                    for name, _ in self._authorities()
                ),
                *([CODE_MOUNT] if self._workload.code.files_digest else []),
                *needed_mounts(self._workload.needs),
            ],
        }

    def _environment(self) -> list[Body]:
        surroundings, defaults = self._surroundings, self._defaults
        values = {
            "TRADEFLEET_FLEET": surroundings.fleet,
            "TRADEFLEET_COMPONENT": self._workload.name,
            "TRADEFLEET_KAFKA_BOOTSTRAP": surroundings.kafka_bootstrap,
            "TRADEFLEET_KAFKA_PREFIX": surroundings.kafka_prefix,
            "TRADEFLEET_SCHEMA_REGISTRY_URL": surroundings.schema_registry_url,
            "TRADEFLEET_HEALTH_HOST": "0.0.0.0",  # noqa: S104 - the kubelet asks from outside of the pod
            "TRADEFLEET_HEALTH_PORT": str(defaults.metrics_port),
            "TRADEFLEET_LOG_LEVEL": defaults.log_level,
            "TRADEFLEET_LOG_FORMAT": "json",
            "TRADEFLEET_LAST_WORDS_PATH": LAST_WORDS,
            "TRADEFLEET_DATABASE_URL_FILE": f"{SECRET_FOLDER}/{URL_KEY}",
        }
        # The pod, not the container: one that restarts in place takes its lease over at once.
        holder = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
        found: list[Body] = [{"name": name, "value": value} for name, value in values.items() if value]
        found.append({"name": "TRADEFLEET_HOLDER", "valueFrom": holder})
        if defaults.kafka_security_secret:
            reference = {"name": defaults.kafka_security_secret, "key": defaults.kafka_security_key}
            found.append({"name": "TRADEFLEET_KAFKA_SECURITY", "valueFrom": {"secretKeyRef": reference}})
        if self._workload.code.files_digest:
            found.append(CODE_PATH)
        return [*found, *needed_variables(self._workload.needs)]

    def _volumes(self) -> list[Body]:
        return [
            {"name": "scratch", "emptyDir": {}},
            {"name": "settings", "configMap": {"name": self._name, "defaultMode": READABLE}},
            {"name": "secret", "secret": {"secretName": self._name, "defaultMode": PRIVATE}},
            *(
                {
                    "name": name,
                    "secret": {
                        "secretName": secret,
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                        "defaultMode": READABLE,
                    },
                }
                for name, secret in self._authorities()
            ),
            *self._code_volume(),
            *needed_volumes(self._workload.needs),
        ]

    def _code_volume(self) -> list[Body]:
        if not self._workload.code.files_digest:
            return []
        return [
            {
                "name": "code",
                "configMap": {"name": code_key(self._workload, self._namespace)[1], "defaultMode": READABLE},
            }
        ]

    def _authorities(self) -> list[tuple[str, str]]:
        """Return the authorities that signed the certificates of database and broker: folder and Secret."""
        named = (("postgres-ca", self._defaults.postgres_ca_secret), ("kafka-ca", self._defaults.kafka_ca_secret))
        return [(folder, secret) for folder, secret in named if secret]


# --- what other makers share ------------------------------------------------------------------------------------------


def pod_security() -> Body:
    """Return what the restricted profile asks of a pod (Kubernetes documentation, Pod Security Standards)."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Body:
    """Return what the restricted profile asks of a container, and a file system that cannot be written."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def owner_references(owner: Resource) -> list[Body]:
    """Return the reference by which an object goes with its resource."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": owner.kind,
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def egress_rules(surroundings: Surroundings, namespace: str, *, with_broker: bool) -> list[Body]:
    """Return the rules that lead to names, the database and the broker, as narrow as their addresses allow."""
    rules: list[Body] = [{"ports": [dict(port) for port in DNS_PORTS]}]
    brokers = hosts_of(surroundings.kafka_bootstrap, 9092) if with_broker else ()
    registry = urllib.parse.urlsplit(surroundings.schema_registry_url)
    default_port = 443 if registry.scheme == "https" else 80
    registries = hosts_of(registry.netloc.rpartition("@")[2], default_port) if with_broker and registry.netloc else ()
    for host, port in (*surroundings.database_hosts, *brokers, *registries):
        rules.append({"ports": [_port(port)], **_to(host, namespace)})
    return _distinct(rules)


def host_rules(hosts: Sequence[tuple[str, int]], namespace: str) -> list[Body]:
    """Return the rules that lead to more hosts."""
    return _distinct([{"ports": [_port(port)], **_to(host, namespace)} for host, port in hosts])


def needed_volumes(needs: Needs) -> list[Body]:
    """Return the volumes of a pod that reads what its user keeps."""
    return [
        {"name": f"data-{number}", "persistentVolumeClaim": {"claimName": mount.claim, "readOnly": True}}
        if mount.claim
        else {"name": f"data-{number}", "configMap": {"name": mount.config_map, "defaultMode": READABLE}}
        for number, mount in enumerate(needs.mounts)
    ]


def needed_mounts(needs: Needs) -> list[Body]:
    """Return where these volumes are in a container."""
    return [
        {"name": f"data-{number}", "mountPath": mount.folder, "readOnly": True}
        for number, mount in enumerate(needs.mounts)
    ]


def needed_variables(needs: Needs) -> list[Body]:
    """Return the variables of a container that come from Secrets of its user."""
    return [
        {"name": each.name, "valueFrom": {"secretKeyRef": {"name": each.secret, "key": each.key}}}
        for each in needs.variables
    ]


# --- parts ------------------------------------------------------------------------------------------------------------


def settings_text(workload: Workload, home: str) -> str:
    """Return what a process is told, as the file that it reads. `home` is the namespace that it runs in."""
    settings = dict(workload.settings)
    if workload.port_name is not None:
        settings |= {"host": "0.0.0.0", "port": VENUE_PORT}  # noqa: S104 - its gateway is in another pod
    if workload.peer_port_name is not None:
        _, name = object_key(workload.peer_port_name, workload.owner, home)
        settings |= {"venue_host": name, "venue_port": VENUE_PORT}
    if workload.token_name is not None:
        settings["token_file"] = f"{SECRET_FOLDER}/{TOKEN_KEY}"
    return json.dumps(settings, default=str, sort_keys=True)


def encoded(value: str) -> str:
    """Return a value as it stands in a Secret."""
    import base64  # noqa: PLC0415 - nothing else here needs it

    return base64.b64encode(value.encode()).decode("ascii")


def hosts_of(addresses: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports of `host:port, host:port`. Raises Permanent for what is none."""
    found = []
    for address in addresses.split(","):
        try:
            parts = urllib.parse.urlsplit(f"//{address.strip()}")
            if parts.hostname is None:
                raise ValueError
            found.append((parts.hostname, parts.port or default_port))
        except ValueError as error:
            raise Permanent(f"{address!r} is not an address: write host:port") from error
    return tuple(found)


def database_hosts(url: str) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports in the URL of a database, which may name several. Shows nothing of it in errors."""
    netloc = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    return hosts_of(netloc, 5432)


def others(noted: Mapping[str, str]) -> dict[str, str]:
    """Return what users note, without what only we may say."""
    return {name: value for name, value in noted.items() if not name.startswith(OWN_PREFIX)}


def _port(number: int) -> Body:
    return {"protocol": "TCP", "port": number}


def _to(host: str, namespace: str) -> Body:
    """Return where an egress rule leads: as narrow as an address allows. A name outside of the cluster allows none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        if len(labels) == 1:
            there = namespace
        elif len(labels) == 2 or labels[2:3] == ["svc"]:
            there = labels[1]
        elif "svc" in labels[3:]:  # a pod's own name: pod.service.namespace.svc
            there = labels[labels.index("svc") - 1]
        else:
            return {}
        return {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": there}}}]}
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}]}


def _probe(path: str, port: int, *, period_s: int, failures: int) -> Body:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "successThreshold": 1,
        "failureThreshold": failures,
    }


def _distinct(rules: Sequence[Mapping[str, Any]]) -> list[Body]:
    found: list[Body] = []
    for each in rules:
        if each not in found:
            found.append(dict(each))
    return found
