"""The two questions that we ask a schema registry, by the REST contract that Confluent published and others speak.

(Confluent Schema Registry API reference, "Subjects" and "Schemas".) A library would bring an HTTP stack of its own into
every process for them.
"""

import base64
import http.client
import json
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from tradefleet.bus.errors import RegistryUnavailable
from tradefleet.domain.errors import InvalidValue

_LOG: Final = logging.getLogger(__name__)

TIMEOUT_S: Final = 2.0
RETRY_S: Final = 1.0  # a registry that is away is not asked for every message
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class RegistryClient:
    """A registry at `url`, http or https; user and password in it are sent as basic authentication, and never shown."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidValue("schemaRegistry.url: must begin with http:// or https:// and name a host")
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": CONTENT_TYPE, "Content-Type": CONTENT_TYPE}
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        self._timeout_s = timeout_s
        self._clock = clock
        self._ask_again_s = float("-inf")

    def register(self, subject: str, schema: str) -> int:
        """Return the id of a schema, registered under `subject` if it was not. Raises RegistryUnavailable, which it
        also is when the registry finds the schema incompatible with the subject's earlier ones.
        """
        status, answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema})
        number = answer.get("id")
        if status != http.client.OK or not isinstance(number, int):
            raise self._refused(f"schema {subject}", status, answer)
        return number

    def schema(self, number: int) -> str | None:
        """Return the schema of an id; None when the registry does not know it. Raises RegistryUnavailable."""
        status, answer = self._ask("GET", f"/schemas/ids/{number}", None)
        if status == http.client.NOT_FOUND:
            return None
        text = answer.get("schema")
        if status != http.client.OK or not isinstance(text, str):
            raise self._refused(f"schema id {number}", status, answer)
        return text

    def _refused(self, what: str, status: int, answer: dict[str, Any]) -> RegistryUnavailable:
        return self._failed(f"{what}: status {status}: {answer.get('message', 'no reason given')}")

    def _failed(self, why: str) -> RegistryUnavailable:
        self._ask_again_s = self._clock() + RETRY_S
        _LOG.warning("schema registry %s: %s", self._host, why)
        return RegistryUnavailable(f"schema registry {self._host}: {why}")

    def _ask(self, method: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
        if self._clock() < self._ask_again_s:
            raise RegistryUnavailable(f"schema registry {self._host}: it did not answer a moment ago")
        connection = self._connection()
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, self._path + path, body=text, headers=self._headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failed(f"does not answer: {error}") from error
        finally:
            connection.close()
        return response.status, answer if isinstance(answer, dict) else {}

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
