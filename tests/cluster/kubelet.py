"""Plays controllers and kubelet on one machine: what a Deployment's pod would run, runs here as a process."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governor.kubernetes.manifests import LAST_WORDS, SETTINGS_FOLDER
from governor.local.loopback import free_port
from governor.simulation import INDEX_VARIABLE, WORDS_VARIABLE

from tests.cluster.governor import Cluster

READY_TIMEOUT_S = 2
BACK_OFF_S = 5.0  # of a pod whose process ends by itself


@dataclass
class _Pod:
    uid: str
    digest: str
    child: "subprocess.Popen[bytes]"
    port: int
    words: Path
    again_at_s: float = 0.0


class Kubelet:
    """Runs the pods of a namespace; `step` does what is due, a Job's pod to its end, and nothing between two steps."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._pods: dict[str, _Pod] = {}
        self._jobs: set[str] = set()  # that were run
        self._ports: dict[int, int] = {}  # where on this machine a port of a pod listens

    def step(self) -> None:
        """End the pods that are not wanted, start those that are missing, and say of all how they do."""
        wanted = {each["metadata"]["name"]: each for each in self._cluster.all("Deployment")}
        for name, pod in list(self._pods.items()):
            deployment = wanted.get(name)
            is_kept = deployment is not None and deployment["spec"]["replicas"] == 1
            if not is_kept or pod.digest != _digest(deployment):
                self._end(name, pod)
            elif pod.child.poll() is not None:
                self._crash(name, pod)
        for name, deployment in wanted.items():
            if deployment["spec"]["replicas"] == 1 and name not in self._pods and self._is_there(name):
                self._start(name, deployment)
        for name, pod in self._pods.items():
            self._tell(name, pod)
        for job in self._cluster.names("Job"):
            if job not in self._jobs:
                self._run_job(job)

    def _run_job(self, name: str) -> None:
        """Run a Job's pods to their ends, and tell the last message; the trials of a Backtest leave none."""
        job = self._cluster.get("Job", name)
        if job is None:
            return
        self._jobs.add(name)
        spec = job["spec"]["template"]["spec"]
        folder = self._folder / f"job-{job['metadata']['uid']}"
        self._write_files(name, folder, spec)
        (container,) = spec["containers"]
        environment = self._environment(container, folder, uid="")
        message = folder / "message"
        here = {
            f"{SETTINGS_FOLDER}/settings.json": str(folder / "settings" / "settings.json"),
            LAST_WORDS: str(message),
        }
        command = [sys.executable, *(here.get(word, word) for word in container["command"][1:])]
        environment[WORDS_VARIABLE] = str(message)
        for index in range(job["spec"].get("completions", 1)):
            environment[INDEX_VARIABLE] = str(index)
            with (self._folder / f"{name}.log").open("ab") as log:
                subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
        if message.exists():
            self._cluster.play_job(name, json.loads(message.read_text(encoding="utf-8")))

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
        self._write_files(name, folder, template["spec"])
        (container,) = template["spec"]["containers"]
        port, words = free_port(), folder / "last-words"
        environment = {
            **self._environment(container, folder, uid=stored["metadata"]["uid"]),
            "TRADEFLEET_HEALTH_HOST": "127.0.0.1",
            "TRADEFLEET_HEALTH_PORT": str(port),
            "TRADEFLEET_LAST_WORDS_PATH": str(words),
        }
        assert container["command"][:2] == ["python", "-m"]
        command = [sys.executable, "-m", *container["command"][2:-1], str(folder / "settings" / "settings.json")]
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._pods[name] = _Pod(stored["metadata"]["uid"], _digest(deployment), child, port, words)

    def _environment(self, container: dict[str, Any], folder: Path, *, uid: str) -> dict[str, str]:
        """Return the variables of a container, with the paths of this machine."""
        found = {each["name"]: self._value(each, uid) for each in container["env"]}
        if "TRADEFLEET_DATABASE_URL_FILE" in found:
            found["TRADEFLEET_DATABASE_URL_FILE"] = str(folder / "secret" / "database-url")
        if "PYTHONPATH" in found:
            found["PYTHONPATH"] = os.pathsep.join([str(folder / "code"), os.environ.get("PYTHONPATH", "")])
        return {**{key: value for key, value in os.environ.items() if not key.startswith("TRADEFLEET_")}, **found}

    def _value(self, variable: dict[str, Any], uid: str) -> str:
        if "value" in variable:
            return str(variable["value"])
        named = variable["valueFrom"].get("secretKeyRef")
        if named is not None:
            secret = self._cluster.get("Secret", named["name"])
            assert secret is not None, named
            return base64.b64decode(secret["data"][named["key"]]).decode()
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
        return uid

    def _write_files(self, name: str, folder: Path, spec: dict[str, Any]) -> None:
        """Write what is mounted, with the addresses and paths of this machine."""
        (container,) = spec["containers"]
        data = {
            each["mountPath"]: each["name"] for each in container["volumeMounts"] if each["name"].startswith("data-")
        }
        for volume in spec["volumes"]:
            target = folder / volume["name"]
            target.mkdir(parents=True)
            if "configMap" in volume and volume["name"] != "settings":
                found = self._cluster.get("ConfigMap", volume["configMap"]["name"])
                assert found is not None, name
                texts = found["data"]
                paths = {each["key"]: each["path"] for each in volume["configMap"].get("items", ())}
                for key in paths or texts:
                    (target / paths.get(key, key)).write_text(texts[key], encoding="utf-8")
            elif "configMap" in volume:
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
                text = json.dumps(settings)
                for path, mounted in data.items():
                    text = text.replace(path, str(folder / mounted))
                (target / "settings.json").write_text(text, encoding="utf-8")
            if "secret" in volume:
                secret = self._cluster.get("Secret", volume["secret"]["secretName"])
                assert secret is not None, name
                for key, value in secret["data"].items():
                    (target / key).write_bytes(base64.b64decode(value))

    def _end(self, name: str, pod: _Pod) -> None:
        """Let a pod go."""
        if pod.child.poll() is None:
            pod.child.send_signal(signal.SIGTERM)
            pod.child.wait(30)
        answer = self._cluster.api.delete(f"{self._cluster.path('Pod', name)}?gracePeriodSeconds=0")
        assert answer.accepted, answer.body
        del self._pods[name]

    def _crash(self, name: str, pod: _Pod) -> None:
        """Say how a process ended by itself; after a while the pod is made again, but of one that is done."""
        if pod.again_at_s == 0:
            message = pod.words.read_text(encoding="utf-8") if pod.words.exists() else ""
            last = {"terminated": {"exitCode": max(pod.child.returncode, 0), "message": message}}
            self._cluster.play_pod(name, ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)
            pod.again_at_s = time.monotonic() + BACK_OFF_S
        elif pod.child.returncode != 0 and time.monotonic() >= pod.again_at_s:
            self._end(name, pod)

    def _tell(self, name: str, pod: _Pod) -> None:
        if pod.child.poll() is None and self._is_there(name):
            self._cluster.play_pod(name, ready=_is_ready(pod.port), state={"running": {}})


def _digest(deployment: dict[str, Any] | None) -> str:
    assert deployment is not None
    return json.dumps(deployment["spec"]["template"]["metadata"]["annotations"], sort_keys=True)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=READY_TIMEOUT_S) as answer:
            return answer.status == 200
    except (OSError, urllib.error.HTTPError):
        return False
