"""Commands that run in the Governor's pod, which reaches the database and the broker with its own log-in."""

import codecs
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from governor.kubernetes.client import POD, Body
from governor.kubernetes.manifests import FLEET_LABEL, MANAGED_BY, MANAGED_BY_LABEL

from tradefleet.cli.cluster_api import Forbidden, UserApi
from tradefleet.cli.cluster_login import KubeconfigLogin
from tradefleet.domain.errors import Permanent, Retryable

CONTAINER: Final = "governor"
SELECTOR: Final = f"app.kubernetes.io/part-of=tradefleet,app.kubernetes.io/component={CONTAINER}"
INSIDE: Final = "tradefleet.cli.inside"
FLEET_VARIABLE: Final = "TRADEFLEET_FLEET"
LOOK_S: Final = 1.0
_MESSAGE: Final = re.compile(r'"message":"((?:[^"\\]|\\.)*)"')


class NoGovernor(Permanent):
    """No pod of a Governor can be asked."""


@dataclass(frozen=True, slots=True)
class GovernorPod:
    """The pod of the Governor that looks after a namespace."""

    api: UserApi
    login: KubeconfigLogin
    namespace: str
    name: str

    @classmethod
    def find(cls, api: UserApi, login: KubeconfigLogin, namespace: str) -> "GovernorPod":
        """Return the pod of the fleet in a namespace, wherever it runs. Raises NoGovernor."""
        pods = api.list_in(POD, namespace, labelSelector=SELECTOR)
        if not pods:
            try:
                pods = api.list_in(POD, None, labelSelector=SELECTOR)
            except Forbidden as error:
                raise NoGovernor(
                    f"no Governor runs in namespace {namespace}, and you may not look for it in others: name the "
                    "namespace of the Helm release with -n"
                ) from error
        fleets = {_fleet_of(pod) for pod in pods}
        if len(fleets) > 1:
            ours = api.list_in(POD, namespace, labelSelector=f"{MANAGED_BY_LABEL}={MANAGED_BY}")
            here = {pod["metadata"]["labels"].get(FLEET_LABEL) for pod in ours}
            pods = [pod for pod in pods if _fleet_of(pod) in here]
            if len({_fleet_of(pod) for pod in pods}) != 1:
                raise NoGovernor(
                    f"which of the fleets {', '.join(sorted(fleets))} looks after namespace {namespace} cannot be "
                    "told: name the namespace of its Helm release with -n"
                )
        running = sorted((pod for pod in pods if _is_running(pod)), key=_is_ready, reverse=True)
        if not running:
            there = ", ".join(f"{pod['metadata']['name']} is {(pod.get('status') or {}).get('phase')}" for pod in pods)
            raise NoGovernor(
                f"no Governor runs for namespace {namespace} ({there or 'it has no pod'}): see `kubectl get pods -A -l "
                f"app.kubernetes.io/component={CONTAINER}`"
            )
        metadata = running[0]["metadata"]
        return cls(api, login, metadata["namespace"], metadata["name"])

    def run_inside(self, *words: str) -> int:
        """Run a command of `tradefleet.cli.inside`; return its exit status."""
        return self.run(INSIDE, *words)

    def run(self, module: str, *words: str) -> int:
        """Run a module in the pod, print what it prints, and return its exit status.

        Raises Forbidden or NoGovernor when it cannot be started, Retryable when the connection is lost.
        """
        from kubernetes.client import ApiClient, CoreV1Api  # noqa: PLC0415 - slow to import, and only for this
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415
        from kubernetes.stream import stream  # noqa: PLC0415

        core = CoreV1Api(ApiClient(configuration=self.login.configuration))
        try:
            socket: Any = stream(
                core.connect_get_namespaced_pod_exec,
                self.name,
                self.namespace,
                container=CONTAINER,
                command=["python", "-m", module, *words],
                stderr=True,
                stdin=False,
                stdout=True,
                tty=False,
                binary=True,
                _preload_content=False,
            )
        except ApiException as error:
            raise self._failure(str(error.reason)) from error
        return self._follow(socket)

    def _follow(self, socket: Any) -> int:  # noqa: ANN401 - the client's class has no types
        outputs = (_Output(sys.stdout), _Output(sys.stderr))
        try:
            while socket.is_open():
                socket.update(timeout=LOOK_S)
                outputs[0].write(socket.read_stdout(timeout=0))
                outputs[1].write(socket.read_stderr(timeout=0))
            try:
                return int(socket.returncode)
            except (TypeError, KeyError, IndexError, ValueError) as error:
                raise Retryable(
                    f"pod {self.namespace}/{self.name}: the connection ended before the command did: try again"
                ) from error
        finally:
            socket.close()

    def _failure(self, reason: str) -> Permanent:
        # The client's only word is "Handshake status 400 Bad Request -+-+- {headers} -+-+- b'{Status}'".
        if reason.startswith("Handshake status 403"):
            return Forbidden(
                f"you may not run commands in pod {self.namespace}/{self.name} (create pods/exec): the role edit may, "
                "so ask for a RoleBinding to it there"
            )
        found = _MESSAGE.search(reason)
        said = found[1] if found is not None else reason.partition(" -+-+- ")[0]
        return NoGovernor(
            f"pod {self.namespace}/{self.name}: no command can be run in it: {said}: see `kubectl describe pod`"
        )


class _Output:
    """Bytes that come in pieces, written as text: a character may be cut in two."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes | str) -> None:
        text = self._decoder.decode(data) if isinstance(data, bytes) else data
        if text:
            self._stream.write(text)
            self._stream.flush()


def _fleet_of(pod: Body) -> str:
    for container in pod["spec"].get("containers") or ():
        for each in container.get("env") or ():
            if each.get("name") == FLEET_VARIABLE:
                return str(each.get("value"))
    return ""


def _is_running(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def _is_ready(pod: Body) -> bool:
    statuses: Sequence[Body] = (pod.get("status") or {}).get("containerStatuses") or ()
    return all(each.get("ready") for each in statuses)
