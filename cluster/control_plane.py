"""An API server with its etcd on loopback: enough for custom resources, admission and operators, without any node.

It needs no root. Both processes die with the one that started them, and everything they write is below one folder.
"""

import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from governor.local.folder import ServiceFolder, start_failure
from governor.local.loopback import LOOPBACK, free_port, is_free
from governor.local.processes import Child, Command, clear_leftovers, spawn

from tradefleet.domain.errors import Permanent

from .binaries import find

START_TIMEOUT_S: Final = 90.0  # 3 s alone; many times that on a machine that is busy
REQUEST_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1
STOP_GRACE_S: Final = 10.0
STARTS_MAX: Final = 3  # each with other ports, when one that was free is taken by the time its server listens

ADMINISTRATOR: Final = "administrator"
SERVICES: Final = "10.96.0.0/16"

# Who among the accounts of pods has written what: one line for each request, without what was written.
AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "userGroups": ["system:serviceaccounts"],
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the servers listen: etcd on loopback always, the API server where its nodes reach it."""

    host: str
    api_port: int
    etcd_port: int
    peer_port: int

    @classmethod
    def free(cls) -> "Addresses":
        """Return free ports on loopback."""
        return cls(host=LOOPBACK, api_port=free_port(), etcd_port=free_port(), peer_port=free_port())

    @property
    def url(self) -> str:
        """Return the address of the API server."""
        return f"https://{self.host}:{self.api_port}"


class ControlPlane:
    """An API server and its etcd in `folder`. Each start begins empty: what a cluster held ends with it.

    With `is_audited`, `audit_log` tells of every write by the account of a pod.
    """

    def __init__(self, folder: Path, addresses: Addresses | None = None, *, is_audited: bool = False) -> None:
        self._folder = ServiceFolder(folder, "cluster")
        self._fixed = addresses
        self._is_audited = is_audited
        self._children: list[Child] = []

    @property
    def folder(self) -> Path:
        """Return the folder with logs, keys and data."""
        return self._folder.path

    @property
    def kubeconfig(self) -> Path:
        """Return the file by which clients find the API server, as its administrator."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Return the file with a line of JSON for every write by the account of a pod (`audit.k8s.io/v1`)."""
        return self.folder / "audit.log"

    @property
    def pid(self) -> int:
        """Return the process id of the API server."""
        return self._children[-1].pid

    @property
    def certificate(self) -> Path:
        """Return the certificate that the API server made for itself, with the authority that signed it."""
        return self.folder / "keys" / "apiserver.crt"

    @property
    def private_key(self) -> Path:
        """Return the API server's key, which signs the tokens of service accounts too."""
        return self.folder / "keys" / "apiserver.key"

    def start(self) -> None:
        """Return once the API server is ready.

        Raises Permanent when the programs are not built or the folder is unfit, Retryable when they do not come up.
        """
        etcd, api_server = find("etcd"), find("kube-apiserver")
        self._folder.claim()
        try:
            with self._folder.errors():
                clear_leftovers(self.folder)
                self._start(etcd, api_server)
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            self.stop()
            raise

    def stop(self) -> None:
        """Return once both have ended, the API server first."""
        for child in reversed(self._children):
            child.stop(grace_s=STOP_GRACE_S)
        self._children.clear()
        self._folder.release()

    @property
    def ended(self) -> str:
        """The name of a process that has ended; empty while both run."""
        return next((child.name for child in self._children if not child.is_alive()), "")

    def _start(self, etcd: Path, api_server: Path) -> None:
        for attempt in range(1, STARTS_MAX + 1):
            addresses = self._fixed or Addresses.free()
            token = self._write_keys()
            self._children = [
                self._spawn("etcd", etcd_command(etcd, self._data(attempt), addresses)),
                self._spawn("kube-apiserver", self._api_command(api_server, addresses)),
            ]
            if self._wait_until_ready(addresses, token):
                return
            taken = [port for port in (addresses.api_port, addresses.etcd_port) if not is_free(port)]
            for child in self._children:
                child.kill()
            if self._fixed or not taken or attempt == STARTS_MAX:
                raise start_failure("cluster: the API server did not come up", self._log("kube-apiserver"))

    def _data(self, attempt: int) -> Path:
        return self.folder / f"etcd-{os.getpid()}-{attempt}"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _spawn(self, name: str, arguments: Sequence[str]) -> Child:
        command = Command(name=name, arguments=arguments, folder=self.folder, log=self._folder.turn_log(f"{name}.log"))
        return spawn(command, self.folder)

    def _write_keys(self) -> str:
        """Write who the administrator is, readable by us alone, and return the token."""
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        token = secrets.token_hex(16)
        write_private(keys / "tokens.csv", f"{token},{ADMINISTRATOR},{ADMINISTRATOR},system:masters\n")
        return token

    def _api_command(self, program: Path, addresses: Addresses) -> list[str]:
        settings = {
            "etcd-servers": f"http://{LOOPBACK}:{addresses.etcd_port}",
            "bind-address": addresses.host,
            "advertise-address": addresses.host,
            "secure-port": str(addresses.api_port),
            "cert-dir": str(self.folder / "keys"),
            "service-cluster-ip-range": SERVICES,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(self.certificate),
            "service-account-signing-key-file": str(self.private_key),
            "token-auth-file": str(self.folder / "keys" / "tokens.csv"),
            "authorization-mode": "Node,RBAC",
            "allow-privileged": "true",
            "kubelet-preferred-address-types": "InternalIP",
            **(self._audit_settings() if self._is_audited else {}),
        }
        return [str(program), *(f"--{name}={value}" for name, value in settings.items())]

    def _audit_settings(self) -> dict[str, str]:
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(AUDIT_POLICY), encoding="utf-8")
        return {"audit-policy-file": str(policy), "audit-log-path": str(self.audit_log)}

    def _wait_until_ready(self, addresses: Addresses, token: str) -> bool:
        """Return whether the API server answers before its time is over; False at once when a process ended."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and not self.ended:
            if self.certificate.exists():
                write_private(self.kubeconfig, kubeconfig(addresses.url, self.certificate, token))
                if kubectl(self.kubeconfig, "get", "--raw", "/readyz", timeout_s=START_TIMEOUT_S).returncode == 0:
                    return True
            time.sleep(POLL_S)
        return False


def etcd_command(program: Path, data: Path, addresses: Addresses) -> list[str]:
    """Return how etcd is run: on loopback, never waiting for the disk, since a cluster ends with its processes."""
    client = f"http://{LOOPBACK}:{addresses.etcd_port}"
    peer = f"http://{LOOPBACK}:{addresses.peer_port}"
    settings = {
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return [str(program), *(f"--{name}={value}" for name, value in settings.items())]


def kubeconfig(server: str, certificate: Path, token: str) -> str:
    """Return a kubeconfig for one cluster and one user."""
    name = "tradefleet"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": str(certificate)}}],
            "users": [{"name": ADMINISTRATOR, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": ADMINISTRATOR}}],
            "current-context": name,
        },
        sort_keys=False,
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, at once."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def kubectl(
    config: Path, *arguments: str, given: str | None = None, timeout_s: float = REQUEST_TIMEOUT_S
) -> "subprocess.CompletedProcess[str]":
    """Return what `kubectl` did and said; `given` is its standard input. Raises Permanent when it hangs."""
    try:
        return subprocess.run(
            [str(find("kubectl")), "--kubeconfig", str(config), *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise Permanent(f"kubectl {' '.join(arguments)}: no answer within {timeout_s:.0f} s") from error
