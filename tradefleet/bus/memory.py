"""The bus in memory: the twin that simulations drive. Deterministic, without clock and threads.

It keeps the port's contract. Waiting is pointless in one thread: `poll` returns at once, whatever its timeout.
"""

from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Self

from tradefleet.bus.errors import BrokerReplaced, BrokerUnavailable, NotDelivered, PositionLost
from tradefleet.bus.memory_broker import MemoryBroker, MemoryTopic
from tradefleet.bus.ports import Offsets, OnDelivery, Record, Source, Start
from tradefleet.messages.topics import Topic, find_topic


class MemoryBus:
    """A process's connection to the broker in memory. `client` is the name faults know it by."""

    def __init__(self, broker: MemoryBroker, client: str = "client") -> None:
        self._broker = broker
        self._client = client
        self._unsent: list[tuple[str, str, bytes, OnDelivery | None]] = []
        self._answers: list[tuple[OnDelivery | None, NotDelivered | None]] = []
        self._failed: list[NotDelivered] = []

    def publish(self, topic: str, key: str, value: bytes, on_delivery: OnDelivery | None = None) -> None:
        """Send a message; its fate is decided when it leaves."""
        self._unsent.append((find_topic(topic).name, key, value, on_delivery))
        self._send()

    def serve(self) -> None:
        """Run the callbacks of deliveries that are known by now."""
        self._send()
        answers, self._answers = self._answers, []
        for on_delivery, error in answers:
            if error is not None:
                self._failed.append(error)
            if on_delivery is not None:
                on_delivery(error)

    def flush(self, timeout_us: int) -> None:  # noqa: ARG002 - nothing changes while one thread waits
        """Return when all that was published is acknowledged. Raises NotDelivered."""
        self.serve()
        failed, self._failed = self._failed, []
        if failed:
            raise failed[0]
        if self._unsent:
            topic, key, _, _ = self._unsent[0]
            raise NotDelivered(f"{len(self._unsent)} messages are not acknowledged, the first to {topic} for {key}")

    def _send(self) -> None:
        if not self._unsent or not self._reachable():
            return
        unsent, self._unsent = self._unsent, []
        for topic, key, value, on_delivery in unsent:
            error = None
            if not self._broker.send(topic, key, value):
                error = NotDelivered(f"1 message is not acknowledged: to {topic} for {key}")
            self._answers.append((on_delivery, error))

    def reader(self, sources: Sequence[Source]) -> "MemoryReader":
        """Open a reader."""
        self._require()
        return MemoryReader(self._broker, self._client, sources)

    def journal(self, topic: str, key: str) -> "MemoryJournal":
        """Become the only writer of `key` in `topic`."""
        self._require()
        return MemoryJournal(self._broker, self._client, topic, key)

    def ensure_topics(self, topics: Collection[Topic]) -> None:
        """Create what is missing."""
        self._require()
        for topic in topics:
            self._broker.create(topic)

    def cluster_id(self) -> str:
        """Return the id of the broker's data."""
        self._require()
        return self._broker.cluster_id

    def topic_id(self, topic: str) -> str:
        """Return the id the topic got when it was created."""
        self._require()
        return self._broker.log(topic).topic_id

    def offsets(self, topic: str) -> dict[int, Offsets]:
        """Return what each partition holds now."""
        self._require()
        return {number: Offsets(0, len(records)) for number, records in enumerate(self._broker.log(topic).partitions)}

    def close(self) -> None:
        """Give up what is still unsent: its callbacks never run, as after a crash."""
        self._unsent.clear()
        self._answers.clear()

    def _reachable(self) -> bool:
        return self._broker.is_reachable(self._client)

    def _require(self) -> None:
        if not self._reachable():
            raise BrokerUnavailable("the broker in memory cannot be reached")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryReader:
    """Reads its sources in their order, partition by partition."""

    def __init__(self, broker: MemoryBroker, client: str, sources: Sequence[Source]) -> None:
        self._broker = broker
        self._client = client
        self._cluster_id = broker.cluster_id
        self._places: list[_Place] = []
        for source in sources:
            log = broker.log(source.topic)
            wanted = None if source.keys is None else {log.spec.partition(key) for key in source.keys}
            for number in range(len(log.partitions)):
                if wanted is None or number in wanted:
                    self._places.append(_Place(log, number, _first_offset(source, log, number), source.keys))

    def poll(self, max_messages: int, timeout_us: int) -> list[Record]:  # noqa: ARG002 - see the module
        """Return what arrived. Raises BrokerUnavailable, PositionLost, BrokerReplaced."""
        if not self._broker.is_reachable(self._client):
            raise BrokerUnavailable("the broker in memory cannot be reached")
        if self._broker.cluster_id != self._cluster_id:
            raise BrokerReplaced(f"the cluster is {self._broker.cluster_id}, was {self._cluster_id}")
        found: list[Record] = []
        for place in self._places:
            place.read(found, max_messages)
        return found

    @property
    def at_end(self) -> bool:
        """True when everything has been returned."""
        return all(place.offset >= len(place.log.partitions[place.number]) for place in self._places)

    def close(self) -> None:
        """Forget the places."""
        self._places.clear()


def _first_offset(source: Source, log: MemoryTopic, number: int) -> int:
    if source.start is Start.BEGINNING:
        return 0
    if source.start is Start.END:
        return len(log.partitions[number])
    return source.start.get(number, len(log.partitions[number]))


class _Place:
    """Where a reader stands in one partition."""

    __slots__ = ("keys", "log", "number", "offset")

    def __init__(self, log: MemoryTopic, number: int, offset: int, keys: frozenset[str] | None) -> None:
        self.log = log
        self.number = number
        self.offset = offset
        self.keys = keys

    def read(self, found: list[Record], max_messages: int) -> None:
        records = self.log.partitions[self.number]
        if self.offset > len(records):
            raise PositionLost(f"{self.log.spec.name}/{self.number} ends at {len(records)}, asked for {self.offset}")
        while self.offset < len(records) and len(found) < max_messages:
            record = records[self.offset]
            self.offset += 1
            if self.keys is None or record.key in self.keys:
                found.append(record)


class MemoryJournal:
    """The writer of one key, fenced by the broker's epochs."""

    def __init__(self, broker: MemoryBroker, client: str, topic: str, key: str) -> None:
        self._broker = broker
        self._client = client
        self._topic = find_topic(topic).name
        self._key = key
        self._epoch = broker.open_journal(self._topic, key)

    def append(self, values: Sequence[bytes]) -> list[int]:
        """Write all values or none and return their offsets."""
        self._require()
        return self._broker.append_journal(self._topic, self._key, self._epoch, values)

    def read(self, from_offset: int = 0) -> Iterator[Record]:
        """Return the records at `from_offset` and after, up to the end as it is now."""
        self._require()
        log = self._broker.log(self._topic)
        records = log.partitions[log.spec.partition(self._key)]
        return iter([record for record in records[from_offset:] if record.key == self._key])

    def close(self) -> None:
        """Nothing to let go of."""

    def _require(self) -> None:
        if not self._broker.is_reachable(self._client):
            raise BrokerUnavailable("the broker in memory cannot be reached")
