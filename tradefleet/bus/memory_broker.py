"""The broker in memory: what the twins of the bus share, and what can go wrong with it.

What Kafka does badly now and then is asked of a `Faults` object, so a simulation's seed decides it.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

from tradefleet.bus.errors import TopicMismatch
from tradefleet.bus.ports import Record
from tradefleet.domain.errors import Fenced, OutcomeUnknown, Retryable
from tradefleet.messages.topics import Topic, find_topic


class Fate(NamedTuple):
    """What becomes of a published message.

    `copies` has one entry for each copy that arrives: after how many ticks of the broker (0 = at once). No entry is a
    lost message, two are a duplicate, a larger delay than the next message's is a reordering. `acknowledged` is what
    the publisher is told.
    """

    copies: tuple[int, ...] = (0,)
    acknowledged: bool = True


class AppendFate(Enum):
    """What becomes of an append to a journal."""

    DONE = "done"
    NOTHING_WRITTEN = "nothing written"
    WRITTEN_UNKNOWN = "written, but the writer is not told"
    NOTHING_UNKNOWN = "not written, and the writer is not told"


class Faults(Protocol):
    """Decides faults; a simulation's seed stands behind it."""

    def publish(self, topic: str, key: str) -> Fate:
        """Return the fate of a message that is being published."""

    def append(self, topic: str, key: str) -> AppendFate:
        """Return the fate of an append."""

    def is_cut_off(self, client: str) -> bool:
        """Return whether the client cannot reach the broker now: it reads nothing, and what it sends waits."""


_ARRIVES: Final = Fate()


class MemoryTopic:
    """One topic's partitions. `topic_id` tells it from a topic of the same name in a wiped broker."""

    __slots__ = ("partitions", "spec", "topic_id")

    def __init__(self, spec: Topic, topic_id: str) -> None:
        self.spec = spec
        self.topic_id = topic_id
        self.partitions: list[list[Record]] = [[] for _ in range(spec.partitions)]


class MemoryBroker:
    """What all buses of one simulated fleet share."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults
        self._generation = 1  # of the data: a wipe starts another
        self._stopped = False
        self._logs: dict[str, MemoryTopic] = {}
        self._delayed: list[tuple[int, str, str, bytes]] = []  # (tick at which it arrives, topic, key, value)
        self._tick = 0
        self._journal_epochs: dict[tuple[str, str], int] = {}
        self._topics_created = 0

    @property
    def cluster_id(self) -> str:
        """The id of the data."""
        return f"memory-{self._generation}"

    def is_reachable(self, client: str) -> bool:
        """Return whether `client` can reach the broker now."""
        return not self._stopped and not (self._faults is not None and self._faults.is_cut_off(client))

    def stop(self) -> None:
        """Become unreachable for everybody; the data stay."""
        self._stopped = True

    def start(self) -> None:
        """Become reachable again."""
        self._stopped = False

    def delete(self, topic: str) -> None:
        """Lose one topic; one that is made under its name has another id."""
        del self._logs[topic]

    def wipe(self) -> None:
        """Lose everything and be another cluster."""
        self._generation += 1
        self._logs.clear()
        self._delayed.clear()
        self._journal_epochs.clear()

    def tick(self) -> None:
        """Let time pass: delayed messages come one tick nearer."""
        self._tick += 1
        due = [item for item in self._delayed if item[0] <= self._tick]
        if due:
            self._delayed = [item for item in self._delayed if item[0] > self._tick]
            for _, topic, key, value in due:
                self._append(topic, key, value)

    def send(self, topic: str, key: str, value: bytes) -> bool:
        """Take a message from a bus; return whether it is acknowledged."""
        log = self._logs.get(topic)
        if log is None:
            return False
        fate = _ARRIVES if self._faults is None else self._faults.publish(topic, key)
        for delay in fate.copies:
            if delay:
                self._delayed.append((self._tick + delay, topic, key, value))
            else:
                self._append(topic, key, value)
        return fate.acknowledged

    def _append(self, topic: str, key: str, value: bytes) -> int:
        log = self._logs.get(topic)
        if log is None:  # wiped while the message was under way
            return -1
        number = log.spec.partition(key)
        partition = log.partitions[number]
        offset = len(partition)
        partition.append(Record(topic, number, offset, key, value))
        return offset

    def create(self, topic: Topic) -> None:
        """Create a topic that is missing. Raises TopicMismatch."""
        log = self._logs.get(topic.name)
        if log is None:
            self._topics_created += 1
            self._logs[topic.name] = MemoryTopic(topic, f"topic-{self._topics_created}")
        elif len(log.partitions) != topic.partitions:
            raise TopicMismatch(
                f"topic {topic.name} has {len(log.partitions)} partitions, the fleet's has {topic.partitions}"
            )

    def log(self, topic: str) -> MemoryTopic:
        """Return a topic's log. Raises Retryable when it is missing."""
        log = self._logs.get(find_topic(topic).name)
        if log is None:
            raise Retryable(f"topic {topic} does not exist yet")
        return log

    def open_journal(self, topic: str, key: str) -> int:
        """Return a new epoch for the key's writer; lower ones are fenced."""
        self.log(topic)
        epoch = self._journal_epochs.get((topic, key), 0) + 1
        self._journal_epochs[topic, key] = epoch
        return epoch

    def append_journal(self, topic: str, key: str, epoch: int, values: Sequence[bytes]) -> list[int]:
        """Write all values or none. Raises Fenced, Retryable, OutcomeUnknown."""
        newest = self._journal_epochs.get((topic, key), 0)
        if epoch != newest:
            raise Fenced(f"journal {key} in {topic}: opened again (epoch {newest}), ours is {epoch}")
        fate = AppendFate.DONE if self._faults is None else self._faults.append(topic, key)
        if fate is AppendFate.NOTHING_WRITTEN:
            raise Retryable(f"journal {key} in {topic}: nothing was written")
        if fate is AppendFate.NOTHING_UNKNOWN:
            raise OutcomeUnknown(f"journal {key} in {topic}: the append may have happened")
        offsets = [self._append(topic, key, value) for value in values]
        if fate is AppendFate.WRITTEN_UNKNOWN:
            raise OutcomeUnknown(f"journal {key} in {topic}: the append may have happened")
        return offsets
