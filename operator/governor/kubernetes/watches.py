"""The watches, which kopf keeps open. They feed the cache and wake the rounds; here nothing is decided or written."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import kopf

from tradefleet.resources.common import GROUP

from .cache import Cache
from .client import Kind
from .login import AccountLogin, FileLogin

INACTIVE_S: Final = 90.0  # a watch hears at least a bookmark each minute; one that hears nothing is opened again
SERVER_ENDS_S: Final = 300  # the API server ends each watch after so long, and kopf opens the next; a whole number
IDLE_S: Final = 0.1  # of an object: so long its last event is kept, decoded; there may be thousands at once
CONNECT_S: Final = 5.0
REQUEST_S: Final = 30.0
RETRIES_S: Final = (0.5, 1, 2, 3, 5)


class Stop:
    """Ends the watches, from any thread. (kopf waits for a `threading.Event` in a thread that nothing ends.)"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flag: asyncio.Event | None = None

    def set(self) -> None:
        """Ask for the end."""
        with self._lock:
            self._is_set = True
            if self._loop is not None and self._flag is not None:
                self._loop.call_soon_threadsafe(self._flag.set)

    def attach(self, loop: asyncio.AbstractEventLoop, flag: asyncio.Event) -> None:
        """Hand on the end to `flag` of a running loop."""
        with self._lock:
            self._loop, self._flag = loop, flag
            if self._is_set:
                flag.set()

    def detach(self) -> None:
        """Forget the loop, which ends."""
        with self._lock:
            self._loop = self._flag = None


def watch(
    cache: Cache,
    kinds: Sequence[Kind],
    *,
    login: AccountLogin | FileLogin,
    namespaces: Collection[str],
    selector: str,
    stop: Stop,
) -> None:
    """Feed the cache until `stop` is set, or SIGTERM or SIGINT has come. For the main thread."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY)(_login_handler(login))
    for kind in kinds:
        kopf.on.event(*_place(kind), id=kind.plural, registry=registry)(_feeder(cache, kind))
    for name in ("kopf", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below that it shows whole objects

    async def operate() -> None:
        flag = asyncio.Event()
        stop.attach(asyncio.get_running_loop(), flag)
        try:
            await kopf.operator(
                registry=registry,
                settings=_settings(kinds, selector),
                namespaces=list(namespaces),
                standalone=True,
                stop_flag=flag,
            )
        finally:
            stop.detach()

    asyncio.run(operate())


def _place(kind: Kind) -> tuple[str, str, str] | tuple[str, str]:
    return (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)


def _feeder(cache: Cache, kind: Kind) -> Callable[..., Any]:
    async def feed(event: Mapping[str, Any], **_: object) -> None:
        cache.offer(kind, dict(event["object"]), is_gone=event["type"] == "DELETED", is_watched=True)

    return feed


def _login_handler(login: AccountLogin | FileLogin) -> Callable[..., Any]:
    async def log_in(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        if isinstance(login, AccountLogin):
            return kopf.login_with_service_account(settings=settings)
        certificate, key = login.certificate
        return kopf.ConnectionInfo(
            server=login.server,
            ca_path=login.authority,
            token=login.token() or None,
            certificate_path=certificate,
            private_key_path=key,
        )

    return log_in


def _settings(kinds: Sequence[Kind], selector: str) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # kinds and namespaces are those that we were told
    settings.queueing.idle_timeout = IDLE_S
    settings.watching.inactivity_timeout = INACTIVE_S
    settings.watching.server_timeout = SERVER_ENDS_S
    settings.watching.connect_timeout = CONNECT_S
    settings.networking.connect_timeout = CONNECT_S
    settings.networking.request_timeout = REQUEST_S
    settings.networking.error_backoffs = RETRIES_S
    # Nothing is persisted, since no handler of ours has a state; if a version of kopf did, it would be under our name.
    settings.persistence.finalizer = "tradefleet.dev/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="kopf.tradefleet.dev")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="kopf.tradefleet.dev")
    for kind in kinds:
        if kind.group != GROUP:  # of other kinds, only what is ours
            settings.watching.label_selectors[_place(kind)] = selector
    return settings
