"""Schemas over the bus: each release leaves its own in a compacted topic, and learns newer ones from there.

So a bot that still runs the last release reads what an upgraded gateway writes, as far as its own types go: fields
that it does not know are skipped, by the rules of Avro's schema resolution.
"""

import json
import logging
from collections.abc import Callable
from typing import Final

from tradefleet.bus.ports import Bus, Source, Start
from tradefleet.domain.errors import Retryable
from tradefleet.messages.avro import published_schema, to_codec_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.codec import UndecodableMessage, decode, encode, schema_fingerprint
from tradefleet.messages.schema_registry import SchemaPublished
from tradefleet.messages.topics import SCHEMAS, TOPICS

_LOG: Final = logging.getLogger(__name__)

STREAM: Final = "schemas"
ASK_AGAIN_US: Final = 30_000_000  # a flood of foreign messages must not make us read the topic for each
POLL_US: Final = 200_000
POLLS_MAX: Final = 50  # a broker that goes silent in between is asked another time
SCHEMAS_MAX: Final = 10_000
FLUSH_US: Final = 10_000_000


def prepare_topics(bus: Bus, now_us: int) -> None:
    """Create what is missing of the fleet's topics and publish this release's schemas.

    Raises BrokerUnavailable, TopicMismatch, NotDelivered.
    """
    bus.ensure_topics(TOPICS.values())
    for number, message in enumerate(MESSAGE_TYPES.values(), start=1):
        schema = published_schema(message)
        fingerprint = schema_fingerprint(to_codec_schema(schema)).hex()
        announcement = SchemaPublished(
            stream=STREAM, stream_seq=number, event_time_us=now_us, fingerprint=fingerprint, schema=json.dumps(schema)
        )
        bus.publish(SCHEMAS.name, fingerprint, encode(announcement))
    bus.flush(FLUSH_US)


class SchemaFinder:
    """Finds schemas by fingerprint in the topic. For `codec.find_schemas_with`."""

    def __init__(self, bus: Bus, clock_us: Callable[[], int]) -> None:
        self._bus = bus
        self._clock_us = clock_us
        self._found: dict[str, str] = {}
        self._ask_again_us: int | None = None

    def __call__(self, fingerprint: str) -> str | None:
        """Return the schema's JSON; None when it is not there, or when the broker is away."""
        if fingerprint not in self._found and (self._ask_again_us is None or self._clock_us() >= self._ask_again_us):
            try:
                self._read()
            except Retryable as error:
                _LOG.warning("no schema for fingerprint %s, since the topic cannot be read: %s", fingerprint, error)
            self._ask_again_us = self._clock_us() + ASK_AGAIN_US
        return self._found.get(fingerprint)

    def _read(self) -> None:
        reader = self._bus.reader([Source(topic=SCHEMAS.name, start=Start.BEGINNING)])
        try:
            for _ in range(POLLS_MAX):
                if reader.at_end:
                    return
                for record in reader.poll(SCHEMAS_MAX, POLL_US):
                    self._learn(record.value)
        finally:
            reader.close()

    def _learn(self, payload: bytes) -> None:
        try:
            message = decode(payload)
        except UndecodableMessage as error:
            _LOG.warning("a schema announcement cannot be read: %s", error)
            return
        if isinstance(message, SchemaPublished) and len(self._found) < SCHEMAS_MAX:
            self._found[message.fingerprint] = message.schema
