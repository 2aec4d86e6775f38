"""The embedded broker: what it keeps through a crash, and what it refuses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from governor.local.broker import Broker

from tests.integration.local.sockets import listening_addresses
from tradefleet.domain.errors import Permanent

WAIT_S = 20.0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of this test alone, which it may kill."""
    service = Broker(tmp_path / "kafka, with a comma")
    yield service
    service.stop()


def make_topic(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept, for the request ends with its client
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT_S)


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(WAIT_S) == 0


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, WAIT_S)
    consumer.close()
    return [message.value() for message in messages]


def test_what_was_acknowledged_survives_sigkill_and_port_and_cluster_stay(own_broker: Broker) -> None:
    own_broker.start()
    address, cluster = own_broker.bootstrap, own_broker.cluster_id
    make_topic(address, "orders")
    values = [str(number).encode() for number in range(100)]
    produce(address, "orders", values)

    own_broker.kill()
    assert not own_broker.is_alive()
    own_broker.start()

    assert (own_broker.bootstrap, own_broker.cluster_id) == (address, cluster)
    assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=WAIT_S).cluster_id == cluster
    assert consume(address, "orders", 100) == values
    produce(address, "orders", [b"after"])
    assert consume(address, "orders", 101) == [*values, b"after"]


def test_an_explicit_port_that_is_taken_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = Broker(tmp_path, port=port)

        with pytest.raises(Permanent, match=rf"kafka: port {port} on 127.0.0.1 is taken .* set another port"):
            service.start()

    assert service.child is None
    assert not (tmp_path / "topics").exists()
    Broker(tmp_path)._folder.claim()  # the lock was given back


def test_a_remembered_port_that_was_taken_meanwhile_gives_way_to_a_free_one(own_broker: Broker) -> None:
    own_broker.start()
    first = own_broker.bootstrap
    own_broker.stop()

    host, port = first.split(":")
    with socket.create_server((host, int(port))):
        own_broker.start()

    assert own_broker.bootstrap != first
    assert AdminClient({"bootstrap.servers": own_broker.bootstrap}).list_topics(timeout=WAIT_S).brokers


def test_a_running_broker_is_not_started_twice(broker: Broker) -> None:
    assert broker.child is not None
    pid = broker.child.pid

    broker.start()

    assert broker.child.pid == pid
    with pytest.raises(Permanent, match="in use by the running process"):
        Broker(broker._folder.path).start()
    assert broker.is_alive()


def test_its_address_is_known_to_other_processes_and_nowhere_else(broker: Broker, tmp_path: Path) -> None:
    assert Broker(broker._folder.path).bootstrap == broker.bootstrap
    with pytest.raises(Permanent, match=r"kafka: nothing was ever started in /"):
        _ = Broker(tmp_path).bootstrap


def test_it_listens_on_loopback_only(broker: Broker) -> None:
    assert broker.child is not None
    addresses = listening_addresses(broker.child.pid)

    assert len(addresses) == 2  # clients, and the controller
    assert {address for address, _ in addresses} == {"127.0.0.1"}


def test_a_topic_nobody_made_is_an_error(broker: Broker, topic_prefix: str) -> None:
    errors = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 3000})
    producer.produce(f"{topic_prefix}misspelt", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(WAIT_S)

    assert len(errors) == 1
    assert errors[0] is not None


def test_a_transaction_commits_on_one_node(broker: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}journal"
    make_topic(broker.bootstrap, topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(topic, b"kept")

    try:
        producer.commit_transaction(WAIT_S)
    except KafkaException as error:
        pytest.fail(str(error))

    assert consume(broker.bootstrap, topic, 1) == [b"kept"]
