"""A schema registry that speaks the public REST contract, over real HTTP on loopback, and keeps nothing on disk.

As much of it as a client of ours can meet: registering a schema, finding one by id, its error codes, basic
authentication, and a registry that refuses (409) or is broken (500).
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

SCHEMA_NOT_FOUND = 40403
INCOMPATIBLE = 409
FIRST_ID = 100_001  # as in a registry that others have used for years


class RegistryServer:
    """What the registry holds. `refuse_with` is the status of every answer while it is set."""

    def __init__(self, login: str | None = None) -> None:
        self.ids: dict[str, int] = {}  # by the schema's text
        self.subjects: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.refuse_with: int | None = None
        self._login = login
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address, with the login in it."""
        return f"http://{self._login + '@' if self._login else ''}127.0.0.1:{self.port}"

    def schema(self, number: int) -> str | None:
        """The schema of an id."""
        return next((text for text, known in self.ids.items() if known == number), None)

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema: the same for the same text, under whatever subject."""
        number = self.ids.setdefault(schema, FIRST_ID + len(self.ids))
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(request.headers.get("Content-Length", 0))
        body = json.loads(request.rfile.read(length) or b"{}")
        self.asked.append(f"{request.command} {request.path}")
        status, found = self._found(request, body)
        text = json.dumps(found).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _found(self, request: BaseHTTPRequestHandler, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        expected = None if self._login is None else "Basic " + base64.b64encode(self._login.encode()).decode()
        if expected is not None and request.headers.get("Authorization") != expected:
            return 401, {"error_code": 40101, "message": "Unauthorized"}
        if self.refuse_with is not None:
            return self.refuse_with, {"error_code": self.refuse_with, "message": "Schema being registered is refused"}
        match [unquote(part) for part in request.path.strip("/").split("/")]:
            case ["subjects", subject, "versions"] if request.command == "POST":
                return 200, {"id": self.register(subject, body["schema"])}
            case ["schemas", "ids", number] if request.command == "GET":
                text = self.schema(int(number))
                if text is not None:
                    return 200, {"schema": text}
                return 404, {"error_code": SCHEMA_NOT_FOUND, "message": "Schema not found"}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    @contextmanager
    def serving(self) -> Iterator["RegistryServer"]:
        """Serve until the end of the block; afterwards nobody answers at its port."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
