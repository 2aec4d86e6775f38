"""Where the API server is, and what lets us in: a pod's service account, or a kubeconfig."""

import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from tradefleet.domain.errors import Permanent

# Where Kubernetes puts what a pod needs to speak to its API server (documentation, "Accessing the API from a Pod").
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_READ_EVERY_S: Final = 60.0  # tokens of accounts are replaced long before they expire


class Login(Protocol):
    """How a client reaches its API server."""

    @property
    def server(self) -> str:
        """Return the address, `https://host:port`."""
        ...

    def trust(self) -> ssl.SSLContext:
        """Return whom we believe to be the API server, and our own certificate when we have one."""
        ...

    def token(self) -> str:
        """Return the bearer token; empty when a certificate lets us in."""
        ...


class AccountLogin:
    """The service account of the pod that we run in."""

    def __init__(self, environment: Mapping[str, str], folder: Path = ACCOUNT) -> None:
        self._folder = folder
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        self.server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._token = ""
        self._read_s = -TOKEN_READ_EVERY_S

    def trust(self) -> ssl.SSLContext:
        """Return a context that believes the cluster's own authority."""
        return ssl.create_default_context(cafile=str(self._folder / "ca.crt"))

    def token(self) -> str:
        """Return the account's present token."""
        now_s = time.monotonic()
        if now_s - self._read_s >= TOKEN_READ_EVERY_S:
            self._token = (self._folder / "token").read_text(encoding="ascii").strip()
            self._read_s = now_s
        return self._token


class FileLogin:
    """The current context of a kubeconfig whose user has a token or a certificate, both by file or in it."""

    def __init__(self, path: Path, context: str | None = None) -> None:
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            wanted = context or config["current-context"]
            place = _named(config, "contexts", wanted)["context"]
            self._cluster = _named(config, "clusters", place["cluster"])["cluster"]
            self._user = _named(config, "users", place["user"])["user"]
            self.server = str(self._cluster["server"]).rstrip("/")
        except OSError as error:
            raise Permanent(f"kubeconfig {path}: cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
            raise Permanent(f"kubeconfig {path}: is not one, or has no current context: {error!r}") from error
        if not self._user.keys() & {"token", "tokenFile", "client-certificate"}:
            raise Permanent(
                f"kubeconfig {path}: user {place['user']} has no token, tokenFile or client-certificate: in a cluster "
                "the Governor uses its service account and needs no kubeconfig"
            )

    def trust(self) -> ssl.SSLContext:
        """Return a context that believes the authority in the file, or the system's."""
        context = ssl.create_default_context(cafile=self.authority)
        certificate, key = self.certificate
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context

    def token(self) -> str:
        """Return the user's token; empty for a certificate."""
        if "tokenFile" in self._user:
            return Path(self._user["tokenFile"]).read_text(encoding="ascii").strip()
        return str(self._user.get("token", ""))

    @property
    def authority(self) -> str | None:
        """Return the path of the authority's certificate, None for the system's."""
        found: str | None = self._cluster.get("certificate-authority")
        return found

    @property
    def certificate(self) -> tuple[str | None, str | None]:
        """Return the paths of the user's certificate and key."""
        return self._user.get("client-certificate"), self._user.get("client-key")


def find_login(environment: Mapping[str, str] = os.environ) -> AccountLogin | FileLogin:
    """Return the pod's service account, or the kubeconfig that `KUBECONFIG` names. Raises Permanent without either."""
    if "KUBERNETES_SERVICE_HOST" in environment and (ACCOUNT / "token").exists():
        return AccountLogin(environment)
    path = environment.get("KUBECONFIG")
    if path:
        return FileLogin(Path(path))
    raise Permanent(
        "the API server is unknown: run the Governor in a pod with a service account, or name a kubeconfig in the "
        "environment variable KUBECONFIG"
    )


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in config[section] if each["name"] == name)
    return found
