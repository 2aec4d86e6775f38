"""Events: what befell a resource, for whoever runs `kubectl describe`."""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tradefleet.domain.errors import FleetError
from tradefleet.resources.common import API_VERSION, GROUP, ResourceKey

from .client import EVENT, Api, Body

_LOG: Final = logging.getLogger(__name__)

CONTROLLER: Final = f"{GROUP}/governor"
NOTE_LENGTH_MAX: Final = 1_000  # an API server refuses more than 1,024
AGAIN_AFTER_S: Final = 300.0  # the same of the same resource is told once in so long
REMEMBERED_MAX: Final = 10_000


class Events:
    """Writes events. One that cannot be written is logged: nothing waits for it."""

    def __init__(
        self,
        api: Api,
        *,
        instance: str,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._instance = instance
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._told: dict[tuple[str, str, str], float] = {}

    def tell(self, key: ResourceKey, uid: str, *, reason: str, note: str, is_warning: bool) -> None:
        """Write one event, unless the same was told a short while ago."""
        note = note[:NOTE_LENGTH_MAX]
        now_s = self._clock_s()
        told = uid, reason, note
        if now_s - self._told.get(told, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return
        self._told.pop(told, None)
        self._told[told] = now_s
        while len(self._told) > REMEMBERED_MAX:
            del self._told[next(iter(self._told))]
        try:
            self._api.create(EVENT, self._body(key, uid, reason, note, is_warning=is_warning))
        except FleetError as error:
            _LOG.warning("%s: the event %s (%s) could not be written: %s", key, reason, note, error)

    def _body(self, key: ResourceKey, uid: str, reason: str, note: str, *, is_warning: bool) -> Body:
        wall_s = self._wall_s()
        mark = hashlib.sha256(f"{uid}/{reason}/{note}/{wall_s}".encode()).hexdigest()[:16]
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": key.namespace, "name": f"{key.name}.{mark}"},
            "eventTime": datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
            "reason": reason,
            "action": "Reconcile",
            "note": note,
            "type": "Warning" if is_warning else "Normal",
        }
