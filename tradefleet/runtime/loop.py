"""The supervised main loop of a workload: steps, retries, a graceful end, and an exit status that says what to do.

0   it was asked to end, or its run has ended
1   a crash, or a dependency that was away for too long: start it again, with back-off
3   somebody newer is at work (a newer epoch or generation): do not start this one again
4   a person must change something first: the message says what
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import Final

from tradefleet.domain.errors import Fenced, FleetError, OutcomeUnknown, Permanent, Retryable, StaleGeneration
from tradefleet.runtime.backoff import Backoff
from tradefleet.runtime.health import Health
from tradefleet.runtime.metrics import Metrics
from tradefleet.runtime.ports import Clock, Worker

_LOG: Final = logging.getLogger(__name__)

SLEEP_SLICE_US: Final = 100_000  # a wait between tries looks this often whether it shall end


class ExitStatus(IntEnum):
    """What the exit status tells whoever started the process."""

    ENDED = 0
    CRASHED = 1
    SUPERSEDED = 3
    REFUSED = 4


class StopRequest:
    """Whether the process was asked to end. Set by SIGTERM and SIGINT; a second signal ends at once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask for the end."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT inside the block. For the main thread only."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._event.is_set():
            raise SystemExit(128 + number)
        self._event.set()


class Loop:
    """Drives one worker until it is asked to end, has ended, or must not go on."""

    def __init__(
        self,
        worker: Worker,
        *,
        clock: Clock,
        health: Health,
        metrics: Metrics,
        backoff: Backoff,
        stop: StopRequest,
        step_timeout_us: int,
        outage_bound_us: int,
        is_finished: Callable[[], bool] = lambda: False,
    ) -> None:
        self._worker = worker
        self._clock = clock
        self._health = health
        self._metrics = metrics
        self._backoff = backoff
        self._stop = stop
        self._step_timeout_us = step_timeout_us
        self._outage_bound_us = outage_bound_us
        self._is_finished = is_finished
        self._is_started = False
        self._failing_since_us: int | None = None
        self.last_error: FleetError | None = None  # the reason for an end that nobody asked for

    def run(self) -> ExitStatus:
        """Return once the work is over. An error that is none of ours passes through: that is a crash."""
        status = ExitStatus.ENDED
        try:
            while not self._stop and not (self._is_started and self._is_finished()):
                status = self._try_step()
                if status is not ExitStatus.ENDED:
                    break
        finally:
            self._health.set_ready(is_ready=False, why_not="ending")
        if status is ExitStatus.ENDED:
            self._end()
        return status

    def _try_step(self) -> ExitStatus:
        """Do one step. Return ENDED to go on, or why not to."""
        try:
            self._step()
        except (Fenced, StaleGeneration) as error:
            _LOG.warning("ending, since somebody newer is at work: %s", error)
            self._count(error)
            return ExitStatus.SUPERSEDED
        except Permanent as error:
            _LOG.error("ending, since somebody must act before it can go on: %s: %s", type(error).__name__, error)
            self._count(error)
            return ExitStatus.REFUSED
        except (Retryable, OutcomeUnknown) as error:
            self._count(error)
            return self._recover(error)
        return ExitStatus.ENDED

    def _step(self) -> None:
        if not self._is_started:
            self._worker.start()
            self._is_started = True
            self._health.set_ready(is_ready=True)
            _LOG.info("ready")
        began = time.perf_counter()
        worked = self._worker.step(self._step_timeout_us)
        self._metrics.steps.add("yes" if worked else "no")
        if worked:
            self._metrics.step_seconds.add(time.perf_counter() - began)
        self._health.beat()
        self._backoff.reset()
        self._failing_since_us = None

    def _recover(self, error: FleetError) -> ExitStatus:
        """Throw the machine's memory away (rule 8) and wait; the next step loads it again."""
        now_us = self._clock.monotonic_us()
        if self._failing_since_us is None:
            self._failing_since_us = now_us
        if now_us - self._failing_since_us > self._outage_bound_us:
            _LOG.error(
                "ending, since it has failed for %d s: %s: %s",
                (now_us - self._failing_since_us) // 1_000_000,
                type(error).__name__,
                error,
            )
            return ExitStatus.CRASHED
        if self._is_started:
            self._metrics.reloads.add()
            self._is_started = False
        self._health.set_ready(is_ready=False, why_not=f"{type(error).__name__}: {error}")
        wait_us = self._backoff.next_us()
        _LOG.warning("loading again in %d ms: %s: %s", wait_us // 1_000, type(error).__name__, error)
        self._wait(wait_us)
        return ExitStatus.ENDED

    def _wait(self, wait_us: int) -> None:
        until_us = self._clock.monotonic_us() + wait_us
        while not self._stop and (left_us := until_us - self._clock.monotonic_us()) > 0:
            self._clock.sleep_us(min(left_us, SLEEP_SLICE_US))

    def _end(self) -> None:
        """Give the lease back: what was begun is committed, since a step ends with its commit (rule 24)."""
        try:
            self._worker.stop()
        except FleetError as error:
            _LOG.warning("the lease runs out by itself, since it could not be given back: %s", error)

    def _count(self, error: FleetError) -> None:
        self.last_error = error
        self._metrics.errors.add(type(error).__name__)
