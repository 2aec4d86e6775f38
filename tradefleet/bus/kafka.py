"""The bus over Kafka."""

import contextlib
import logging
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from tradefleet.bus.errors import BrokerUnavailable, BusFull, NotDelivered, RegistryUnavailable, TopicMismatch
from tradefleet.bus.kafka_client import (
    FATAL_EXCEPTIONS,
    LIBRARY_LOG,
    KafkaSettings,
    fatal_error,
    identify_anew,
    new_consumer,
    translate,
)
from tradefleet.bus.kafka_journal import KafkaJournal
from tradefleet.bus.kafka_reader import KafkaReader, partition_offsets
from tradefleet.bus.ports import Offsets, OnDelivery, Source
from tradefleet.messages.topics import DEAD_LETTER, Topic, find_topic

if TYPE_CHECKING:
    from tradefleet.bus.confluent_format import ConfluentFormat

_LOG: Final = logging.getLogger(__name__)


class KafkaBus:
    """A process's connection to Kafka. For one thread, but for `probe`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Producer | None = None
        self._failed: NotDelivered | None = None
        self._failed_count = 0
        self._fatal = False
        self._format = _wire_format(settings)
        self._ready_producer()  # it takes half a second to introduce itself to the broker: not when an order waits

    def publish(self, topic: str, key: str, value: bytes, on_delivery: OnDelivery | None = None) -> None:
        """Send a message, in the order of calls per key. Raises BusFull."""
        spec = find_topic(topic)
        try:
            value = value if self._format is None else self._format.to_wire(value)
        except RegistryUnavailable as error:
            raise BusFull(f"a message to {topic} for {key} has to wait: {error}") from error
        producer = self._ready_producer()

        def answer(error: KafkaError | None, message: Message) -> None:  # noqa: ARG001 - the library's signature
            failure = None if error is None else self._failure(error, topic, key)
            if on_delivery is not None:
                on_delivery(failure)

        try:
            producer.produce(
                self._settings.topic(spec.name),
                value=value,
                key=key.encode(),
                partition=spec.partition(key),
                on_delivery=answer,
            )
        except BufferError as error:
            raise BusFull(f"{len(producer)} messages wait to be sent; the next is to {topic} for {key}") from error
        except KafkaException as error:
            raise translate(error.args[0], f"publishing to {topic}") from error

    def _failure(self, error: KafkaError, topic: str, key: str) -> NotDelivered:
        self._fatal = self._fatal or error.fatal()
        failure = NotDelivered(f"message to {topic} for {key} is not acknowledged: {error.name()}: {error.str()}")
        self._failed_count += 1
        self._failed = self._failed or failure
        return failure

    def _ready_producer(self) -> Producer:
        """Return the producer; a new one after a fatal error, from which none recovers."""
        if self._producer is not None and self._fatal:
            _LOG.warning("the producer cannot go on (its broker lost what it knew of us): making another one")
            self._give_up(self._producer)
            self._producer = None
        if self._producer is None:
            self._fatal = False
            self._producer = Producer(
                {
                    **self._settings.producer(),
                    "delivery.timeout.ms": self._settings.delivery_timeout_ms,
                    "error_cb": self._on_error,
                },
                logger=LIBRARY_LOG,
            )
        return self._producer

    def _on_error(self, error: KafkaError) -> None:
        self._fatal = self._fatal or error.fatal()

    def serve(self) -> None:
        """Run the callbacks of deliveries that are known by now. Does not wait."""
        if self._producer is not None:
            try:
                self._producer.poll(0)
            except FATAL_EXCEPTIONS as error:
                self._on_error(fatal_error(error))

    def flush(self, timeout_us: int) -> None:
        """Return when all that was published is acknowledged. Raises NotDelivered, naming what was not."""
        waiting = 0 if self._producer is None else self._flush(self._producer, timeout_us / 1_000_000)
        failed, self._failed = self._failed, None
        count, self._failed_count = self._failed_count, 0
        if failed is not None:
            raise NotDelivered(f"{count} messages failed; the first: {failed}")
        if waiting:
            raise NotDelivered(f"{waiting} messages are not acknowledged within {timeout_us} us")

    def _flush(self, producer: Producer, timeout_s: float) -> int:
        """Return how many messages are still waiting."""
        try:
            return producer.flush(timeout_s)
        except FATAL_EXCEPTIONS as error:
            self._on_error(fatal_error(error))
            self._give_up(producer)
            return 0

    def _give_up(self, producer: Producer) -> None:
        """Report everything that still waits in a producer as failed."""
        with contextlib.suppress(*FATAL_EXCEPTIONS):  # the error that made us give it up is told once more
            producer.purge()
            producer.flush(0)

    def reader(self, sources: Sequence[Source]) -> KafkaReader:
        """Open a reader. Raises BrokerUnavailable, and Retryable when a topic is not there yet."""
        return KafkaReader(self._settings, sources, wire_format=self._format)

    def journal(self, topic: str, key: str) -> KafkaJournal:
        """Become the only writer of `key` in `topic`, fencing any other. Raises BrokerUnavailable."""
        return KafkaJournal(self._settings, topic, key)

    def ensure_topics(self, topics: Collection[Topic]) -> None:
        """Create what is missing. Raises BrokerUnavailable, TopicMismatch."""
        from tradefleet.bus.kafka_topics import create_topics  # noqa: PLC0415 - a bot never creates topics

        names = {self._settings.topic(topic.name): topic for topic in topics}
        found = identify_anew(self._settings, names, self._settings.request_timeout_ms)
        for name, topic in names.items():
            if name in found.partitions and found.partitions[name] != topic.partitions:
                raise TopicMismatch(
                    f"topic {name} has {found.partitions[name]} partitions, the fleet's has {topic.partitions}: "
                    "use another topic prefix, or delete the topic"
                )
        missing = {name: topic for name, topic in names.items() if name not in found.partitions}
        create_topics(self._settings, missing)
        # The question what they hold is answered once every new partition has its leader.
        self._offsets([TopicPartition(name, number) for name in missing for number in range(missing[name].partitions)])

    def cluster_id(self) -> str:
        """Return the id of the cluster. Raises BrokerUnavailable."""
        return identify_anew(self._settings, (), self._settings.request_timeout_ms).cluster_id

    def topic_id(self, topic: str) -> str:
        """Return the id the topic got when it was created. Raises BrokerUnavailable, Retryable when it is missing."""
        from tradefleet.bus.kafka_topics import topic_id  # noqa: PLC0415 - only a simulator asks

        return topic_id(self._settings, find_topic(topic))

    def probe(self) -> None:
        """Ask for an answer, whatever it is; from any thread. Raises BrokerUnavailable."""
        producer = self._producer  # not another one in place of a broken one: that is for the bus's own thread
        if producer is None:
            raise BrokerUnavailable("the bus is closed")
        try:
            producer.list_topics(self._settings.topic(DEAD_LETTER.name), self._settings.check_timeout_ms / 1_000)
        except KafkaException as error:
            raise translate(error.args[0], f"asking {self._settings.bootstrap} for a sign of life") from error

    def offsets(self, topic: str) -> dict[int, Offsets]:
        """Return what each partition holds now. Raises BrokerUnavailable."""
        spec = find_topic(topic)
        name = self._settings.topic(spec.name)
        places = [TopicPartition(name, number) for number in range(spec.partitions)]
        return {number: found for (_, number), found in self._offsets(places).items()}

    def _offsets(self, places: Sequence[TopicPartition]) -> dict[tuple[str, int], Offsets]:
        consumer = new_consumer(self._settings, self._on_error)
        try:
            return partition_offsets(self._settings, consumer, places)
        finally:
            consumer.close()

    def close(self) -> None:
        """Give up what is still unsent and let go of the broker."""
        if self._producer is not None:
            self._give_up(self._producer)
            self._producer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wire_format(settings: KafkaSettings) -> "ConfluentFormat | None":
    """Return how messages look on the wire where a registry numbers their schemas."""
    if not settings.schema_registry:
        return None
    from tradefleet.bus.confluent_format import ConfluentFormat  # noqa: PLC0415 - few fleets have a registry
    from tradefleet.bus.registry_client import RegistryClient  # noqa: PLC0415

    return ConfluentFormat(RegistryClient(settings.schema_registry))
