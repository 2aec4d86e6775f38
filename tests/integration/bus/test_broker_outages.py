"""The bus over a broker that is killed, comes back, or comes back as another one."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from confluent_kafka.admin import AdminClient
from governor.local.broker import Broker

from tests.contracts.bus.bus_contract import BOT, FLUSH_US, POLL_US, USED, read, send, values
from tradefleet.bus.errors import BrokerReplaced, BrokerUnavailable, PositionLost
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.kafka_journal import KafkaJournal
from tradefleet.bus.ports import Reader, Record, Source
from tradefleet.domain.errors import FleetError, OutcomeUnknown
from tradefleet.messages.topics import EXECUTIONS, JOURNAL

T = TypeVar("T")

OUTAGE_S = 60.0
ALL = [Source(topic=EXECUTIONS.name, keys=frozenset({BOT}))]


class OwnBroker:
    """A broker that may be killed and wiped; its address stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._broker = Broker(folder / "0")
        self._broker.start()
        self.bootstrap = self._broker.bootstrap

    def kill(self) -> None:
        self._broker.kill()

    def start(self) -> None:
        self._broker.start()

    def stop(self) -> None:
        self._broker.stop()

    def wipe(self) -> None:
        """Start an empty broker at the same address."""
        self._broker.kill()
        self._broker.stop()
        shutil.rmtree(self._folder / str(self._number))
        self._number += 1
        self._broker = Broker(self._folder / str(self._number), port=int(self.bootstrap.rpartition(":")[2]))
        self._broker.start()


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    broker = OwnBroker(tmp_path_factory.mktemp("own-kafka"))
    yield broker
    broker.stop()


@pytest.fixture
def bus(own_broker: OwnBroker, topic_prefix: str) -> Iterator[KafkaBus]:
    own_broker.start()
    with KafkaBus(KafkaSettings(bootstrap=own_broker.bootstrap, prefix=topic_prefix, check_timeout_ms=500)) as bus:
        bus.ensure_topics(USED)
        yield bus


def poll_until_error(reader: Reader) -> tuple[list[Record], FleetError]:
    """Poll until it raises; return what came before, and the error."""
    records: list[Record] = []
    deadline = time.monotonic() + OUTAGE_S
    while time.monotonic() < deadline:
        try:
            records += reader.poll(100, POLL_US)
        except FleetError as error:
            return records, error
    raise AssertionError("poll raised nothing")


def retry_while_away(action: Callable[[], T]) -> T:
    """Return the result once the broker is back."""
    deadline = time.monotonic() + OUTAGE_S
    while True:
        try:
            return action()
        except BrokerUnavailable:
            assert time.monotonic() < deadline, "the broker did not come back"


def test_a_reader_goes_on_where_it_was_after_the_broker_was_killed(own_broker: OwnBroker, bus: KafkaBus) -> None:
    reader = bus.reader(ALL)
    send(bus, [b"1", b"2"])
    assert values(read(reader, 1)) == [b"1"]

    own_broker.kill()
    _, error = poll_until_error(reader)
    assert isinstance(error, BrokerUnavailable)
    with pytest.raises(BrokerUnavailable):
        bus.probe()
    bus.publish(EXECUTIONS.name, BOT, b"3")  # while nobody is there to take it
    own_broker.start()

    bus.flush(FLUSH_US * 3)
    found: list[Record] = []
    while len(found) < 2:
        found += retry_while_away(lambda: reader.poll(100, POLL_US))
    assert values(found) == [b"2", b"3"]
    bus.probe()


def test_a_wiped_broker_is_recognised_and_a_new_reader_starts_at_its_end(own_broker: OwnBroker, bus: KafkaBus) -> None:
    reader = bus.reader(ALL)
    send(bus, [b"old 1", b"old 2"])
    assert len(read(reader, 2)) == 2
    before = bus.cluster_id()

    own_broker.wipe()
    while True:
        records, error = poll_until_error(reader)
        assert records == []
        if not isinstance(error, BrokerUnavailable):
            break
    assert isinstance(error, BrokerReplaced)
    assert before in str(error)
    reader.close()

    bus.ensure_topics(USED)
    send(bus, [b"new 1"])
    reader = bus.reader(ALL)
    send(bus, [b"new 2"])
    assert values(read(reader, 1)) == [b"new 2"]


def test_as_many_new_messages_do_not_make_a_wiped_broker_look_like_the_old_one(
    own_broker: OwnBroker, bus: KafkaBus, topic_prefix: str
) -> None:
    reader = bus.reader(ALL)
    send(bus, [b"old"])
    assert len(read(reader, 1)) == 1

    own_broker.wipe()
    settings = KafkaSettings(bootstrap=own_broker.bootstrap, prefix=topic_prefix)
    with KafkaBus(settings) as other:
        other.ensure_topics(USED)
        send(other, [b"new at the old offset 0", b"new at the next offset 1", b"new 2"])
    records, error = poll_until_error(reader)
    while isinstance(error, BrokerUnavailable):
        more, error = poll_until_error(reader)
        records += more
    assert records == []
    assert isinstance(error, BrokerReplaced)


def test_a_topic_that_was_made_anew_is_recognised(own_broker: OwnBroker, bus: KafkaBus, topic_prefix: str) -> None:
    reader = bus.reader(ALL)
    send(bus, [b"1", b"2", b"3"])
    assert len(read(reader, 3)) == 3

    admin = AdminClient({"bootstrap.servers": own_broker.bootstrap})
    [deleted] = admin.delete_topics([topic_prefix + EXECUTIONS.name]).values()
    deleted.result()
    bus.ensure_topics([EXECUTIONS])
    send(bus, [b"other 1"])
    records, error = poll_until_error(reader)
    assert isinstance(error, PositionLost)
    assert records == []


def test_what_was_appended_to_a_journal_survives_a_kill(own_broker: OwnBroker, bus: KafkaBus) -> None:
    first = bus.journal(JOURNAL.name, "default/sim")
    first.append([b"1", b"2"])
    first.append([b"3"])
    own_broker.kill()
    own_broker.start()
    second = retry_while_away(lambda: bus.journal(JOURNAL.name, "default/sim"))
    second.append([b"4"])
    assert values(second.read()) == [b"1", b"2", b"3", b"4"]


def test_an_append_that_ended_halfway_in_a_kill_is_never_read(own_broker: OwnBroker, bus: KafkaBus) -> None:
    journal = bus.journal(JOURNAL.name, "default/sim")
    journal.append([b"1"])
    # As if the writer died with one of two records on the way.
    write_by_hand(journal, b"unfinished", part="1/2")
    own_broker.kill()
    own_broker.start()
    successor = retry_while_away(lambda: bus.journal(JOURNAL.name, "default/sim"))
    write_by_hand(journal, b"the other half", part="2/2")
    successor.append([b"2", b"3"])
    assert values(successor.read()) == [b"1", b"2", b"3"]


def test_what_a_fenced_writer_had_still_to_send_is_never_read(bus: KafkaBus) -> None:
    first = bus.journal(JOURNAL.name, "default/sim")
    [offset] = first.append([b"1"])
    second = bus.journal(JOURNAL.name, "default/sim")
    write_by_hand(first, b"late")
    second.append([b"2"])
    write_by_hand(first, b"later")
    third = bus.journal(JOURNAL.name, "default/sim")
    for journal in (second, third):
        assert values(journal.read()) == [b"1", b"2"]
        assert values(journal.read(offset + 1)) == [b"2"]


def test_a_writer_goes_on_when_its_broker_was_killed_meanwhile(own_broker: OwnBroker, bus: KafkaBus) -> None:
    journal = bus.journal(JOURNAL.name, "default/sim")
    journal.append([b"1"])
    own_broker.kill()
    own_broker.start()
    journal.append([b"2", b"3"])
    assert values(journal.read()) == [b"1", b"2", b"3"]


def test_an_append_that_does_not_come_back_has_an_unknown_outcome(own_broker: OwnBroker, topic_prefix: str) -> None:
    with KafkaBus(
        KafkaSettings(bootstrap=own_broker.bootstrap, prefix=topic_prefix, append_timeout_ms=1_000)
    ) as impatient:
        impatient.ensure_topics([JOURNAL])
        journal = impatient.journal(JOURNAL.name, "default/sim")
        journal.append([b"1"])
        own_broker.kill()
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="default/sim"):
                journal.append([b"2"])
        journal.close()  # what it still had to send is given up
        own_broker.start()
        successor = retry_while_away(lambda: impatient.journal(JOURNAL.name, "default/sim"))
        assert values(successor.read()) == [b"1"]


def write_by_hand(journal: KafkaJournal, value: bytes, part: str = "1/1") -> None:
    """Send a record under the journal's mark past all that the journal does for it."""
    producer = journal._producer
    topic, partition = journal._place
    headers = [("mark", str(journal._mark)), ("part", part)]
    producer.produce(topic, value=value, key=b"default/sim", partition=partition, headers=headers)
    assert producer.flush(10) == 0
