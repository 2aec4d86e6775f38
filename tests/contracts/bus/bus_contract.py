"""What every implementation of the bus promises: the twin in memory and Kafka run the same tests."""

import time
from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from tradefleet.bus.errors import NotDelivered, TopicMismatch
from tradefleet.bus.ports import Bus, Reader, Record, Source, Start
from tradefleet.domain.errors import Fenced, InvalidValue, Retryable
from tradefleet.messages.topics import EXECUTIONS, JOURNAL, ORDERS

USED = (EXECUTIONS, ORDERS, JOURNAL)  # few, since a real broker makes files for each partition
PATIENCE_S = 15.0
POLL_US = 100_000
FLUSH_US = 10_000_000

BOT = "default/alpha"
OTHER_BOT = "default/beta"


def read(reader: Reader, count: int, *, batch: int = 100) -> list[Record]:
    """Return the next `count` records; fails when they do not come."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(records) < count:
        records += reader.poll(min(batch, count - len(records)), POLL_US)
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
    return records


def read_to_end(reader: Reader) -> list[Record]:
    """Return everything up to the end."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while not reader.at_end:
        records += reader.poll(100, POLL_US)
        assert time.monotonic() < deadline, "the end never came"
    return records


def send(bus: Bus, values: Iterable[bytes], *, topic: str = EXECUTIONS.name, key: str = BOT) -> None:
    for value in values:
        bus.publish(topic, key, value)
    bus.flush(FLUSH_US)


def values(records: Iterable[Record]) -> list[bytes]:
    return [record.value for record in records]


class BusContract:
    """Tests of the port.

    A subclass gives two fixtures: `connect`, a function that makes connections of the test's own installation, without
    topics at first; and `impatient`, a connection that gives up on a message soon.
    """

    @pytest.fixture
    def bus(self, connect: Callable[[], Bus]) -> Bus:
        bus = connect()
        bus.ensure_topics(USED)
        return bus

    def test_a_message_arrives_as_it_was_sent(self, bus: Bus) -> None:
        reader = bus.reader([Source(topic=EXECUTIONS.name)])
        send(bus, [b"\x00\xff one"])
        [record] = read(reader, 1)
        assert record == Record(EXECUTIONS.name, EXECUTIONS.partition(BOT), 0, BOT, b"\x00\xff one")

    def test_a_reader_at_the_end_gets_only_what_is_sent_after_it_was_opened(self, bus: Bus) -> None:
        send(bus, [b"before"])
        reader = bus.reader([Source(topic=EXECUTIONS.name, start=Start.END)])
        send(bus, [b"after"])
        assert values(read(reader, 1)) == [b"after"]

    def test_a_reader_from_the_beginning_gets_everything_and_knows_its_end(self, bus: Bus) -> None:
        send(bus, [b"1", b"2", b"3"])
        reader = bus.reader([Source(topic=EXECUTIONS.name, start=Start.BEGINNING)])
        assert values(read_to_end(reader)) == [b"1", b"2", b"3"]

    def test_a_reader_starts_at_a_given_offset(self, bus: Bus) -> None:
        send(bus, [b"1", b"2", b"3"])
        start = {EXECUTIONS.partition(BOT): 1}
        reader = bus.reader([Source(topic=EXECUTIONS.name, keys=frozenset({BOT}), start=start)])
        assert values(read_to_end(reader)) == [b"2", b"3"]

    def test_messages_of_a_key_keep_their_order(self, bus: Bus) -> None:
        reader = bus.reader([Source(topic=EXECUTIONS.name)])
        sent = [str(number).encode() for number in range(200)]
        send(bus, sent)
        assert values(read(reader, len(sent), batch=7)) == sent

    def test_a_reader_of_some_keys_gets_no_others(self, bus: Bus) -> None:
        # More keys than partitions, so that some share one with the wanted key.
        keys = [f"default/bot-{number}" for number in range(3 * EXECUTIONS.partitions)]
        reader = bus.reader([Source(topic=EXECUTIONS.name, keys=frozenset({keys[0]}))])
        for key in reversed(keys):
            send(bus, [key.encode()], key=key)
        assert values(read(reader, 1)) == [keys[0].encode()]
        assert reader.poll(10, POLL_US) == []

    def test_one_reader_reads_several_topics(self, bus: Bus) -> None:
        reader = bus.reader([Source(topic=EXECUTIONS.name), Source(topic=ORDERS.name)])
        send(bus, [b"execution"])
        send(bus, [b"request"], topic=ORDERS.name)
        assert {(record.topic, record.value) for record in read(reader, 2)} == {
            (EXECUTIONS.name, b"execution"),
            (ORDERS.name, b"request"),
        }

    def test_every_reader_gets_every_message(self, connect: Callable[[], Bus], bus: Bus) -> None:
        readers = [each.reader([Source(topic=EXECUTIONS.name)]) for each in (bus, connect(), connect())]
        send(bus, [b"for all"])
        assert [values(read(reader, 1)) for reader in readers] == [[b"for all"]] * 3

    def test_a_poll_returns_no_more_than_asked_for(self, bus: Bus) -> None:
        send(bus, [b"1", b"2", b"3"])
        reader = bus.reader([Source(topic=EXECUTIONS.name, start=Start.BEGINNING)])
        sizes = [len(read(reader, 1, batch=1)) for _ in range(3)]
        assert sizes == [1, 1, 1]

    def test_delivery_is_reported_once_per_message_and_not_from_inside_publish(self, bus: Bus) -> None:
        answers: list[tuple[int, object]] = []
        for number in range(5):
            before = len(answers)
            bus.publish(EXECUTIONS.name, BOT, b"x", lambda error, number=number: answers.append((number, error)))
            assert number not in [answered for answered, _ in answers[before:]]
        bus.flush(FLUSH_US)
        assert answers == [(number, None) for number in range(5)]

    def test_a_message_to_a_topic_that_does_not_exist_is_reported(self, impatient: Bus) -> None:
        answers: list[object] = []
        impatient.publish(EXECUTIONS.name, BOT, b"x", answers.append)
        with pytest.raises(NotDelivered, match=r"trading\.executions for default/alpha"):
            impatient.flush(FLUSH_US)
        assert isinstance(answers[0], NotDelivered)
        impatient.flush(FLUSH_US)  # the failure was told once; what is sent now counts anew

    def test_an_unknown_topic_is_refused_and_the_known_ones_are_named(self, bus: Bus) -> None:
        with pytest.raises(InvalidValue, match=r"no topic 'trading\.executionz'.*trading\.executions"):
            bus.publish("trading.executionz", BOT, b"x")

    def test_a_reader_of_a_topic_that_is_not_there_yet_is_asked_to_come_back(self, connect: Callable[[], Bus]) -> None:
        with pytest.raises(Retryable, match=r"trading\.executions does not exist yet"):
            connect().reader([Source(topic=EXECUTIONS.name)])

    def test_topics_are_made_once_and_keep_their_ids(self, connect: Callable[[], Bus], bus: Bus) -> None:
        before = [bus.topic_id(topic.name) for topic in USED]
        connect().ensure_topics(USED)
        assert [bus.topic_id(topic.name) for topic in USED] == before
        assert len(set(before)) == len(USED)

    def test_a_topic_with_other_partitions_is_refused(self, bus: Bus) -> None:
        with pytest.raises(TopicMismatch, match=f"has {EXECUTIONS.partitions} partitions, the fleet's has 7"):
            bus.ensure_topics([replace(EXECUTIONS, partitions=7)])

    def test_all_connections_see_the_same_cluster(self, connect: Callable[[], Bus], bus: Bus) -> None:
        assert connect().cluster_id() == bus.cluster_id() != ""

    def test_offsets_count_the_messages(self, bus: Bus) -> None:
        send(bus, [b"1", b"2"])
        found = bus.offsets(EXECUTIONS.name)
        assert found.pop(EXECUTIONS.partition(BOT)) == (0, 2)
        assert found == dict.fromkeys(set(range(EXECUTIONS.partitions)) - {EXECUTIONS.partition(BOT)}, (0, 0))

    # --- journal ---

    def test_a_journal_reads_what_was_appended(self, bus: Bus) -> None:
        journal = bus.journal(JOURNAL.name, "default/sim")
        offsets = journal.append([b"1", b"2"]) + journal.append([b"3"])
        records = list(journal.read())
        assert values(records) == [b"1", b"2", b"3"]
        assert [record.offset for record in records] == offsets == sorted(set(offsets))

    def test_a_journal_reads_on_from_an_offset(self, bus: Bus) -> None:
        journal = bus.journal(JOURNAL.name, "default/sim")
        offsets = [journal.append([value])[0] for value in (b"1", b"2", b"3")]
        assert values(journal.read(offsets[1])) == [b"2", b"3"]
        assert values(journal.read(offsets[2] + 1)) == []

    def test_journals_of_different_keys_do_not_meet(self, bus: Bus) -> None:
        keys = [f"default/sim-{number}" for number in range(JOURNAL.partitions + 1)]
        journals = [bus.journal(JOURNAL.name, key) for key in keys]
        for key, journal in zip(keys, journals, strict=True):
            journal.append([key.encode()])
        assert [values(journal.read()) for journal in journals] == [[key.encode()] for key in keys]

    def test_opening_a_journal_fences_the_writer_before(self, connect: Callable[[], Bus], bus: Bus) -> None:
        first = bus.journal(JOURNAL.name, "default/sim")
        first.append([b"first"])
        second = connect().journal(JOURNAL.name, "default/sim")
        with pytest.raises(Fenced, match="default/sim"):
            first.append([b"zombie"])
        second.append([b"second"])
        assert values(second.read()) == [b"first", b"second"]

    def test_a_fenced_writer_stays_fenced(self, connect: Callable[[], Bus], bus: Bus) -> None:
        first = bus.journal(JOURNAL.name, "default/sim")
        second = connect().journal(JOURNAL.name, "default/sim")
        for _ in range(2):
            with pytest.raises(Fenced):
                first.append([b"zombie"])
        second.append([b"second"])
        assert values(second.read()) == [b"second"]
