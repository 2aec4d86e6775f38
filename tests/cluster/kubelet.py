"""Plays controllers and kubelet on one machine: what a Deployment's pod would run, runs here as a process."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governor.local.loopback import free_port

from tests.cluster.governor import Cluster

READY_TIMEOUT_S = 2


@dataclass
class _Pod:
    uid: str
    digest: str
    child: "subprocess.Popen[bytes]"
    port: int
    words: Path


class Kubelet:
    """Runs the pods of a namespace. `step` does what is due; nothing happens between two steps."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._pods: dict[str, _Pod] = {}
        self._ports: dict[int, int] = {}  # where on this machine a port of a pod listens

    def step(self) -> None:
        """End the pods that are not wanted, start those that are missing, and say of all how they do."""
        wanted = {each["metadata"]["name"]: each for each in self._cluster.all("Deployment")}
        for name, pod in list(self._pods.items()):
            deployment = wanted.get(name)
            is_kept = deployment is not None and deployment["spec"]["replicas"] == 1
            if not is_kept or pod.digest != _digest(deployment) or pod.child.poll() is not None:
                self._end(name, pod)
        for name, deployment in wanted.items():
            if deployment["spec"]["replicas"] == 1 and name not in self._pods and self._is_there(name):
                self._start(name, deployment)
        for name, pod in self._pods.items():
            self._tell(name, pod)

    def stop(self) -> None:
        """End everything."""
        for pod in self._pods.values():
            pod.child.kill()
            pod.child.wait()

    def _is_there(self, name: str) -> bool:
        """Return whether a Deployment was not deleted since they were listed."""
        return self._cluster.get("Deployment", name) is not None

    def _start(self, name: str, deployment: dict[str, Any]) -> None:
        template = deployment["spec"]["template"]
        self._cluster.play_pod(name, ready=False)
        stored = self._cluster.get("Pod", name)
        assert stored is not None
        folder = self._folder / stored["metadata"]["uid"]
        self._write_files(name, folder, template["spec"]["volumes"])
        (container,) = template["spec"]["containers"]
        port, words = free_port(), folder / "last-words"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TRADEFLEET_")},
            **{each["name"]: _value(each, stored["metadata"]["uid"]) for each in container["env"]},
            "TRADEFLEET_HEALTH_HOST": "127.0.0.1",
            "TRADEFLEET_HEALTH_PORT": str(port),
            "TRADEFLEET_LAST_WORDS_PATH": str(words),
            "TRADEFLEET_DATABASE_URL_FILE": str(folder / "secret" / "database-url"),
        }
        assert container["command"][:2] == ["python", "-m"]
        command = [sys.executable, "-m", *container["command"][2:-1], str(folder / "settings" / "settings.json")]
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._pods[name] = _Pod(stored["metadata"]["uid"], _digest(deployment), child, port, words)

    def _write_files(self, name: str, folder: Path, volumes: list[dict[str, Any]]) -> None:
        """Write what is mounted, with the addresses and paths of this machine."""
        for volume in volumes:
            target = folder / volume["name"]
            target.mkdir(parents=True)
            if "configMap" in volume:
                settings = self._cluster.settings(volume["configMap"]["name"])
                for field in ("port", "venue_port"):
                    if field in settings:
                        settings[field] = self._ports.setdefault(settings[field], free_port())
                if "venue_host" in settings:
                    assert self._cluster.get("Service", settings["venue_host"]) is not None
                    settings["venue_host"] = "127.0.0.1"
                if "host" in settings:
                    settings["host"] = "127.0.0.1"
                if "token_file" in settings:
                    settings["token_file"] = str(folder / "secret" / Path(settings["token_file"]).name)
                (target / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
            if "secret" in volume:
                secret = self._cluster.get("Secret", volume["secret"]["secretName"])
                assert secret is not None, name
                for key, value in secret["data"].items():
                    (target / key).write_bytes(base64.b64decode(value))

    def _end(self, name: str, pod: _Pod) -> None:
        """Let a pod go, or say how it ended by itself."""
        code = pod.child.poll()
        if code is None:
            pod.child.send_signal(signal.SIGTERM)
            code = pod.child.wait(30)
        else:
            message = pod.words.read_text(encoding="utf-8") if pod.words.exists() else ""
            last = {"terminated": {"exitCode": max(code, 0), "message": message}}
            self._cluster.play_pod(name, ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)
            if code == 0:
                return  # looked at again when the Governor has seen it
        answer = self._cluster.api.delete(f"{self._cluster.path('Pod', name)}?gracePeriodSeconds=0")
        assert answer.accepted, answer.body
        del self._pods[name]

    def _tell(self, name: str, pod: _Pod) -> None:
        if pod.child.poll() is None and self._is_there(name):
            self._cluster.play_pod(name, ready=_is_ready(pod.port), state={"running": {}})


def _digest(deployment: dict[str, Any] | None) -> str:
    assert deployment is not None
    return json.dumps(deployment["spec"]["template"]["metadata"]["annotations"], sort_keys=True)


def _value(variable: dict[str, Any], uid: str) -> str:
    if "value" in variable:
        return str(variable["value"])
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    return uid


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=READY_TIMEOUT_S) as answer:
            return answer.status == 200
    except (OSError, urllib.error.HTTPError):
        return False
