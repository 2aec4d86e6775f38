"""A workload's process from its start to its exit status: logging, health, signals, the loop, and the last words."""

import gc
import logging
import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from tradefleet.domain.errors import MEMORY_REMEDY, FleetError, Permanent
from tradefleet.runtime.backoff import Backoff
from tradefleet.runtime.clock import SystemClock
from tradefleet.runtime.health import Health
from tradefleet.runtime.health_server import HealthServer
from tradefleet.runtime.logging import log_context, redact, set_up_logging
from tradefleet.runtime.loop import ExitStatus, Loop, StopRequest
from tradefleet.runtime.metrics import Metrics
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.settings import ProcessSettings

_LOG: Final = logging.getLogger(__name__)

FINISHED: Final = "Finished"  # the last word of a process whose run has ended
LAST_WORDS_LENGTH_MAX: Final = 4_000  # a pod's termination message holds 4,096 bytes


class Process:
    """What a workload's `main` builds its worker from. Things that must be closed go on `resources`."""

    def __init__(self, settings: ProcessSettings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.metrics = Metrics()
        self.health = Health(self.clock, outage_bound_us=settings.outage_bound_ms * 1_000, metrics=self.metrics)
        self.resources = ExitStack()
        self.is_finished: Callable[[], bool] = lambda: False

    def give_up(self, reason: str, message: str) -> NoReturn:
        """End at once, with these last words, whatever is under way: what was not committed has never been."""
        _LOG.error("ending at once, since somebody must act before it can go on: %s: %s", reason, message)
        _write_last_words(self.settings, reason, message)
        os._exit(ExitStatus.REFUSED)


def run_process(settings: ProcessSettings, build: Callable[[Process], Worker]) -> int:
    """Run the worker that `build` makes, until it ends; return the exit status (see `loop`)."""
    set_up_logging(settings.component, level=settings.log_level, log_format=settings.log_format)
    stop = StopRequest()
    process = Process(settings)
    try:
        with stop.on_signals(), log_context(fleet=settings.fleet), process.resources:
            if settings.health_port is not None:
                server = HealthServer(
                    process.health, process.metrics, host=settings.health_host, port=settings.health_port
                )
                process.resources.callback(server.close)
                _LOG.info("health is served", extra={"health_port": server.port})
            worker = build(process)
            # Modules and classes are here to stay: each full collection would look through all of them, 10 ms and more.
            gc.freeze()
            gc.enable()  # a `main` of which there are many switches it off while it loads
            loop = _loop(process, worker, stop)
            status = loop.run()
            _LOG.info("ended with status %d (%s)", status, status.name.lower())
            if status is not ExitStatus.ENDED:
                _leave_last_words(settings, loop.last_error)
            elif process.is_finished():
                # Or a cluster, which starts again whatever ends, could not tell this from an end that was asked for.
                _write_last_words(settings, FINISHED, "")
            return status
    except FleetError as error:
        _LOG.error("cannot start: %s: %s", type(error).__name__, error)
        _leave_last_words(settings, error)
        return ExitStatus.REFUSED if isinstance(error, Permanent) else ExitStatus.CRASHED
    except MemoryError as error:
        _LOG.critical("out of memory", exc_info=error)
        _write_last_words(settings, "OutOfMemory", f"it needed more memory than its process may use: {MEMORY_REMEDY}")
        return ExitStatus.REFUSED
    except Exception as error:  # noqa: BLE001 - the outermost place: whatever it is, it is logged, and the process ends
        _LOG.critical("crashed", exc_info=error)
        _leave_last_words(settings, error)
        return ExitStatus.CRASHED


def _leave_last_words(settings: ProcessSettings, error: Exception | None) -> None:
    """Write class and message of the error where a status is made from them."""
    if error is not None:
        _write_last_words(settings, type(error).__name__, redact(str(error))[:LAST_WORDS_LENGTH_MAX])


def _write_last_words(settings: ProcessSettings, reason: str, message: str) -> None:
    if settings.last_words_path is None:
        return
    words = {"reason": reason, "message": message}
    try:
        Path(settings.last_words_path).write_bytes(msgspec.json.encode(words))
    except OSError as failure:
        _LOG.warning("the reason for ending could not be written to %s: %s", settings.last_words_path, failure)


def _loop(process: Process, worker: Worker, stop: StopRequest) -> Loop:
    settings = process.settings
    return Loop(
        worker,
        clock=process.clock,
        health=process.health,
        metrics=process.metrics,
        # Seeded by the operating system: jitter is there to differ from everybody else's.
        backoff=Backoff(random.Random()),
        stop=stop,
        step_timeout_us=settings.step_timeout_ms * 1_000,
        outage_bound_us=settings.outage_bound_ms * 1_000,
        is_finished=process.is_finished,
    )
