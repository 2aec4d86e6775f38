"""The twin in memory under the bus's contract, and the faults only it can be told to make."""

from collections.abc import Callable

import pytest

from tests.contracts.bus.bus_contract import BOT, FLUSH_US, BusContract, read_to_end, send, values
from tradefleet.bus.errors import BrokerReplaced, BrokerUnavailable, NotDelivered
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import AppendFate, Fate, MemoryBroker
from tradefleet.bus.ports import Bus, Source
from tradefleet.domain.errors import OutcomeUnknown, Retryable
from tradefleet.messages.topics import EXECUTIONS, JOURNAL, TOPICS

ALL = [Source(topic=EXECUTIONS.name)]


class TestMemoryBus(BusContract):
    @pytest.fixture
    def broker(self) -> MemoryBroker:
        return MemoryBroker()

    @pytest.fixture
    def connect(self, broker: MemoryBroker) -> Callable[[], Bus]:
        return lambda: MemoryBus(broker)

    @pytest.fixture
    def impatient(self, broker: MemoryBroker) -> Bus:
        return MemoryBus(broker)


class ScriptedFaults:
    """Fates in a fixed order, then none."""

    def __init__(self, *fates: Fate, appends: tuple[AppendFate, ...] = ()) -> None:
        self._fates = list(fates)
        self._appends = list(appends)
        self.cut_off: set[str] = set()

    def publish(self, topic: str, key: str) -> Fate:
        return self._fates.pop(0) if self._fates else Fate()

    def append(self, topic: str, key: str) -> AppendFate:
        return self._appends.pop(0) if self._appends else AppendFate.DONE

    def is_cut_off(self, client: str) -> bool:
        return client in self.cut_off


def faulty(faults: ScriptedFaults) -> tuple[MemoryBroker, MemoryBus]:
    broker = MemoryBroker(faults)
    bus = MemoryBus(broker, "writer")
    bus.ensure_topics(TOPICS.values())
    return broker, bus


def test_a_lost_message_never_arrives_though_it_was_acknowledged() -> None:
    _, bus = faulty(ScriptedFaults(Fate(copies=())))
    reader = bus.reader(ALL)
    send(bus, [b"lost", b"kept"])
    assert values(read_to_end(reader)) == [b"kept"]


def test_a_duplicate_arrives_twice() -> None:
    _, bus = faulty(ScriptedFaults(Fate(copies=(0, 0))))
    reader = bus.reader(ALL)
    send(bus, [b"1", b"2"])
    assert values(read_to_end(reader)) == [b"1", b"1", b"2"]


def test_a_delayed_message_arrives_after_its_ticks_behind_later_ones() -> None:
    broker, bus = faulty(ScriptedFaults(Fate(copies=(2,))))
    reader = bus.reader(ALL)
    send(bus, [b"slow", b"fast"])
    broker.tick()
    assert values(read_to_end(reader)) == [b"fast"]
    broker.tick()
    assert values(reader.poll(10, 0)) == [b"slow"]


def test_an_unacknowledged_message_may_have_arrived() -> None:
    _, bus = faulty(ScriptedFaults(Fate(acknowledged=False)))
    reader = bus.reader(ALL)
    bus.publish(EXECUTIONS.name, BOT, b"1")
    with pytest.raises(NotDelivered):
        bus.flush(FLUSH_US)
    assert values(read_to_end(reader)) == [b"1"]


def test_a_reader_that_is_cut_off_goes_on_where_it_was() -> None:
    faults = ScriptedFaults()
    broker, bus = faulty(faults)
    reader = MemoryBus(broker, "reader").reader(ALL)
    faults.cut_off = {"reader"}
    send(bus, [b"1"])
    with pytest.raises(BrokerUnavailable):
        reader.poll(10, 0)
    faults.cut_off = set()
    assert values(reader.poll(10, 0)) == [b"1"]


def test_a_writer_that_is_cut_off_sends_when_it_is_back() -> None:
    faults = ScriptedFaults()
    _, bus = faulty(faults)
    reader = bus.reader(ALL)
    faults.cut_off = {"writer"}
    bus.publish(EXECUTIONS.name, BOT, b"1")
    with pytest.raises(NotDelivered, match="1 messages are not acknowledged"):
        bus.flush(FLUSH_US)
    faults.cut_off = set()
    bus.flush(FLUSH_US)
    assert values(read_to_end(reader)) == [b"1"]


def test_a_crashed_writer_takes_its_unsent_messages_along() -> None:
    faults = ScriptedFaults()
    broker, bus = faulty(faults)
    reader = MemoryBus(broker, "reader").reader(ALL)
    answers: list[object] = []
    faults.cut_off = {"writer"}
    bus.publish(EXECUTIONS.name, BOT, b"1", answers.append)
    bus.close()
    faults.cut_off = set()
    bus.flush(FLUSH_US)
    assert values(read_to_end(reader)) == []
    assert answers == []


def test_a_wiped_broker_is_named_to_its_readers() -> None:
    broker, bus = faulty(ScriptedFaults())
    reader = bus.reader(ALL)
    before = bus.cluster_id()
    broker.wipe()
    bus.ensure_topics(TOPICS.values())
    assert bus.cluster_id() != before
    with pytest.raises(BrokerReplaced, match=before):
        reader.poll(10, 0)


def test_a_stopped_broker_is_unavailable_and_keeps_its_data() -> None:
    broker, bus = faulty(ScriptedFaults())
    reader = bus.reader(ALL)
    send(bus, [b"1"])
    broker.stop()
    with pytest.raises(BrokerUnavailable):
        reader.poll(10, 0)
    with pytest.raises(BrokerUnavailable):
        bus.reader(ALL)
    broker.start()
    assert values(reader.poll(10, 0)) == [b"1"]


@pytest.mark.parametrize(
    ("fate", "error", "written"),
    [
        (AppendFate.NOTHING_WRITTEN, Retryable, []),
        (AppendFate.NOTHING_UNKNOWN, OutcomeUnknown, []),
        (AppendFate.WRITTEN_UNKNOWN, OutcomeUnknown, [b"1", b"2"]),
    ],
)
def test_a_failed_append_wrote_all_or_nothing(fate: AppendFate, error: type[Exception], written: list[bytes]) -> None:
    _, bus = faulty(ScriptedFaults(appends=(fate,)))
    journal = bus.journal(JOURNAL.name, "default/sim")
    with pytest.raises(error):
        journal.append([b"1", b"2"])
    assert values(journal.read()) == written
