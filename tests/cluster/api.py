"""Requests to a cluster's API server, and its verdicts in a form that tests compare with the models' own."""

import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tradefleet.resources.common import GROUP, VERSION
from tradefleet.resources.kinds import KINDS

TIMEOUT_S = 30.0
BUSY = (429, 503)  # come again, says a server under load, or one that has just learnt of a kind
TRIES_MAX = 20
PAUSE_S = 0.5
MERGE_PATCH = "application/merge-patch+json"

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that the API server found wrong: where, and its words."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered: the object, or the reasons why not."""

    status: int
    body: Body

    @property
    def accepted(self) -> bool:
        """Whether it took the object."""
        return 200 <= self.status < 300

    @property
    def causes(self) -> list[Cause]:
        """What it found wrong; empty when it took the object."""
        if self.accepted:
            return []
        found = self.body.get("details", {}).get("causes", [])
        causes = [Cause(each.get("field", ""), each["message"]) for each in found]
        # What strict decoding refuses comes as one text.
        unknown = re.findall(r'unknown field "([^"]+)"', self.body["message"])
        return [*causes, *(Cause(field, "unknown field") for field in unknown)] or [Cause("", self.body["message"])]


class Api:
    """An API server, as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        (cluster,), (user,) = config["clusters"], config["users"]
        self.kubeconfig = kubeconfig
        self._server = cluster["cluster"]["server"]
        self._token = user["user"]["token"]
        self._trust = ssl.create_default_context(cafile=cluster["cluster"]["certificate-authority"])

    def create_namespace(self, name: str) -> Answer:
        """Return the answer to a new namespace."""
        return self._send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def create(self, body: Body, namespace: str, *, dry_run: bool = False) -> Answer:
        """Return the answer to a new resource, with fields refused that its kind does not have."""
        return self._send("POST", _path(body["kind"], namespace), body, dry_run=dry_run)

    def replace(self, body: Body, namespace: str, *, dry_run: bool = False) -> Answer:
        """Return the answer to a resource in the place of the stored one."""
        path = _path(body["kind"], namespace, body["metadata"]["name"])
        return self._send("PUT", path, body, dry_run=dry_run)

    def patch_status(self, kind: str, name: str, namespace: str, status: Body) -> Answer:
        """Return the answer to a change of status; unknown fields are dropped, as of a newer Governor."""
        path = f"{_path(kind, namespace, name)}/status"
        return self._send("PATCH", path, {"status": status}, content_type=MERGE_PATCH, strict=False)

    def read(self, kind: str, name: str, namespace: str) -> Answer:
        """Return a resource as it is stored."""
        return self._send("GET", _path(kind, namespace, name))

    def patch(self, path: str, patch: Body) -> Answer:
        """Return the answer to a JSON merge patch of whatever is at `path`."""
        return self._send("PATCH", path, patch, content_type=MERGE_PATCH, strict=False)

    def post(self, path: str, body: Body) -> Answer:
        """Return the answer to a new object of any kind."""
        return self._send("POST", path, body, strict=False)

    def delete(self, path: str) -> Answer:
        """Return the answer to the deletion of whatever is at `path`."""
        return self._send("DELETE", path)

    def get(self, path: str) -> Body:
        """Return whatever is at `path`."""
        return self._send("GET", path).body

    def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        dry_run: bool = False,
        strict: bool = True,
        content_type: str = "application/json",
    ) -> Answer:
        wanted = {"fieldValidation": "Strict"} if strict and body is not None else {}
        options = urllib.parse.urlencode({**wanted, **({"dryRun": "All"} if dry_run else {})})
        request = urllib.request.Request(
            f"{self._server}{path}{'&' if '?' in path else '?'}{options}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        for _ in range(TRIES_MAX):
            answer = self._answer(request)
            if answer.status not in BUSY:
                break
            time.sleep(PAUSE_S)
        return answer

    def _answer(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=TIMEOUT_S) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.load(error))


def _path(kind: str, namespace: str, name: str = "") -> str:
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{KINDS[kind].names.plural}"
    return f"{path}/{name}" if name else path
