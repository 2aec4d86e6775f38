"""The bus as a port: publish, read, and append to a journal. Kafka and the twin in memory stand behind it.

Topics are named without the installation's prefix. Offsets are never state: they are where a live reader stands, no
more (rule 7). Whoever has effects numbers its streams and keeps positions in the database.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import msgspec

from tradefleet.bus.errors import NotDelivered
from tradefleet.messages.topics import Topic

OnDelivery = Callable[[NotDelivered | None], None]
"""Called once per message, with None when the broker has it. Never from inside `publish`."""


class Record(NamedTuple):
    """A message as it was read."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


class Offsets(NamedTuple):
    """The first offset that a partition still has, and the one that its next message will get."""

    first: int
    end: int


class Start(Enum):
    """Where a reader starts."""

    BEGINNING = "beginning"
    END = "end"  # only what is published from now on


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What to read of one topic: some keys or (None) all of them. `start` may give an offset for each partition."""

    topic: str
    keys: frozenset[str] | None = None
    start: Start | Mapping[int, int] = Start.END


class Reader(Protocol):
    """Reads its sources from where it was opened. The start is fixed when the constructor returns."""

    def poll(self, max_messages: int, timeout_us: int) -> list[Record]:
        """Return what arrived, at most `max_messages`, after waiting for a first one at most `timeout_us`.

        Raises BrokerUnavailable (poll again later), PositionLost and BrokerReplaced (open a new reader).
        """

    @property
    def at_end(self) -> bool:
        """True when everything that was published by the last `poll` has been returned."""

    def close(self) -> None:
        """Let go of the broker."""


class Journal(Protocol):
    """The one writer of a key in a topic that is replayed. Opening it fences whoever held it before."""

    def append(self, values: Sequence[bytes]) -> list[int]:
        """Write all values or none and return their offsets once they are durable.

        Raises Fenced when somebody opened the journal after us, Retryable when nothing was written, OutcomeUnknown
        when the values may or may not be there: open again and read.
        """

    def read(self, from_offset: int = 0) -> Iterator[Record]:
        """Return the records at `from_offset` and after, up to the end as it is at the call.

        `from_offset` is 0 or follows a record that was read or appended.
        """

    def close(self) -> None:
        """Let go of the broker."""


class Bus(Protocol):
    """Publishing, reading, and the little administration that every process may do."""

    def publish(self, topic: str, key: str, value: bytes, on_delivery: OnDelivery | None = None) -> None:
        """Send a message, in the order of calls per key. Raises BusFull; later failures show in `flush`.

        The broker's answer reaches `on_delivery` during `serve` or `flush`; who publishes calls one of them now and
        then, since a message counts as waiting until its answer was taken.
        """

    def serve(self) -> None:
        """Run the callbacks of deliveries that are known by now. Does not wait."""

    def flush(self, timeout_us: int) -> None:
        """Return when all that was published is acknowledged. Raises NotDelivered, naming what was not."""

    def reader(self, sources: Sequence[Source]) -> Reader:
        """Open a reader. Raises BrokerUnavailable, and Retryable when a topic is not there yet."""

    def journal(self, topic: str, key: str) -> Journal:
        """Become the only writer of `key` in `topic`, fencing any other. Raises BrokerUnavailable."""

    def ensure_topics(self, topics: Collection[Topic]) -> None:
        """Create what is missing. Raises BrokerUnavailable, TopicMismatch."""

    def cluster_id(self) -> str:
        """Return the id of the cluster: another one means another broker's data. Raises BrokerUnavailable."""

    def topic_id(self, topic: str) -> str:
        """Return the id the topic got when it was created. Raises BrokerUnavailable, Retryable when it is missing."""

    def offsets(self, topic: str) -> dict[int, Offsets]:
        """Return what each partition holds now. Raises BrokerUnavailable."""

    def close(self) -> None:
        """Give up what is still unsent and let go of the broker. `flush` first to keep it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
