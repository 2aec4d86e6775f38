"""Messages in the Confluent wire format over a real broker, beside a registry that speaks the public REST contract."""

import json
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from fastavro import parse_schema, schemaless_reader
from governor.local.broker import Broker
from typer.testing import CliRunner

from tests.contracts.bus.bus_contract import FLUSH_US, read, send, values
from tests.fakes.schema_registry import RegistryServer
from tradefleet.bus.errors import BusFull
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.ports import Source, Start
from tradefleet.cli.topic import app
from tradefleet.messages.codec import encode
from tradefleet.messages.topics import JOURNAL, ORDERS
from tradefleet.messages.trading import CancelRequested

ACCOUNT = "ns/sim:main"
PATIENCE_S = 15.0


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer().serving() as server:
        yield server


@pytest.fixture
def settings(broker: Broker, topic_prefix: str, registry: RegistryServer) -> KafkaSettings:
    found = KafkaSettings(bootstrap=broker.bootstrap, prefix=topic_prefix, schema_registry=registry.url)
    with KafkaBus(found) as bus:
        bus.ensure_topics([ORDERS, JOURNAL])
    return found


def cancel(number: int) -> bytes:
    return encode(
        CancelRequested(
            stream="orders/x", stream_seq=number, event_time_us=number, bot="ns/a", client_order_id=f"A{number}"
        )
    )


def first_on(settings: KafkaSettings, topic: str, key: str) -> bytes:
    """The first message of a topic's key, as anybody's client sees it."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "stranger"})
    spec = {each.name: each for each in (ORDERS, JOURNAL)}[topic]
    consumer.assign([TopicPartition(settings.topic(topic), spec.partition(key), 0)])
    deadline = time.monotonic() + PATIENCE_S
    found: Message | None = None
    while found is None or found.error() or not found.value():
        assert time.monotonic() < deadline, "no message came"
        found = consumer.poll(0.5)
    consumer.close()
    value = found.value()
    assert value is not None
    return value


def test_a_client_that_knows_only_kafka_and_the_registry_reads_a_message(
    settings: KafkaSettings, registry: RegistryServer
) -> None:
    with KafkaBus(settings) as bus:
        send(bus, [cancel(1)], topic=ORDERS.name, key=ACCOUNT)
    value = first_on(settings, ORDERS.name, ACCOUNT)
    schema = registry.schema(int.from_bytes(value[1:5], "big"))
    assert value[0] == 0
    assert schema is not None
    assert schemaless_reader(BytesIO(value[5:]), parse_schema(json.loads(schema)), None)["client_order_id"] == "A1"


def test_the_fleet_reads_it_as_it_was_committed(settings: KafkaSettings) -> None:
    with KafkaBus(settings) as writer, KafkaBus(settings) as other:
        reader = other.reader([Source(topic=ORDERS.name, start=Start.BEGINNING)])
        send(writer, [cancel(1), cancel(2)], topic=ORDERS.name, key=ACCOUNT)
        assert values(read(reader, 2)) == [cancel(1), cancel(2)]
        reader.close()


def test_the_journal_does_not_depend_on_a_registry(settings: KafkaSettings) -> None:
    with KafkaBus(settings) as bus:
        journal = bus.journal(JOURNAL.name, "ns/sim")
        journal.append([cancel(1)])
        journal.close()
    assert first_on(settings, JOURNAL.name, "ns/sim") == cancel(1)


def test_without_its_registry_a_message_waits_and_nothing_else(
    settings: KafkaSettings, registry: RegistryServer
) -> None:
    registry.refuse_with = 503
    with KafkaBus(settings) as bus:
        with pytest.raises(BusFull, match="has to wait: schema registry"):
            bus.publish(ORDERS.name, ACCOUNT, cancel(1))
        registry.refuse_with = None
        time.sleep(1.1)
        bus.publish(ORDERS.name, ACCOUNT, cancel(1))
        bus.flush(FLUSH_US)


def test_the_command_reads_both_formats_of_a_topic(settings: KafkaSettings, registry: RegistryServer) -> None:
    plain = KafkaSettings(bootstrap=settings.bootstrap, prefix=settings.prefix)
    for each, number in ((plain, 1), (settings, 2)):
        with KafkaBus(each) as bus:
            send(bus, [cancel(number)], topic=ORDERS.name, key=ACCOUNT)
    environment = {
        "TRADEFLEET_KAFKA_BOOTSTRAP": settings.bootstrap,
        "TRADEFLEET_KAFKA_PREFIX": settings.prefix,
        "TRADEFLEET_SCHEMA_REGISTRY_URL": registry.url,
    }
    result = CliRunner().invoke(app, ["read", "trading.orders"], env=environment, catch_exceptions=False)
    assert [json.loads(line)["message"]["stream_seq"] for line in result.output.splitlines()] == [1, 2]
