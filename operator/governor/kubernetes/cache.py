"""What is in the cluster, as far as watches and lists have told. Watches are quick, lists are certain.

Objects are kept as JSON and not as dictionaries, which take five times the memory: at a thousand bots there are some
thousands of them, and few are looked at before they change. Watches and lists overtake each other, so of two reports
about an object the one with the higher resourceVersion counts, and a deletion is remembered until every list that
could still show the object is over.

What a list or the answer to a write tells, a watch has to tell as well, soon after. That is how a watch that has died
without a word is found out, and every write of ours is a test of it.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from tradefleet.domain.errors import Retryable

from .client import POD, Body, Kind, Listing, key_of, number_of

GRAVES_MAX: Final = 100_000  # deletions that are remembered; a list is over long before so many came after it

OWED_S_MAX: Final = 45.0  # a watch that was cut off comes back sooner

Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as it was at `version`."""

    uid: str
    version: int
    data: bytes

    def body(self) -> Body:
        """Return the object, a copy that may be changed."""
        found: Body = msgspec.json.decode(self.data)
        return found


@dataclass(frozen=True, slots=True)
class _Owed:
    """What a watch has to tell of an object: the first version that it has not, the last one, and since when."""

    first: int
    last: int
    since_s: float


class Cache:
    """Objects by kind and key. Any thread may use it; `wake` is called after each change, from the thread of it."""

    def __init__(self, wake: Callable[[], None] = lambda: None, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._wake = wake
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._entries: dict[str, dict[Key, Entry]] = {}
        self._graves: dict[str, int] = {}  # version of the deletion, by UID
        self._listed: set[tuple[str, str]] = set()  # kind and namespace
        self._owed: dict[tuple[str, Key], _Owed] = {}
        self._changes = 0

    def offer(self, kind: Kind, body: Body, *, is_gone: bool = False, is_watched: bool = False) -> None:
        """Take in what a watch, or the answer to a write, says of an object."""
        entry = _entry(kind, body)
        key = key_of(body)
        with self._lock:
            entries = self._entries.setdefault(kind.kind, {})
            old = entries.get(key)
            if is_watched:
                self._settle(kind, key, entry.version, is_gone=is_gone)
            if is_gone:
                self._bury(entry.uid, entry.version)
                if old is None or old.uid != entry.uid:
                    return
                del entries[key]
            elif not self._take(entries, key, entry):
                return
            elif not is_watched:
                self._owe(kind, key, entry.version)
            self._changes += 1
        self._wake()

    def refresh(self, kind: Kind, namespace: str, listing: Listing) -> None:
        """Take in all objects of a kind in a namespace; what is not among them and not newer is gone."""
        changed = False
        with self._lock:
            entries = self._entries.setdefault(kind.kind, {})
            there = set()
            for each in listing.items:
                there.add(each.key)
                if self._is_news(entries, each.key, each.uid, each.version):
                    entries[each.key] = _entry(kind, each.body())
                    changed = True
                    self._owe(kind, each.key, each.version)
            for key in [key for key in entries if key[0] == namespace and key not in there]:
                if entries[key].version <= listing.version:
                    del entries[key]
                    self._owed.pop((kind.kind, key), None)
                    changed = True
            self._listed.add((kind.kind, namespace))
            self._changes += changed
        if changed:
            self._wake()

    def forget(self, kinds: Collection[Kind], namespace: str) -> None:
        """Know of nothing in a namespace that is gone, or in which there is nothing of ours any more."""
        with self._lock:
            for kind in kinds:
                entries = self._entries.setdefault(kind.kind, {})
                for key in [key for key in entries if key[0] == namespace]:
                    del entries[key]
                    self._changes += 1
                self._listed.add((kind.kind, namespace))
            self._owed = {place: owed for place, owed in self._owed.items() if place[1][0] != namespace}
        self._wake()

    def check_watches(self) -> None:
        """Raise Retryable when a watch has not told for long what was learnt in another way."""
        with self._lock:
            now_s = self._clock_s()
            late = [place for place, owed in self._owed.items() if now_s - owed.since_s > OWED_S_MAX]
        if late:
            kind, (namespace, name) = late[0]
            raise Retryable(f"the watch of {kind} is silent: it has not told of {namespace}/{name} ({len(late)} late)")

    def _owe(self, kind: Kind, key: Key, version: int) -> None:
        owed = self._owed.get((kind.kind, key))
        first, since_s = (version, self._clock_s()) if owed is None else (owed.first, owed.since_s)
        self._owed[kind.kind, key] = _Owed(first, version, since_s)

    def _settle(self, kind: Kind, key: Key, version: int, *, is_gone: bool) -> None:
        owed = self._owed.get((kind.kind, key))
        if owed is None or version < owed.first:
            return
        if is_gone or version >= owed.last:
            del self._owed[kind.kind, key]
        else:  # it follows, a little behind
            self._owed[kind.kind, key] = _Owed(owed.last, owed.last, self._clock_s())

    def _take(self, entries: dict[Key, Entry], key: Key, new: Entry) -> bool:
        if not self._is_news(entries, key, new.uid, new.version):
            return False
        entries[key] = new
        return True

    def _is_news(self, entries: dict[Key, Entry], key: Key, uid: str, version: int) -> bool:
        old = entries.get(key)
        return version > self._graves.get(uid, -1) and (old is None or version > old.version)

    def _bury(self, uid: str, version: int) -> None:
        self._graves.pop(uid, None)  # so that the newest stand at the end
        self._graves[uid] = version
        while len(self._graves) > GRAVES_MAX:
            del self._graves[next(iter(self._graves))]

    @property
    def changes(self) -> int:
        """How often something has changed."""
        with self._lock:
            return self._changes

    def is_filled(self, kinds: Collection[Kind], namespaces: Collection[str]) -> bool:
        """Return whether every one of these kinds was listed once: before, nothing may be taken for missing."""
        with self._lock:
            return all((kind.kind, namespace) in self._listed for kind in kinds for namespace in namespaces)

    def get(self, kind: Kind, key: Key) -> Entry | None:
        """Return an object, None when there is none."""
        with self._lock:
            return self._entries.get(kind.kind, {}).get(key)

    def all(self, kind: Kind) -> Iterator[tuple[Key, Entry]]:
        """Yield all objects of a kind, as they are now."""
        with self._lock:
            found = list(self._entries.get(kind.kind, {}).items())
        yield from found


def _entry(kind: Kind, body: Body) -> Entry:
    metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    # The items of a list come without kind and apiVersion.
    slim = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    if kind == POD:  # the rest is as in its template, and nobody asks for it
        containers = (body.get("spec") or {}).get("containers") or ()
        slim["spec"] = {"containers": [{part: each.get(part) for part in ("name", "resources")} for each in containers]}
    return Entry(str(metadata.get("uid", "")), number_of(body), msgspec.json.encode(slim))
