"""Schemas over the bus."""

import json
from copy import deepcopy
from io import BytesIO
from typing import Any

import fastavro
import pytest

from tests.fakes.clock import FakeClock
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.ports import Source, Start
from tradefleet.bus.schemas import ASK_AGAIN_US, SchemaFinder, prepare_topics
from tradefleet.messages.avro import published_schema, to_codec_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.codec import Codec, UndecodableMessage, encode, schema_fingerprint
from tradefleet.messages.schema_registry import SchemaPublished
from tradefleet.messages.topics import SCHEMAS, TOPICS
from tradefleet.messages.trading import CancelRequested

CANCEL = CancelRequested(stream="orders/x", stream_seq=1, event_time_us=1, bot="ns/a", client_order_id="A1")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def bus(broker: MemoryBroker) -> MemoryBus:
    return MemoryBus(broker)


def newer_schema() -> dict[str, Any]:
    """What a later release might make of a cancel request."""
    schema = published_schema(CancelRequested)
    schema["fields"].append({"name": "why", "type": "string", "default": ""})
    return schema


def written_by_newer_release() -> bytes:
    lean = fastavro.parse_schema(deepcopy(to_codec_schema(newer_schema())))
    buffer = BytesIO()
    values = {name: getattr(CANCEL, name) for name in CANCEL.__struct_fields__}
    fastavro.schemaless_writer(buffer, lean, values | {"type": "CancelRequested", "why": "bored"})
    return b"\xc3\x01" + schema_fingerprint(lean) + buffer.getvalue()


def announce(bus: MemoryBus, schema: dict[str, Any]) -> None:
    fingerprint = schema_fingerprint(to_codec_schema(schema)).hex()
    message = SchemaPublished(
        stream="schemas", stream_seq=1, event_time_us=1, fingerprint=fingerprint, schema=json.dumps(schema)
    )
    bus.publish(SCHEMAS.name, fingerprint, encode(message))


def test_preparing_makes_all_topics_and_leaves_all_schemas(bus: MemoryBus) -> None:
    prepare_topics(bus, 5)
    prepare_topics(bus, 6)
    assert [bus.topic_id(name) for name in TOPICS]
    reader = bus.reader([Source(topic=SCHEMAS.name, start=Start.BEGINNING)])
    assert len({record.key for record in reader.poll(1_000, 0)}) == len(MESSAGE_TYPES)


def test_an_older_release_reads_what_a_newer_one_writes_once_it_knows_the_schema(bus: MemoryBus) -> None:
    prepare_topics(bus, 5)
    announce(bus, newer_schema())
    codec = Codec(find_schema=SchemaFinder(bus, FakeClock().monotonic_us))
    assert codec.decode(written_by_newer_release()) == CANCEL


def test_a_schema_that_is_announced_later_is_found_then(bus: MemoryBus) -> None:
    clock = FakeClock()
    prepare_topics(bus, 5)
    codec = Codec(find_schema=SchemaFinder(bus, clock.monotonic_us))
    with pytest.raises(UndecodableMessage):
        codec.decode(written_by_newer_release())
    announce(bus, newer_schema())
    with pytest.raises(UndecodableMessage):  # it asked a moment ago
        codec.decode(written_by_newer_release())
    clock.pass_us(ASK_AGAIN_US)
    assert codec.decode(written_by_newer_release()) == CANCEL


def test_without_a_broker_the_message_is_undecodable_and_nothing_breaks(bus: MemoryBus, broker: MemoryBroker) -> None:
    broker.stop()
    codec = Codec(find_schema=SchemaFinder(bus, FakeClock().monotonic_us))
    with pytest.raises(UndecodableMessage, match="no schema has the fingerprint"):
        codec.decode(written_by_newer_release())


def test_rubbish_among_the_schemas_is_passed_over(bus: MemoryBus) -> None:
    prepare_topics(bus, 5)
    bus.publish(SCHEMAS.name, "x", b"rubbish")
    announce(bus, newer_schema())
    codec = Codec(find_schema=SchemaFinder(bus, FakeClock().monotonic_us))
    assert codec.decode(written_by_newer_release()) == CANCEL
