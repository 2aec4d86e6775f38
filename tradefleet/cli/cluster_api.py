"""An API server with a person's own rights. What it refuses is said in one line, with the remedy."""

import json
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import urllib3
from governor.kubernetes.client import (
    APPLY,
    CONNECT_TIMEOUT_S,
    PAGE,
    PLAIN,
    REQUEST_TIMEOUT_S,
    Api,
    Body,
    Kind,
    Refused,
    Unreachable,
    read_answer,
)

from tradefleet.cli.cluster_login import KubeconfigLogin
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import GROUP

MANAGER: Final = "tradefleet-cli"  # the field manager of what a person does with this command line
AGAIN_MAX: Final = 5  # of a read that failed after others had succeeded
AGAIN_S: Final = 1.0
PAGES_MAX: Final = 1_000
CHUNK: Final = 65_536  # bytes
READS: Final = frozenset({"get", "list", "watch"})


class Away(Permanent):
    """The API server does not answer."""


class Forbidden(Permanent):
    """The user may not do this."""


class NotInstalled(Permanent):
    """The cluster does not know our kinds."""


class UserApi(Api):
    """An API server as a context's user. Several threads may use it."""

    def __init__(self, login: KubeconfigLogin) -> None:
        super().__init__(login)
        self._user = login
        self._pool = login.pool()
        self._has_answered = False

    def list_in(self, kind: Kind, namespace: str | None, **selectors: str) -> list[Body]:
        """Return all objects of a kind in a namespace, or in all; `selectors` are labelSelector and fieldSelector."""
        path = kind.path(namespace) if namespace else kind.path("").replace("/namespaces", "")
        items: list[Body] = []
        more = ""
        for _ in range(PAGES_MAX):
            page = self._send("GET", path, parameters={"limit": str(PAGE), "continue": more, **selectors})
            items += page.get("items") or []
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                break
        return items

    def apply_fields(self, kind: Kind, body: Body, *, force: bool, dry_run: bool = False) -> Body:
        """Return the object after its fields were made those of `body` (server-side apply). Raises Conflict."""
        metadata = body["metadata"]
        parameters = {
            "fieldManager": MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
            "dryRun": "All" if dry_run else "",
        }
        path = kind.path(metadata["namespace"], metadata["name"])
        return self._send("PATCH", path, body, parameters=parameters, content_type=APPLY)

    def lines(self, path: str, parameters: Mapping[str, str], *, follow: bool) -> Iterator[str]:
        """Yield the lines of a text as they come."""
        answer = self._request("GET", path, None, parameters, PLAIN, follow=follow, is_stream=True)
        try:
            if answer.status != 200:
                self._read(answer.status, answer.read(), "GET", path)
            rest = b""
            for chunk in answer.stream(CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
            if rest:
                yield rest.decode("utf-8", "replace")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Away(self._away(error)) from error
        finally:
            answer.release_conn()
            answer.close()

    # --- requests -------------------------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = PLAIN,
    ) -> Body:
        given = {name: value for name, value in (parameters or {}).items() if value}
        if "fieldManager" in given:
            given["fieldManager"] = MANAGER
        for number in range(AGAIN_MAX):
            try:
                answer = self._request(method, path, body, given, content_type)
                found = self._read(answer.status, answer.data, method, path)
                self._has_answered = True
                return found
            except Away:
                if method != "GET" or not self._has_answered or number == AGAIN_MAX - 1:
                    raise
                time.sleep(AGAIN_S)
        raise AssertionError("the last try returns or raises")

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | Sequence[Mapping[str, object]] | None,
        parameters: Mapping[str, str],
        content_type: str,
        *,
        follow: bool = False,
        is_stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": f"{PLAIN}, */*", "User-Agent": MANAGER}
        authorization = self._user.authorization()
        if authorization:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return self._pool.request(
                method,
                f"{self._server}{path}{'?' + urllib.parse.urlencode(parameters) if parameters else ''}",
                body=None if body is None else msgspec.json.encode(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=None if follow else REQUEST_TIMEOUT_S),
                redirect=False,
                preload_content=not is_stream,
            )
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise Away(self._away(error)) from error

    def _away(self, error: Exception) -> str:
        return (
            f"API server {self._server} (context {self._user.context}): no answer: {error}: see that the cluster runs "
            "and that this machine reaches it, or name another context with --context"
        )

    def _read(self, status: int, data: bytes, method: str, path: str) -> Body:
        said = _said(data)
        if status == 401:
            raise Forbidden(
                f"API server {self._server} does not know the user of context {self._user.context} (401): log in to "
                "the cluster again"
            )
        if status == 403:
            raise Forbidden(_forbidden(str(said.get("message") or "forbidden")))
        if status == 404 and path.startswith(f"/apis/{GROUP}/") and not said.get("details", {}).get("name"):
            raise NotInstalled(
                f"the cluster of context {self._user.context} does not know the kinds of {GROUP}: install them with "
                "`helm install tradefleet helm/tradefleet --namespace tradefleet --create-namespace`"
            )
        try:
            return read_answer(status, data, f"{method} {path}")
        except Unreachable as error:
            raise Away(self._away(error)) from error
        except Refused as error:
            raise Refused(str(error).replace("\n", " ")) from error


def _said(data: bytes) -> dict[str, Any]:
    """Return the Status in an answer, empty when it is something else."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _forbidden(message: str) -> str:
    """Return what may not be done, and which role of Kubernetes may."""
    verb = message.partition(" cannot ")[2].partition(" ")[0]
    role = "view" if verb in READS else "edit"
    what = f"you may not: {message}: the role {role} may, so ask for a RoleBinding to it"
    everywhere = " at the cluster scope" in message
    return f"{what}; or name a namespace with -n instead of -A" if everywhere else what
