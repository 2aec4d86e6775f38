"""A reader over Kafka: partitions are assigned, never negotiated; no offset is ever committed (rule 7)."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tradefleet.bus.errors import BrokerReplaced, PositionLost
from tradefleet.bus.kafka_client import (
    FETCH_WAIT_MS,
    NO_SUCH_TOPIC,
    KafkaSettings,
    identify,
    identify_anew,
    new_consumer,
    translate,
)
from tradefleet.bus.ports import Offsets, Record, Source, Start
from tradefleet.domain.errors import FleetError, Retryable
from tradefleet.messages.topics import find_topic

if TYPE_CHECKING:
    from tradefleet.bus.confluent_format import ConfluentFormat

_LOG: Final = logging.getLogger(__name__)

LEADER_POLL_S: Final = 0.02

_NOT_YET: Final = NO_SUCH_TOPIC | {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
_END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - the library's public name for it
_POSITION_LOST: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
        KafkaError._LOG_TRUNCATION,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
        *NO_SUCH_TOPIC,  # deleted; one that is made anew is another one
    }
)


class KafkaReader:
    """Reads its sources from where it was opened.

    After a lost connection the first thing asked of the broker is who it is: offsets of a wiped one mean nothing, and
    what it holds at the same offsets are other messages.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        sources: Sequence[Source],
        *,
        fetch_wait_ms: int = FETCH_WAIT_MS,
        wire_format: "ConfluentFormat | None" = None,
    ) -> None:
        self._settings = settings
        self._format = wire_format
        self._topics = {settings.topic(source.topic): source for source in sources}
        assert len(self._topics) == len(sources)  # one source a topic: two would read it twice
        self._keys = {
            name: None if source.keys is None else frozenset(key.encode() for key in source.keys)
            for name, source in self._topics.items()
        }
        self._connection_lost = False
        self._held: list[Record] = []
        self._error: FleetError | None = None  # met behind records that are handed out first
        self._consumer = new_consumer(settings, self._on_error, fetch_wait_ms)
        try:
            self._identity = identify(self._consumer, settings, self._topics, settings.check_timeout_ms)
            places = self._start()
        except BaseException:  # a consumer has threads, and while a broker is away we come here again and again
            self._consumer.close()
            raise
        self._unfinished = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)

    def _start(self) -> list[TopicPartition]:
        """Return the wanted partitions with their first offsets."""
        for name in self._topics:
            if name not in self._identity.partitions:
                raise Retryable(f"topic {name} does not exist yet: it is created when the fleet starts")
        places = [
            TopicPartition(name, number) for name in self._topics for number in sorted(self._wanted_partitions(name))
        ]
        found = partition_offsets(
            self._settings,
            self._consumer,
            [place for place in places if self._topics[place.topic].start is not Start.BEGINNING],
        )
        for place in places:
            start = self._topics[place.topic].start
            if start is Start.BEGINNING:
                place.offset = OFFSET_BEGINNING
                continue
            end = found[place.topic, place.partition].end
            place.offset = end if start is Start.END else start.get(place.partition, end)
        return places

    def _wanted_partitions(self, name: str) -> set[int]:
        source = self._topics[name]
        if source.keys is None:
            return set(range(self._identity.partitions[name]))
        topic = find_topic(source.topic)
        return {topic.partition(key) for key in source.keys}

    def poll(self, max_messages: int, timeout_us: int) -> list[Record]:
        """Return what arrived, at most `max_messages`. Raises BrokerUnavailable, PositionLost, BrokerReplaced."""
        if self._connection_lost:
            self._check_identity()
        if not self._held and self._error is None:
            self._held = self._records(self._messages(max_messages, timeout_us))
            if self._connection_lost and self._held:
                self._check_identity()  # nothing is handed out before we know that it is the same broker
        if self._held:
            found, self._held = self._held[:max_messages], self._held[max_messages:]
            return found
        error, self._error = self._error, None
        if error is not None:
            raise error
        return []

    def _messages(self, max_messages: int, timeout_us: int) -> list[Message]:
        first = self._consumer.poll(timeout_us / 1_000_000)
        if first is None:
            return []
        if max_messages == 1:
            return [first]
        # The rest of what is here already: `consume` alone would wait until the batch is full.
        return [first, *self._consumer.consume(max_messages - 1, 0)]

    def _records(self, messages: Sequence[Message]) -> list[Record]:
        found: list[Record] = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_message_error(error, message)
            elif (record := self._record(message)) is not None:
                found.append(record)
        return found

    def _record(self, message: Message) -> Record | None:
        """Return a message as a record; None when its key is not wanted, and for one without a value.

        That is a journal's mark, or says that a compacted topic has forgotten a key.
        """
        name = message.topic() or ""
        partition = message.partition() or 0
        self._unfinished.add((name, partition))
        key = message.key() or b""
        wanted = self._keys[name]
        value = message.value()
        if value is None or (wanted is not None and key not in wanted):
            return None
        return Record(
            self._topics[name].topic,
            partition,
            message.offset() or 0,
            key.decode(errors="replace"),
            value if self._format is None else self._format.from_wire(value),
        )

    def _on_message_error(self, error: KafkaError, message: Message) -> None:
        """Note the end of a partition, or an error for later. Raises PositionLost at once: what came is of no use."""
        name, partition = message.topic() or "", message.partition() or 0
        if error.code() == _END_OF_PARTITION:
            self._unfinished.discard((name, partition))
        elif error.code() in _POSITION_LOST:
            self._check_identity()  # a replaced broker is the likelier reason, and has its own name
            raise PositionLost(f"topic {name}, partition {partition}: {error.str()}")
        else:
            self._error = self._error or translate(error, f"reading {name}")

    def _on_error(self, error: KafkaError) -> None:
        if not self._connection_lost:
            _LOG.warning("broker connection lost: %s", error.str())
        self._connection_lost = True

    def _check_identity(self) -> None:
        """Go on with the same broker. Raises BrokerUnavailable, or BrokerReplaced when it is another one."""
        known = self._identity
        found = identify_anew(self._settings, self._topics, self._settings.check_timeout_ms)
        if found.cluster_id != known.cluster_id:
            raise BrokerReplaced(f"the cluster is {found.cluster_id}, was {known.cluster_id}")
        for name in known.partitions:
            if name not in found.partitions:
                raise BrokerReplaced(f"topic {name} is gone")
        self._connection_lost = False

    @property
    def at_end(self) -> bool:
        """True when the broker said so of every partition, after the last message of it was returned."""
        return not self._unfinished and not self._held

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def partition_offsets(
    settings: KafkaSettings, consumer: Consumer, places: Sequence[TopicPartition]
) -> dict[tuple[str, int], Offsets]:
    """Return what each place holds now. Raises BrokerUnavailable.

    A partition that was created a moment ago has no leader yet, so the question is repeated for a while. (The
    administration client has one call for all places; after such an answer it takes seconds to ask again.)
    """
    deadline = time.monotonic() + settings.request_timeout_ms / 1_000
    found: dict[tuple[str, int], Offsets] = {}
    waiting = list(places)
    while waiting:
        place = waiting[-1]
        try:
            first, end = consumer.get_watermark_offsets(place, timeout=max(0.001, deadline - time.monotonic()))
        except KafkaException as error:
            failure = error.args[0]
            if failure.code() not in _NOT_YET or time.monotonic() > deadline:
                raise translate(failure, f"asking what topic {place.topic} holds") from error
            time.sleep(LEADER_POLL_S)
        else:
            found[place.topic, place.partition] = Offsets(first, end)
            waiting.pop()
    return found
