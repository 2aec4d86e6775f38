"""Who is the Governor: the holder of a Lease. Without it nothing is written, so a second one by accident does no harm.

The holder's own clock decides when it stops: some time before anybody else may take the Lease over. Others do not
believe the times that are written in it, which come from another machine's clock: they wait until nobody has renewed
it for its whole length, by their own clock (as client-go's leader election does).
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from tradefleet.domain.errors import FleetError, Retryable

from .client import CONNECT_TIMEOUT_S, LEASE, REQUEST_TIMEOUT_S, Api, Body, Conflict, NotFound, number_of

_LOG: Final = logging.getLogger(__name__)

LENGTH_S: Final = 30.0  # without renewal for so long, somebody else takes over
# After so long the holder begins no write: one that was begun may be on its way until its time is out.
HOLD_S: Final = LENGTH_S - CONNECT_TIMEOUT_S - REQUEST_TIMEOUT_S
RENEW_EVERY_S: Final = 3.0


class LeaseLost(Retryable):
    """Another Governor may be at work: nothing is written until the Lease is ours again."""


class GovernorLease:
    """One Lease, wanted by `holder`: `try_once` every `RENEW_EVERY_S`, and `check` before each write."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        name: str,
        holder: str,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._held_until_s = -1.0
        self._seen_version = -1
        self._seen_at_s = 0.0
        self._other = ""
        self._lock = threading.Lock()

    def is_held(self) -> bool:
        """Return whether it is ours, and will be for some time."""
        return self._clock_s() < self._held_until_s

    def check(self) -> None:
        """Raise LeaseLost unless it is ours."""
        if not self.is_held():
            raise LeaseLost(f"Lease {self._namespace}/{self._name} is not ours: {self._other or 'it was not renewed'}")

    @property
    def other(self) -> str:
        """Who holds it instead of us; empty when nobody is known to."""
        return self._other

    def try_once(self) -> bool:
        """Take it or renew it; return whether it is ours. Raises FleetError when the API server cannot say."""
        with self._lock:
            began_s = self._clock_s()
            try:
                stored: Body | None = self._api.get(LEASE, self._namespace, self._name)
            except NotFound:
                stored = None
            if stored is not None and not self._may_take(stored):
                self._held_until_s = -1.0
                return False
            try:
                self._write(stored)
            except Conflict:  # somebody was faster
                return self.is_held()
            if not self.is_held():
                _LOG.info("holding Lease %s/%s", self._namespace, self._name)
            self._other = ""
            self._held_until_s = began_s + HOLD_S
            return True

    def give_up(self) -> None:
        """Let others take it at once. To be called when nothing will be written any more."""
        with self._lock:
            was_held, self._held_until_s = self.is_held(), -1.0
            if not was_held:
                return
            try:
                stored = self._api.get(LEASE, self._namespace, self._name)
                if stored["spec"].get("holderIdentity") == self._holder:
                    stored["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()}
                    self._api.replace(LEASE, stored)
            except FleetError as error:
                _LOG.warning("the Lease runs out by itself, since it could not be given up: %s", error)

    def _may_take(self, stored: Body) -> bool:
        spec: dict[str, Any] = stored.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._holder):
            return True
        version, now_s = number_of(stored), self._clock_s()
        if version != self._seen_version:
            self._seen_version, self._seen_at_s = version, now_s
        self._other = f"held by {holder}"
        return now_s - self._seen_at_s >= float(spec.get("leaseDurationSeconds") or LENGTH_S)

    def _write(self, stored: Body | None) -> None:
        old: dict[str, Any] = (stored or {}).get("spec") or {}
        is_new = old.get("holderIdentity") != self._holder
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": int(LENGTH_S),
            "acquireTime": self._now() if is_new else old.get("acquireTime"),
            "renewTime": self._now(),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (1 if is_new and stored is not None else 0),
        }
        if stored is not None:
            self._api.replace(LEASE, {**stored, "spec": spec})
            return
        metadata = {"namespace": self._namespace, "name": self._name}
        body: Body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}
        self._api.create(LEASE, body)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._wall_s(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
