"""An API server on loopback that knows one pod: its list, its log, and commands in it over a websocket."""

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
BINARY, CLOSE = 0x82, 0x88


class Pods(ThreadingHTTPServer):
    """`frames` are what a command in the pod answers: pairs of channel and bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pods: list[dict[str, Any]] = []
        self.log = ""
        self.frames: Sequence[tuple[int, bytes]] = ()
        self.requests: list[tuple[str, dict[str, list[str]]]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left early is no matter of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pods

    def do_GET(self) -> None:
        url = urllib.parse.urlparse(self.path)
        self.server.requests.append((url.path, urllib.parse.parse_qs(url.query)))
        if url.path.endswith("/exec"):
            self._exec()
        elif url.path.endswith("/log"):
            self._answer(self.server.log.encode(), "text/plain")
        else:
            selector = urllib.parse.parse_qs(url.query).get("labelSelector", [""])[0]
            wanted = dict(each.split("=") for each in selector.split(",") if each).items()
            found = [each for each in self.server.pods if wanted <= each["metadata"]["labels"].items()]
            self._answer(json.dumps({"kind": "PodList", "items": found, "metadata": {}}).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _exec(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        for channel, data in self.server.frames:
            payload = bytes([channel]) + data
            self.wfile.write(bytes([BINARY, 126]) + len(payload).to_bytes(2) + payload)
        self.wfile.write(bytes([CLOSE, 0]))
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's own name
        """Say nothing."""


@contextmanager
def running(folder: Path) -> Iterator[tuple[Pods, Path]]:
    """Yield the server and a kubeconfig that leads to it."""
    server = Pods()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(kubeconfig(f"http://127.0.0.1:{server.server_address[1]}")), encoding="utf-8")
    try:
        yield server, config
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(address: str, *, current: str = "one", **place: str) -> dict[str, Any]:
    """Return a kubeconfig with the contexts `one` and `two`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": "it", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": {"token": "of-mine"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "it", "user": "me", **place}},
            {"name": "two", "context": {"cluster": "it", "user": "me", "namespace": "second"}},
        ],
    }


def pod(name: str, labels: dict[str, str], *containers: str, fleet: str = "fleet", phase: str = "Running") -> Any:
    """Return a pod as an API server lists it."""
    env = [{"name": "TRADEFLEET_FLEET", "value": fleet}]
    return {
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "labels": labels},
        "spec": {"containers": [{"name": each, "env": env} for each in containers]},
        "status": {"phase": phase},
    }
