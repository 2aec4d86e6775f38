"""An API server without nodes for figures: what applies to it, counts, watches, and plays the part of pods.

Controllers are started by whoever wants them. Of the Governor it has the rights and the settings that the chart gives.
"""

import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import urllib3
from governor.kubernetes.client import DEPLOYMENT, POD, Api, Kind
from governor.kubernetes.client import custom as custom_kind
from governor.kubernetes.login import FileLogin
from governor.local.broker import Broker
from governor.local.database import Database

from bench.services import ROOT, running_program, wait_for
from cluster.binaries import find
from cluster.control_plane import ControlPlane, kubectl
from tests.cluster import api as test_api
from tests.cluster.governor import GovernorProcess
from tradefleet.resources.kinds import KINDS
from tradefleet.store import schema

Body = dict[str, Any]

HANDS: Final = 4  # applied at once by so many, as a person's kubectl or a GitOps tool would not exceed
PATIENCE_S: Final = 120.0
REPLICA_SET: Final = Kind("ReplicaSet", "replicasets", "apps")
BOT: Final = custom_kind("TradingBot", KINDS["TradingBot"].names.plural)
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
# The API server's own: it renews its identity, and writes where it is to be found itself.
NOT_COUNTED: Final = frozenset({"leases", "endpoints", "endpointslices", "tokenreviews", "subjectaccessreviews"})

_REQUESTS: Final = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


class Stage:
    """The API server, a database and a broker, for one figure."""

    def __init__(self, folder: Path, plane: ControlPlane, broker: Broker, database: Database) -> None:
        self._folder = folder
        self._broker = broker
        self._database = database
        self.kubeconfig = plane.kubeconfig
        login = FileLogin(plane.kubeconfig)
        self.api = Api(login)
        self.plain = test_api.Api(plane.kubeconfig)
        self._token = login.token()
        self._server = login.server
        self._trust = login.trust()

    def prepare(self, *namespaces: str) -> None:
        """Make our kinds known, and the namespaces."""
        applied = kubectl(self.kubeconfig, "apply", "-f", str(ROOT / "crds"), timeout_s=PATIENCE_S)
        assert applied.returncode == 0, applied.stderr
        waited = kubectl(
            self.kubeconfig,
            *("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s"),
            timeout_s=PATIENCE_S,
        )
        assert waited.returncode == 0, waited.stderr
        for namespace in namespaces:
            assert self.plain.create_namespace(namespace).accepted

    def governor(self, namespace: str, **values: object) -> GovernorProcess:
        """Return a Governor of a namespace, with a database of its own, which has not been started."""
        name = namespace.replace("-", "_")
        with psycopg.connect(self._database.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = urlunsplit(urlsplit(self._database.dsn())._replace(path=f"/{name}"))
        schema.upgrade(url)
        given = {"database_url": url, "bootstrap": self._broker.bootstrap, "namespace": namespace}
        return GovernorProcess(self._folder, self.plain, **given, values={"governor": {"resyncSeconds": 60}, **values})

    @contextmanager
    def deployment_controller(self, *flags: str) -> Iterator[None]:
        """Let Kubernetes' Deployment controller run, and no other one."""
        command = [
            str(find("kube-controller-manager")),
            f"--kubeconfig={self.kubeconfig}",
            "--controllers=deployment-controller",
            "--leader-elect=false",
            "--secure-port=0",
            *flags,
        ]
        with running_program(command, self._folder / "controller.log"):
            yield

    # --- the objects ----------------------------------------------------------------------------------------------

    def create(self, kind: Kind, bodies: Sequence[Body]) -> None:
        """Make objects, a few at a time."""
        self.at_once(lambda body: self.api.create(kind, body), bodies)

    def at_once(self, work: Callable[[Any], object], wanted: Sequence[Any]) -> None:
        """Do something for each of `wanted`, a few at a time."""
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(work, wanted))

    def count(self, kind: Kind, namespace: str) -> int:
        """Return how many there are, without reading them."""
        page = self.plain.get(f"{kind.path(namespace)}?limit=1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)

    def counts(self, kinds: Sequence[Kind], namespace: str) -> dict[str, int]:
        """Return how many there are of each kind."""
        return {kind.kind: self.count(kind, namespace) for kind in kinds}

    def clear(self, kinds: Sequence[Kind], namespace: str) -> None:
        """Delete all objects of these kinds: nobody else collects what has lost its owner."""
        for kind in kinds:
            self.plain.delete(kind.path(namespace))

    def writes(self) -> Counter[str]:
        """Return how many writes the API server has been asked for so far, by verb and kind."""
        found: Counter[str] = Counter()
        for match in _REQUESTS.finditer(self._text("/metrics")):
            labels = dict(_LABEL.findall(match["labels"]))
            if labels["verb"] in WRITES and labels["resource"] not in NOT_COUNTED:
                what = f"{labels['resource']}/{labels['subresource']}".rstrip("/")
                found[f"{labels['verb']} {what}"] += round(float(match["count"]))
        return found

    def _text(self, path: str) -> str:
        with self._pool() as pool:
            headers = {"Authorization": f"Bearer {self._token}"}
            return pool.request("GET", f"{self._server}{path}", headers=headers).data.decode()

    def _pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(ssl_context=self._trust, retries=False)

    # --- pods -----------------------------------------------------------------------------------------------------

    def play_pods(self, namespace: str) -> None:
        """Let every Deployment have its pod, which is ready."""
        there = {each.key[1] for each in self.api.list(POD, namespace).items}
        deployments = [each.body() for each in self.api.list(DEPLOYMENT, namespace).items]
        self.at_once(self._play_pod, [each for each in deployments if each["metadata"]["name"] not in there])

    def _play_pod(self, deployment: Body) -> None:
        template, metadata = deployment["spec"]["template"], deployment["metadata"]
        name = {"name": metadata["name"], "namespace": metadata["namespace"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], **name},
            "spec": template["spec"],
        }
        self.api.create(POD, pod)
        container = {"name": "workload", "ready": True, "image": "x", "imageID": "x", "restartCount": 0}
        status = {"status": {"phase": "Running", "containerStatuses": [container]}}
        self.api.merge(POD, name["namespace"], name["name"], status, subresource="status")

    def turn_over_pod(self, deployment: Body) -> None:
        """Let the pod of a Deployment be of its present template, as a Recreate would have it."""
        metadata = deployment["metadata"]
        noted = {"metadata": {"annotations": deployment["spec"]["template"]["metadata"]["annotations"]}}
        self.api.merge(POD, metadata["namespace"], metadata["name"], noted)

    # --- watching -------------------------------------------------------------------------------------------------

    @contextmanager
    def watching(self, kind: Kind, namespace: str, take: Callable[[Body, float], None]) -> Iterator[None]:
        """Call `take` with every object that changes, and the moment (monotonic) at which that was heard of."""
        version = self.plain.get(f"{kind.path(namespace)}?limit=1")["metadata"]["resourceVersion"]
        pool = self._pool()
        answer = pool.request(
            "GET",
            f"{self._server}{kind.path(namespace)}?watch=1&resourceVersion={version}",
            headers={"Authorization": f"Bearer {self._token}"},
            preload_content=False,
            timeout=urllib3.Timeout(connect=5, read=None),
        )

        def follow() -> None:
            rest = b""
            try:
                while chunk := answer.read1(65_536):
                    now_s = time.monotonic()
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        take(msgspec.json.decode(line)["object"], now_s)
            except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
                return  # closed from outside

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            answer.shutdown()  # a mere close would wait for the thread that reads
            thread.join(PATIENCE_S)
            pool.clear()


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield an empty one."""
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as name:
        folder = Path(name)
        plane = ControlPlane(folder / "cluster")
        database, broker = Database(folder / "postgres"), Broker(folder / "kafka")
        try:
            plane.start()
            database.start()
            broker.start()
            yield Stage(folder, plane, broker, database)
        finally:
            broker.stop()
            database.stop()
            plane.stop()


def plain_deployments(count: int, namespace: str) -> list[Body]:
    """Return Deployments as anybody writes them."""
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"peer-{number:04}", "namespace": namespace},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": f"peer-{number:04}"}},
                "template": {
                    "metadata": {"labels": {"app": f"peer-{number:04}"}},
                    "spec": {"containers": [{"name": "main", "image": "registry.example.com/none:1"}]},
                },
            },
        }
        for number in range(count)
    ]


def difference(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return what has been added, most first."""
    added = {name: count - before.get(name, 0) for name, count in after.items()}
    return dict(sorted(((name, count) for name, count in added.items() if count), key=lambda each: -each[1]))


def wait_until(condition: Callable[[], bool], what: str, *, bound_s: float, poll_s: float = 0.25) -> float:
    """Return when `condition` held, monotonic."""
    wait_for(condition, what, bound_s=bound_s, poll_s=poll_s)
    return time.monotonic()
