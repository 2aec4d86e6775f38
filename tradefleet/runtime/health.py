"""What a process says about itself over HTTP on loopback: `/healthz`, `/readyz`, `/metrics`.

Alive means: the main loop has finished a step, and every watched dependency has answered, within a bound. A process
that has lost its broker or database for longer ends its own liveness, so that whoever runs it starts it anew.
"""

import http.server
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.runtime.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)

PROBE_EVERY_US: Final = 2_000_000  # a probe's answer is believed for so long
REQUEST_TIMEOUT_S: Final = 5.0  # for one who connects and says nothing
MAIN_LOOP: Final = "loop"


class Monotonic(Protocol):
    """The part of a clock that is used here."""

    def monotonic_us(self) -> int:
        """Return microseconds that only grow."""


@dataclass(slots=True)
class _Dependency:
    probe: Callable[[], None] | None
    asked_us: int
    answered_us: int
    error: str = ""


class Health:
    """What is known of the process. `beat` and `set_ready` are for the main loop, the rest for whoever asks."""

    def __init__(self, clock: Monotonic, *, outage_bound_us: int, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self._bound_us = outage_bound_us
        self._metrics = metrics
        self._lock = threading.Lock()  # probes are asked by the server's threads, one at a time
        now_us = clock.monotonic_us()
        self._dependencies = {MAIN_LOOP: _Dependency(None, now_us, now_us)}
        self._is_ready = False
        self._why_not_ready = "starting"

    def watch(self, name: str, probe: Callable[[], None]) -> None:
        """Watch a dependency: `probe` raises when it does not answer. It is called from another thread."""
        now_us = self._clock.monotonic_us()
        self._dependencies[name] = _Dependency(probe, now_us - PROBE_EVERY_US, now_us)

    def beat(self) -> None:
        """Say that the main loop has finished a step without an error."""
        self._dependencies[MAIN_LOOP].answered_us = self._clock.monotonic_us()

    def set_ready(self, *, is_ready: bool, why_not: str = "") -> None:
        """Say whether the process does its work, and in one line why not."""
        self._is_ready = is_ready
        self._why_not_ready = why_not

    def complaints(self) -> list[str]:
        """Return why the process is not alive: empty when it is."""
        self._ask()
        now_us = self._clock.monotonic_us()
        return [
            f"{name}: no answer for {(now_us - dependency.answered_us) // 1_000_000} s"
            + (f" ({dependency.error})" if dependency.error else "")
            for name, dependency in self._dependencies.items()
            if now_us - dependency.answered_us > self._bound_us
        ]

    def readiness_complaints(self) -> list[str]:
        """Return why the process is not ready: empty when it is."""
        complaints = self.complaints()
        if not self._is_ready:
            complaints.append(f"not ready: {self._why_not_ready}")
        complaints += [
            f"{name}: {dependency.error}" for name, dependency in self._dependencies.items() if dependency.error
        ]
        return complaints

    def _ask(self) -> None:
        with self._lock:
            for name, dependency in self._dependencies.items():
                now_us = self._clock.monotonic_us()
                if dependency.probe is None or now_us - dependency.asked_us < PROBE_EVERY_US:
                    continue
                dependency.asked_us = now_us
                try:
                    dependency.probe()
                except FleetError as error:
                    dependency.error = str(error)
                else:
                    dependency.error = ""
                    dependency.answered_us = self._clock.monotonic_us()
                if self._metrics is not None:
                    self._metrics.dependency_up.labels(name).set(0 if dependency.error else 1)


class HealthServer:
    """Serves a `Health` and `Metrics` from a thread of its own until `close`."""

    def __init__(self, health: Health, metrics: Metrics, *, host: str = "127.0.0.1", port: int = 0) -> None:
        class Handler(_Handler):
            pages = {  # noqa: RUF012 - made once for the one server of the process
                "/healthz": lambda: _verdict(health.complaints()),
                "/readyz": lambda: _verdict(health.readiness_complaints()),
                "/metrics": lambda: (200, metrics.text()),
            }

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise Permanent(
                f"health: cannot listen on {host}:{port}: {error.strerror}: name another port or none"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _verdict(complaints: list[str]) -> tuple[int, bytes]:
    if complaints:
        return 503, ("\n".join(complaints) + "\n").encode()
    return 200, b"ok\n"


class _Handler(http.server.BaseHTTPRequestHandler):
    pages: dict[str, Callable[[], tuple[int, bytes]]]
    timeout = REQUEST_TIMEOUT_S
    server_version = "tradefleet"
    sys_version = ""

    def do_GET(self) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        status, body = page() if page is not None else (404, b"there are /healthz, /readyz and /metrics\n")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        _LOG.debug(format, *args)
