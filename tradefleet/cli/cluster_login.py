"""Who a person is to an API server: their kubeconfig, read by the official client, log-in plug-ins included."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.kube_config import KubeConfigMerger
from requests.utils import should_bypass_proxies

from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import DEFAULT_NAMESPACE
from tradefleet.resources.problems import suggestion

DEFAULT_FILE: Final = "~/.kube/config"
CONNECTIONS_MAX: Final = 32


class NoContext(Permanent):
    """The kubeconfig does not have what was asked for."""


class KubeconfigLogin:
    """Implements `governor.kubernetes.login.Login` with a context of one kubeconfig, or of several merged ones."""

    def __init__(self, file: Path | None, context: str | None, environment: Mapping[str, str]) -> None:
        self.files = str(file) if file is not None else environment.get("KUBECONFIG") or DEFAULT_FILE
        found = self._contexts()
        self.context = context or found.current
        if not self.context:
            known = ", ".join(found.namespaces) or "it has none"
            raise NoContext(f"kubeconfig {self.files}: no context is the current one: give --context NAME ({known})")
        if self.context not in found.namespaces:
            raise NoContext(
                f"kubeconfig {self.files}: there is no context {self.context!r}; "
                f"{suggestion(self.context, found.namespaces) or 'it has none'}"
            )
        self.namespace = found.namespaces[self.context]
        self.configuration = Configuration()
        try:
            # The client's own modules for kubeconfigs have no types.
            load_kube_config(  # type: ignore[no-untyped-call]
                self.files, context=self.context, client_configuration=self.configuration
            )
        except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            raise NoContext(
                f"kubeconfig {self.files}: context {self.context}: its cluster and user cannot be used: {error}: mend "
                "the file, or name another one with --kubeconfig"
            ) from error
        self.server = str(self.configuration.host).rstrip("/")

    def _contexts(self) -> "_Contexts":
        try:
            merged = KubeConfigMerger(self.files).config  # type: ignore[no-untyped-call] # as above
            if merged is None:
                raise NoContext(
                    f"kubeconfig {self.files}: there is no such file: name one with --kubeconfig or KUBECONFIG"
                )
            return _Contexts(merged.value)
        except (ConfigException, OSError, yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise NoContext(
                f"kubeconfig {self.files}: is not one ({error}): name one with --kubeconfig or KUBECONFIG"
            ) from error

    def trust(self) -> ssl.SSLContext:
        """Return whom the context believes to be the API server, with the user's certificate when there is one."""
        given = self.configuration
        try:
            context = ssl.create_default_context(cafile=given.ssl_ca_cert)
            if not given.verify_ssl:  # the user's own choice: insecure-skip-tls-verify
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if given.cert_file:
                context.load_cert_chain(given.cert_file, given.key_file)
        except OSError as error:
            raise NoContext(
                f"kubeconfig {self.files}: context {self.context}: a certificate cannot be read: {error}"
            ) from error
        return context

    def token(self) -> str:
        """Return the bearer token; empty when something else lets us in."""
        kind, _, rest = self.authorization().partition(" ")
        return rest if kind == "Bearer" else ""

    def authorization(self) -> str:
        """Return the whole header, a new one when the old one has expired; empty when a certificate lets us in."""
        return self.configuration.get_api_key_with_prefix("BearerToken") or ""

    def pool(self) -> urllib3.PoolManager:
        """Return connections to the API server, through a proxy when the context or the environment wants one."""
        given = self.configuration
        options: dict[str, Any] = {
            "num_pools": 1,
            "maxsize": CONNECTIONS_MAX,
            "block": False,
            "retries": False,
            "ssl_context": self.trust(),
        }
        if given.tls_server_name:
            options |= {"server_hostname": given.tls_server_name, "assert_hostname": given.tls_server_name}
        if given.proxy and not should_bypass_proxies(self.server, no_proxy=given.no_proxy or ""):
            return urllib3.ProxyManager(given.proxy, proxy_headers=given.proxy_headers, **options)
        return urllib3.PoolManager(**options)


class _Contexts:
    """The contexts of a kubeconfig, by name with the namespace of each."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.current = str(config.get("current-context") or "")
        # The official client wraps each entry with the path of its file.
        entries = [getattr(each, "value", each) for each in config.get("contexts") or ()]
        self.namespaces = {
            str(each["name"]): str(each["context"].get("namespace") or DEFAULT_NAMESPACE) for each in entries
        }
