"""The Secrets of workloads. The Governor may read those that it knows the names of, and looks at them in turn."""

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from .cache import Key
from .client import SECRET, Api, Body, NameTaken, NotFound
from .drift import is_as_wanted, replacement
from .manifests import FLEET_LABEL

LOOK_AGAIN_S: Final = 4.0  # a Secret that somebody changed or deleted is as it was soon after
AT_ONCE: Final = 8
LOOKS_MAX: Final = 10  # in one round, so that a thousand Secrets cost little


@dataclass(frozen=True, slots=True)
class _Look:
    """A Secret as it was at a moment, kept as JSON; None when there was none."""

    data: bytes | None
    at_s: float

    @property
    def body(self) -> Body | None:
        found: Body | None = None if self.data is None else msgspec.json.decode(self.data)
        return found


class Secrets:
    """What the Secrets of a fleet hold. Not for several threads at the same key."""

    def __init__(self, api: Api, clock_s: Callable[[], float], fleet: str) -> None:
        self._api = api
        self._clock_s = clock_s
        self._fleet = fleet
        self._looks: dict[Key, _Look] = {}
        self._due: set[Key] = set()  # those that were not looked at for longest, a few in each round

    def read(self, key: Key) -> Mapping[str, str]:
        """Return what our Secret of that name holds, empty when there is none."""
        look = self._looks.get(key) or self._look(key)
        body = look.body
        if body is None or not self._is_ours(body):
            return {}
        try:
            return {name: base64.b64decode(value).decode() for name, value in (body.get("data") or {}).items()}
        except (binascii.Error, UnicodeDecodeError, TypeError):
            return {}  # somebody's edit

    def read_all(self, keys: Iterable[Key]) -> None:
        """Look at those that were never looked at, several at the same time."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="secrets") as pool:
            list(pool.map(self._look, [key for key in keys if key not in self._looks]))

    def begin_round(self) -> None:
        """Choose which may be looked at again in this round."""
        old_s = self._clock_s() - LOOK_AGAIN_S
        old = [(look.at_s, key) for key, look in self._looks.items() if look.at_s <= old_s]
        self._due = {key for _, key in heapq.nsmallest(LOOKS_MAX, old)}

    def is_due(self, key: Key) -> bool:
        """Return whether a Secret is to be looked at now: it never was, or not for long."""
        return key in self._due or key not in self._looks

    def there(self, key: Key) -> Body | None:
        """Return the Secret as it was when it was looked at last, now if that is long ago; None when there is none."""
        look = self._looks.get(key)
        if look is None or key in self._due:
            self._due.discard(key)
            look = self._look(key)
        return look.body

    def bring(self, wanted: Body) -> None:
        """Make a Secret of ours what is wanted; one that is so already is not written. Raises NameTaken for others'."""
        metadata = wanted["metadata"]
        key = metadata["namespace"], metadata["name"]
        stored = self.there(key)
        if stored is not None and is_as_wanted(wanted, stored):
            return
        stored = self._look(key).body  # what was remembered may be old
        if stored is not None and not self._is_ours(stored):
            raise NameTaken(f"Secret {key[0]}/{key[1]} is there already, and not ours: rename it or delete it")
        stored = self._api.apply(SECRET, wanted, is_ours=True)
        mended = replacement(wanted, stored)
        if mended is not None:
            stored = self._api.rewrite(SECRET, stored, mended)
        self._looks[key] = _Look(_slim(stored), self._clock_s())

    def remove(self, key: Key) -> None:
        """Delete our Secret of that name, if there is one."""
        body = self._look(key).body
        if body is not None and self._is_ours(body):
            self._api.delete(SECRET, *key, uid=body["metadata"]["uid"])
        self._looks.pop(key, None)

    def _is_ours(self, body: Body) -> bool:
        return (body["metadata"].get("labels") or {}).get(FLEET_LABEL) == self._fleet

    def _look(self, key: Key) -> _Look:
        try:
            data: bytes | None = _slim(self._api.get(SECRET, *key))
        except NotFound:
            data = None
        look = self._looks[key] = _Look(data, self._clock_s())
        return look


def _slim(body: Body) -> bytes:
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return msgspec.json.encode({**body, "metadata": metadata})
