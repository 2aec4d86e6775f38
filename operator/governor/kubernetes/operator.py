"""The process of the Governor in a cluster: `tradefleet governor --settings FILE`.

Three threads: the watches in the main one, as kopf wants it, the rounds, and the Lease. When one of them ends, the
process does, and the kubelet starts it again.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.runtime.clock import SystemClock
from tradefleet.runtime.health import Health
from tradefleet.runtime.health_server import HealthServer
from tradefleet.runtime.logging import set_up_logging
from tradefleet.runtime.loop import ExitStatus
from tradefleet.runtime.metrics import Metrics
from tradefleet.runtime.settings import process_settings

from .governor import END_S, KINDS, Governor
from .login import find_login
from .renderer import selector
from .settings import read_settings
from .watches import Stop, watch

_LOG: Final = logging.getLogger(__name__)


def run(path: Path) -> int:
    """Run the Governor with the settings in a file until it is told to end; return the exit status."""
    process = process_settings(os.environ)
    set_up_logging("governor", level=process.log_level, log_format=process.log_format)
    try:
        settings = read_settings(path)
        login = find_login()
        metrics = Metrics()
        health = Health(SystemClock(), outage_bound_us=process.outage_bound_ms * 1_000, metrics=metrics)
        governor = Governor(settings, process, login, health, instance=os.environ.get("POD_NAME", process.holder))
    except FleetError as error:
        _LOG.error("cannot start: %s: %s", type(error).__name__, error)
        return ExitStatus.REFUSED if isinstance(error, Permanent) else ExitStatus.CRASHED
    health.watch("watches", governor.cache.check_watches)
    server = None
    if process.health_port is not None:
        server = HealthServer(health, metrics, host=process.health_host, port=process.health_port)
    stop = Stop()
    crashed: list[str] = []
    threads = [_thread(work, stop, crashed) for work in (governor.run, governor.keep_lease)]
    try:
        watch(
            governor.cache,
            KINDS,
            login=login,
            namespaces=governor.places,
            selector=selector(process.fleet),
            stop=stop,
        )
    finally:
        governor.ask_to_end()
        for thread in threads:
            thread.join(END_S)
        if server is not None:
            server.close()
    is_stuck = any(thread.is_alive() for thread in threads)
    return ExitStatus.CRASHED if crashed or is_stuck else ExitStatus.ENDED


def _thread(work: Callable[[], None], stop: Stop, crashed: list[str]) -> threading.Thread:
    """Return a started thread, whose end by an error ends the watches as well."""

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the outermost place of a thread: logged, and the process ends
            _LOG.critical("crashed", exc_info=error)
            crashed.append(str(error))
        finally:
            stop.set()

    thread = threading.Thread(target=guarded, name=work.__name__, daemon=True)
    thread.start()
    return thread
