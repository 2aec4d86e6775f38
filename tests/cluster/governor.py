"""A Governor as a process, looking after namespaces of the tests' API server with a real database and broker."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from governor.local.loopback import free_port

from cluster.control_plane import kubectl
from tests.cluster.api import Answer, Api
from tests.cluster.helm import CHART, helm
from tradefleet.resources.kinds import KINDS

PATIENCE_S = 60.0  # for what takes a second alone
POLL_S = 0.1
RELEASE = "tradefleet"
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")

T = TypeVar("T")


def eventually(look: Callable[[], T], *, what: str, patience_s: float = PATIENCE_S) -> T:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s"
        time.sleep(POLL_S)


def _rendered(folder: Path, namespace: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the chart says of the operator's rights and settings."""
    given = {
        "postgres": {"existingSecret": "database"},
        "kafka": {"bootstrap": "kafka:9092"},
        "governor": {"resyncSeconds": 5},
        **values,
    }
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    shown = [each for name in ("rbac", "settings") for each in ("--show-only", f"templates/governor/{name}.yaml")]
    answer = helm("template", RELEASE, str(CHART), "--namespace", namespace, "--values", str(path), *shown)
    assert answer.returncode == 0, answer.stderr
    return [each for each in yaml.safe_load_all(answer.stdout) if each]


def _kubeconfig_of(api: Api, namespace: str, account: str) -> str:
    """Return a kubeconfig that is let in as a service account, and may do what the account may."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = api.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    assert answer.accepted, answer.body
    config = yaml.safe_load(api.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": answer.body["status"]["token"]}
    text: str = yaml.safe_dump(config)
    return text


class GovernorProcess:
    """One Governor, with the rights and the settings that the chart gives it. `start` and `kill` may be repeated."""

    def __init__(
        self, folder: Path, api: Api, *, database_url: str, bootstrap: str, namespace: str, values: Mapping[str, Any]
    ) -> None:
        self.log = folder / "governor.log"
        self.port = free_port()
        rendered = _rendered(folder, namespace, values)
        self._settings = folder / "governor.yaml"
        (told,) = (each["data"]["governor.yaml"] for each in rendered if each["kind"] == "ConfigMap")
        self._settings.write_text(told, encoding="utf-8")
        rules = [each for each in rendered if each["kind"] in RIGHTS]
        applied = kubectl(api.kubeconfig, "apply", "-f", "-", given=yaml.safe_dump_all(rules), timeout_s=PATIENCE_S)
        assert applied.returncode == 0, applied.stderr
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_kubeconfig_of(api, namespace, RELEASE), encoding="utf-8")
        fleet = f"{namespace}-{RELEASE}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRADEFLEET_")},
            "KUBECONFIG": str(kubeconfig),
            "TRADEFLEET_FLEET": fleet,
            "TRADEFLEET_COMPONENT": "governor",
            "TRADEFLEET_DATABASE_URL": database_url,
            "TRADEFLEET_KAFKA_BOOTSTRAP": bootstrap,
            "TRADEFLEET_KAFKA_PREFIX": f"{fleet}.",
            "TRADEFLEET_HEALTH_PORT": str(self.port),
            "TRADEFLEET_LOG_FORMAT": "json",
        }
        self._child: subprocess.Popen[bytes] | None = None

    def twin(self, folder: Path) -> "GovernorProcess":
        """Return another one for the same fleet."""
        other = copy.copy(self)
        other.log = folder / "governor-2.log"
        other.port = free_port()
        other._environment = {**self._environment, "TRADEFLEET_HEALTH_PORT": str(other.port)}
        other._child = None
        return other

    def start(self, *, holder: str = "governor-1") -> "GovernorProcess":
        """Return at once; `is_ready` says when it works."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tradefleet.cli.entry", "governor", "--settings", str(self._settings)],
                env={**self._environment, "TRADEFLEET_HOLDER": holder},
                stdout=log,
                stderr=log,
            )
        return self

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        assert self._child is not None
        self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(PATIENCE_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it without a word."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of one of its pages; 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        """Return whether its rounds succeed."""
        assert self.is_running, f"the Governor has ended:\n{self.last_lines()}"
        return self.page("/readyz")[0] == 200

    def last_lines(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line[:600] for line in lines[-20:])


class Cluster:
    """What a test asks of the API server beside our kinds."""

    PLACES: ClassVar[dict[str, str]] = {
        "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
        "ConfigMap": "/api/v1/namespaces/{}/configmaps",
        "Secret": "/api/v1/namespaces/{}/secrets",
        "Service": "/api/v1/namespaces/{}/services",
        "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
        "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
        "Job": "/apis/batch/v1/namespaces/{}/jobs",
        "Pod": "/api/v1/namespaces/{}/pods",
        "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        "Event": "/apis/events.k8s.io/v1/namespaces/{}/events",
    }

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def path(self, kind: str, name: str = "") -> str:
        place = self.PLACES[kind].format(self.namespace)
        return f"{place}/{name}" if name else place

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None when there is none."""
        found = self.api.get(self.path(kind, name))
        return None if found.get("kind") == "Status" else found

    def names(self, kind: str) -> list[str]:
        """Return the names of the fleet's objects of a kind."""
        found = self.api.get(f"{self.path(kind)}?labelSelector=app.kubernetes.io/managed-by%3Dtradefleet-governor")
        return sorted(each["metadata"]["name"] for each in found["items"])

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = self.api.get(self.path(kind))["items"]
        return found

    def ours(self, kind: str) -> list[dict[str, Any]]:
        """Return all resources of a kind of our own."""
        found: list[dict[str, Any]] = self.api.get(self.place(kind))["items"]
        return found

    def place(self, kind: str, name: str = "") -> str:
        """Return the path of a resource of our own, or of all of a kind."""
        place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{self.namespace}/{KINDS[kind].names.plural}"
        return f"{place}/{name}" if name else place

    def everything(self) -> dict[str, str]:
        """Return the version of every object that a Governor writes, to see whether it has written."""
        kinds = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy", "Job", "Event")
        found = [(kind, each) for kind in kinds for each in self.all(kind)]
        for kind in KINDS:
            found += [(kind, each) for each in self.ours(kind)]
        return {f"{kind}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for kind, each in found}

    # --- what nodes and controllers do ----------------------------------------------------------------------------

    def play_pod(self, workload: str, *, ready: bool, **container: Any) -> None:
        """Let the pod of a Deployment be there, in a state."""
        deployment = self.get("Deployment", workload)
        assert deployment is not None
        answer = self.put_pod(workload, deployment["spec"]["template"], ready=ready, **container)
        assert answer.accepted, answer.body

    def put_pod(self, name: str, template: Mapping[str, Any], *, ready: bool, **container: Any) -> Answer:
        """Return the answer to what the container of a pod says, the pod made when it is missing."""
        self._pod(name, template)
        status = {"name": "workload", "ready": ready, "image": "x", "imageID": "x", "restartCount": 0, **container}
        return self.api.patch(f"{self.path('Pod', name)}/status", {"status": {"containerStatuses": [status]}})

    def play_job(self, name: str, told: Mapping[str, Any]) -> None:
        """Let the pod of a Job end with a last message."""
        job = self.get("Job", name)
        assert job is not None
        self._pod(name, job["spec"]["template"])
        state = {"terminated": {"exitCode": 0, "message": json.dumps(told)}}
        status = {"name": "workload", "ready": False, "image": "x", "imageID": "x", "restartCount": 0, "state": state}
        answer = self.api.patch(f"{self.path('Pod', name)}/status", {"status": {"containerStatuses": [status]}})
        assert answer.accepted, answer.body

    def _pod(self, name: str, template: Mapping[str, Any]) -> None:
        if self.get("Pod", name) is None:
            # The controller of accounts is not there either.
            spec = {**template["spec"], "serviceAccountName": "default", "serviceAccount": "default"}
            if self.get("ServiceAccount", "default") is None:
                account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
                assert self.api.post(self.path("ServiceAccount"), account).accepted
            metadata = {"name": name, **template["metadata"]}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            answer = self.api.post(self.path("Pod"), body)
            assert answer.accepted, answer.body

    def settings(self, name: str) -> dict[str, Any]:
        """Return what a workload is told."""
        found = self.get("ConfigMap", name)
        assert found is not None
        settings: dict[str, Any] = json.loads(found["data"]["settings.json"])
        return settings
