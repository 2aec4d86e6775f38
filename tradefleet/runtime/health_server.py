"""`/healthz`, `/readyz` and `/metrics` over HTTP, on loopback unless told otherwise.

The library's server is imported by the first request: a process that nobody asks does not pay for it.
"""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from tradefleet.domain.errors import Permanent
from tradefleet.runtime.health import Health
from tradefleet.runtime.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 1.0  # for one who connects and says nothing: the next waits behind him
WAITING_MAX: Final = 16

Page = Callable[[], tuple[int, bytes]]
Handle = Callable[[socket.socket, object], object]


class HealthServer:
    """Answers one request after the other, from a thread of its own, until `close`. Raises Permanent without a port."""

    def __init__(self, health: Health, metrics: Metrics, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._pages: dict[str, Page] = {
            "/healthz": lambda: _verdict(health.complaints()),
            "/readyz": lambda: _verdict(health.readiness_complaints()),
            "/metrics": lambda: (200, metrics.text()),
        }
        try:
            self._socket = socket.create_server((host, port), backlog=WAITING_MAX)
        except OSError as error:
            raise Permanent(
                f"health: cannot listen on {host}:{port}: {error.strerror}: name another port or none"
            ) from error
        self.port = int(self._socket.getsockname()[1])
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._is_closed = True
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread up out of `accept`
        self._socket.close()
        self._thread.join(REQUEST_TIMEOUT_S)

    def _serve(self) -> None:
        handle: Handle | None = None
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                if self._is_closed:
                    return
                continue  # the peer went away before it was accepted
            if handle is None:
                handle = _handler(self._pages)
            with connection:
                try:
                    handle(connection, peer)
                except OSError as error:
                    _LOG.debug("a request for health ended early: %s", error)


def _verdict(complaints: list[str]) -> tuple[int, bytes]:
    if complaints:
        return 503, ("\n".join(complaints) + "\n").encode()
    return 200, b"ok\n"


def _handler(pages: dict[str, Page]) -> Handle:
    """Return what answers one connection."""
    from http.server import BaseHTTPRequestHandler  # noqa: PLC0415 - see the module

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT_S
        server_version = "tradefleet"
        sys_version = ""

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, body = page() if page is not None else (404, b"there are /healthz, /readyz and /metrics\n")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            _LOG.debug(format, *args)

    # The server that it wants is only kept, for handlers that ask it something.
    return lambda connection, peer: Handler(connection, peer, None)  # type: ignore[arg-type]
