"""Numbered streams over a bus that may lose, double and reorder, mended from what was committed (rules 5 to 7).

Positions are stream numbers, never Kafka offsets. A reader opens at the end of its topics, takes what it missed from
the database and goes on with the bus: what it has is skipped, a gap is filled from the database, and a broker that is
away or was wiped is the same case again. So everything here is correct without the bus; with it, it is fast.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import merge
from itertools import takewhile
from typing import NamedTuple

from tradefleet.bus.errors import BrokerUnavailable, BusFull, NotDelivered, PositionLost
from tradefleet.bus.ports import Bus, Reader, Record, Source
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import BARS_STREAMS, StreamName
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.convert import bar_of
from tradefleet.messages.market import BarClosed
from tradefleet.runtime.ports import Clock, StreamItem
from tradefleet.store.ports import OutboxMessage, StreamStore

MESSAGES_MAX = 500  # taken from the bus or the database at a time
GRACE_US = 20_000  # how long a message that was committed may take through the bus before the database is asked
WAIT_US_MIN = 1_000  # a client of the bus counts in milliseconds: for less it would not wait at all
REOPEN_US = 1_000_000  # between two tries to reach a broker
LOOK_US = 5_000_000  # between two looks into the database, should the bus have lost a stream's last message
ASK_TOGETHER = 8  # streams of which the database is asked at once how far they go
MARK_US = 1_000_000  # between two writings of published marks


class Place(NamedTuple):
    """Where a stream travels: topic and key."""

    topic: str
    key: str


OnUndecodable = Callable[[Record, UndecodableMessage], None]


class NumberedStreams:
    """Reads streams, each gapless from the position given. `wakes` are places whose messages only wake the reader up:
    they come out as items of their stream without a payload. Of `whole_topics` every key is read, for readers whose
    streams come and go: a new one then needs no new connection.
    """

    def __init__(
        self,
        bus: Bus,
        store: StreamStore,
        clock: Clock,
        places: Mapping[StreamName, Place],
        *,
        wakes: Collection[Place] = (),
        whole_topics: Collection[str] = (),
        on_undecodable: OnUndecodable | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._places = dict(places)
        self._wakes = {(place.topic, place.key) for place in wakes}
        self._whole_topics = frozenset(whole_topics)
        self._on_undecodable = on_undecodable
        self._read_from: list[Source] = []
        self._reader: Reader | None = None
        self._reopen_at_us = 0
        self._look_at_us = 0
        self._positions: dict[StreamName, int] = {}
        self._behind: set[StreamName] = set()  # streams to be caught up with from the database
        self._waiting: dict[StreamName, list[StreamItem]] = {}  # read ahead of what `until` was asked for

    def start(self, positions: Mapping[StreamName, int]) -> None:
        """Begin after these numbers."""
        self.close()
        self._set_out(positions)
        self._open()

    def know(self, places: Mapping[StreamName, Place]) -> None:
        """Learn where more streams travel."""
        self._places |= places

    def follow(self, positions: Mapping[StreamName, int]) -> None:
        """Go on with these streams after these numbers, over the connection that there is if it brings all of them."""
        self._set_out(positions)
        if self._reader is None or self._sources() != self._read_from:
            self.close()
            self._open()

    def _set_out(self, positions: Mapping[StreamName, int]) -> None:
        self._positions = dict(positions)
        self._waiting = {stream: [] for stream in positions}
        self._behind = set(positions)

    def close(self) -> None:
        """Let go of the broker."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> None:
        """Open a reader at the end; whatever is before it comes from the database."""
        sources = self._read_from = self._sources()
        self._behind = set(self._positions)
        try:
            self._reader = self._bus.reader(sources) if sources else None
        except Retryable:
            self._reader = None
            self._reopen_at_us = self._clock.monotonic_us() + REOPEN_US

    def _sources(self) -> list[Source]:
        """Return what brings the streams."""
        wanted: dict[str, set[str]] = {}
        for stream in self._positions:
            wanted.setdefault(self._places[stream].topic, set()).add(self._places[stream].key)
        for topic, key in self._wakes:
            wanted.setdefault(topic, set()).add(key)
        return [
            Source(topic=topic, keys=None if topic in self._whole_topics else frozenset(keys))
            for topic, keys in sorted(wanted.items())
        ]

    # --- reading in the order of arrival --------------------------------------------------------------------------

    def poll(self, timeout_us: int) -> list[StreamItem]:
        """Return what came next, in the order of arrival; empty after the timeout.

        A message that got lost shows as a gap when the next one comes. For the one after which nothing comes, the
        database is asked now and then.
        """
        now_us = self._clock.monotonic_us()
        if now_us >= self._look_at_us:
            self._look_at_us = now_us + LOOK_US
            self._behind = set(self._positions)
        items = self._catch_up() if self._behind or any(self._waiting.values()) else []
        if not self._behind:
            items += self._read(0 if items else timeout_us)
        return items

    def _catch_up(self) -> list[StreamItem]:
        """Return what the database holds beyond the positions, of all streams together in the order of market time.

        One stream after the other would show a machine one instrument's future beside another's past. What is later
        than the last message of a stream that has more to come waits for the next call.
        """
        horizon_us: int | None = None
        self._pass_over()
        for stream in sorted(self._behind):
            waiting = self._waiting[stream]
            if len(waiting) < MESSAGES_MAX:
                found = self._from_store(stream, self._positions[stream], MESSAGES_MAX)
                waiting += found
                if found:
                    self._positions[stream] = found[-1].seq
                if len(found) < MESSAGES_MAX:
                    self._behind.discard(stream)
                    continue
            last_us = waiting[-1].market_us
            horizon_us = last_us if horizon_us is None else min(horizon_us, last_us)
        return self._take_waiting(horizon_us)

    def _pass_over(self) -> None:
        """Ask of many streams at once how far they go, and look no further into those that bring nothing."""
        if len(self._behind) < ASK_TOGETHER:
            return
        heads = self._store.last_seqs(self._behind)
        self._behind = {
            stream for stream in self._behind if self._waiting[stream] or heads.get(stream, 0) > self._positions[stream]
        }

    def _take_waiting(self, until_us: int | None) -> list[StreamItem]:
        """Return what was read ahead, up to a market time; each stream keeps its order."""
        ripe: list[list[StreamItem]] = []
        for stream, waiting in self._waiting.items():
            taken = [*takewhile(lambda item: until_us is None or item.market_us <= until_us, waiting)]
            self._waiting[stream] = waiting[len(taken) :]
            ripe.append(taken)
        return list(merge(*ripe, key=_turn))

    def _read(self, timeout_us: int) -> list[StreamItem]:
        if not self._has_reader():
            self._clock.sleep_us(timeout_us)
            self._behind = set(self._positions)  # no broker: the next call looks into the database
            return []
        assert self._reader is not None
        try:
            records = self._reader.poll(MESSAGES_MAX, timeout_us)
        except (BrokerUnavailable, PositionLost):
            self.close()
            self._reopen_at_us = self._clock.monotonic_us()
            self._behind = set(self._positions)
            return []
        items: list[StreamItem] = []
        for record in records:
            items += self._offer(record)
        return items

    def _offer(self, record: Record) -> list[StreamItem]:
        """Return what a record brings: nothing new, the next item, or the items of a gap and then it."""
        try:
            message = decode(record.value)
        except UndecodableMessage as error:
            if self._on_undecodable is not None:
                self._on_undecodable(record, error)
            return []
        stream = StreamName(message.stream)
        position = self._positions.get(stream)
        if position is None:
            is_wake = (record.topic, record.key) in self._wakes
            return [StreamItem(stream, message.stream_seq)] if is_wake else []
        seq = message.stream_seq
        if seq <= position:
            return []
        if seq > position + 1:
            items = self._from_store(stream, position, seq - position)
            if items:
                self._positions[stream] = items[-1].seq
            if not items or items[-1].seq < seq:
                self._behind.add(stream)  # a message that nobody committed is not believed
            return items
        self._positions[stream] = seq
        bar = bar_of(message) if isinstance(message, BarClosed) else None
        if bar is not None:
            return [StreamItem(stream, seq, bar, market_us=bar.close_us)]
        return [StreamItem(stream, seq, None, record.value, message.event_time_us)]

    def _from_store(self, stream: StreamName, after: int, limit: int) -> list[StreamItem]:
        if stream.startswith(BARS_STREAMS):
            bars = self._store.read_bars(stream, after=after, limit=limit)
            return [StreamItem(stream, seq, bar, market_us=bar.close_us) for seq, bar in bars]
        messages = self._store.read_stream(stream, after=after, limit=limit)
        return [StreamItem(stream, message.seq, None, message.payload, message.market_us) for message in messages]

    # --- reading what a lockstep run told of ----------------------------------------------------------------------

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        """Return, per stream, all items after the position up to the given number, which is known to be committed.

        The bus gets a moment to bring them, then the database is asked.
        """
        give_up_us = self._clock.monotonic_us() + GRACE_US
        while (lacking := self._lacking(heads)) and self._has_reader() and self._behind.isdisjoint(lacking):
            left_us = give_up_us - self._clock.monotonic_us()
            if left_us < WAIT_US_MIN:
                break
            for item in self._read(left_us):
                self._keep(item)
        for stream in lacking:
            # With all that there is beyond it, since what was published before we listened does not come by the bus.
            missing = heads[stream] - self._positions[stream]
            for item in self._from_store(stream, self._positions[stream], max(missing, MESSAGES_MAX)):
                self._positions[stream] = item.seq
                self._keep(item)
        self._behind.difference_update(lacking)
        return {stream: self._cut(stream, head) for stream, head in heads.items()}

    def _has_reader(self) -> bool:
        """Return whether there is a way to the broker; one that was lost is looked for now and then."""
        if self._reader is None and self._clock.monotonic_us() >= self._reopen_at_us:
            self._open()
        return self._reader is not None

    def _keep(self, item: StreamItem) -> None:
        if item.stream in self._waiting:
            self._waiting[item.stream].append(item)

    def _lacking(self, heads: Mapping[StreamName, int]) -> list[StreamName]:
        return [stream for stream, head in heads.items() if self._positions[stream] < head]

    def _cut(self, stream: StreamName, head: int) -> list[StreamItem]:
        waiting = self._waiting[stream]
        taken = [item for item in waiting if item.seq <= head]
        self._waiting[stream] = waiting[len(taken) :]
        return taken


def _turn(item: StreamItem) -> tuple[int, bool, str]:
    """Return where an item stands among those of other streams: executions before bars (rule 20)."""
    return (item.market_us, item.bar is not None, item.stream)


class OutboxPublisher:
    """Publishes committed messages and keeps the published marks, so that nothing stays behind (rule 6).

    `encode_bar` makes the message of a bar, for those who publish bar streams.
    """

    def __init__(
        self,
        bus: Bus,
        store: StreamStore,
        clock: Clock,
        encode_bar: Callable[[StreamName, int, Bar], OutboxMessage] | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._encode_bar = encode_bar
        self._reached: dict[StreamName, int] = {}  # everything up to this number has been delivered
        self._beyond: dict[StreamName, set[int]] = {}  # delivered above it, with gaps
        self._fresh: set[StreamName] = set()  # their marks are not written yet
        self._broken: set[StreamName] = set()  # a delivery failed: to be swept
        self._mark_at_us = 0

    def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Send messages that are committed; their delivery is noted when it is known."""
        for message in messages:
            try:
                self._bus.publish(message.topic, message.key, message.payload, self._noter(message))
            except BusFull:
                self._broken.add(message.stream)
        self.serve()

    def announce(self, topic: str, key: str, payload: bytes) -> None:
        """Send a message without effects: a lost one is not sent again."""
        with contextlib.suppress(BusFull):  # figures that nobody takes may be dropped
            self._bus.publish(topic, key, payload)

    def forget(self, stream: StreamName) -> None:
        """Let go of a stream that somebody else writes from here on."""
        self._reached.pop(stream, None)
        self._beyond.pop(stream, None)
        self._fresh.discard(stream)
        self._broken.discard(stream)

    def is_delivered(self, stream: StreamName, seq: int) -> bool:
        """Return whether all up to `seq` has been delivered, of a stream that was swept at the start."""
        return self._reached.get(stream, seq) >= seq

    def serve(self) -> None:
        """Note deliveries; now and then write the marks and send again what failed. Never raises for the broker."""
        self._bus.serve()
        now_us = self._clock.monotonic_us()
        if now_us < self._mark_at_us:
            return
        self._mark_at_us = now_us + MARK_US
        if self._fresh:
            fresh, self._fresh = self._fresh, set()
            self._store.mark_published({stream: self._reached[stream] for stream in sorted(fresh)})
        if self._broken:
            broken, self._broken = self._broken, set()
            self.sweep(sorted(broken))

    def sweep(self, streams: Iterable[StreamName]) -> None:
        """Publish again what these streams hold above their published marks."""
        streams = list(streams)
        plain = [stream for stream in streams if not stream.startswith(BARS_STREAMS)]
        found = self._store.unpublished(plain, limit=MESSAGES_MAX) if plain else []
        self.publish(found)
        reached = {message.stream: message.seq for message in found}
        # One question is enough for the many streams of a shared host, unless much was left behind.
        rest = plain if len(found) == MESSAGES_MAX else []
        for stream in [*rest, *(stream for stream in streams if stream.startswith(BARS_STREAMS))]:
            self._sweep_stream(stream, reached.get(stream) or self._store.published_seq(stream))

    def _sweep_stream(self, stream: StreamName, after: int) -> None:
        """Publish what a stream holds above `after`, piece by piece, until the end or until the bus takes no more."""
        while stream not in self._broken:
            messages = self._committed(stream, after)
            self.publish(messages)
            if len(messages) < MESSAGES_MAX:
                return
            after = messages[-1].seq

    def _committed(self, stream: StreamName, after: int) -> list[OutboxMessage]:
        if not stream.startswith(BARS_STREAMS):
            return self._store.read_stream(stream, after=after, limit=MESSAGES_MAX)
        assert self._encode_bar is not None, "a publisher of bars must know how to encode them"
        found = self._store.read_bars(stream, after=after, limit=MESSAGES_MAX)
        return [self._encode_bar(stream, seq, bar) for seq, bar in found]

    def _noter(self, message: OutboxMessage) -> Callable[[NotDelivered | None], None]:
        # The first message of a stream follows on its mark: whoever publishes has swept it before.
        self._reached.setdefault(message.stream, message.seq - 1)

        def note(error: NotDelivered | None) -> None:
            if error is None:
                self._note_delivered(message.stream, message.seq)
            elif message.stream in self._reached:
                self._broken.add(message.stream)

        return note

    def _note_delivered(self, stream: StreamName, seq: int) -> None:
        """Move the mark over numbers without a gap only: answers come late, and of several copies."""
        reached = self._reached.get(stream)
        if reached is None or seq <= reached:
            return  # another one's stream by now, or told before
        beyond = self._beyond.setdefault(stream, set())
        beyond.add(seq)
        while reached + 1 in beyond:
            reached += 1
            beyond.remove(reached)
        if reached > self._reached[stream]:
            self._reached[stream] = reached
            self._fresh.add(stream)
