"""What is known of a process's health.

Alive means: the main loop has finished a step, and every watched dependency has answered, within a bound. A process
that has lost its broker or database for longer ends its own liveness, so that whoever runs it starts it anew.
"""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from tradefleet.domain.errors import FleetError
from tradefleet.runtime.metrics import Metrics

PROBE_EVERY_US: Final = 2_000_000  # a probe's answer is believed for so long
MAIN_LOOP: Final = "loop"


class Monotonic(Protocol):
    """The part of a clock that is used here."""

    def monotonic_us(self) -> int:
        """Return microseconds that only grow."""


class _Dependency:
    __slots__ = ("answered_us", "asked_us", "error", "probe")

    def __init__(self, probe: Callable[[], None] | None, asked_us: int, answered_us: int) -> None:
        self.probe = probe
        self.asked_us = asked_us
        self.answered_us = answered_us
        self.error = ""


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
                    self._metrics.dependency_up.set(0 if dependency.error else 1, name)
