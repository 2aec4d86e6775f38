"""What cannot be read is put aside, told of in four ways, and never in the way of what comes after it."""

import logging

import pytest

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.bus.test_numbered import Faults
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.ports import Reader, Record, Source, Start
from tradefleet.domain.errors import Retryable
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.dead_letter import PAYLOAD_BYTES_MAX, DeadLetter
from tradefleet.messages.topics import DEAD_LETTER, OHLC_STABLE, TOPICS
from tradefleet.runtime.budget import MINUTE_US
from tradefleet.runtime.dead_letters import KEPT_A_MINUTE, DeadLetters
from tradefleet.runtime.metrics import Count

RUBBISH = Record(topic=OHLC_STABLE.name, partition=2, offset=41, key="ns/venue:BTC-USD", value=b"rubbish")
ERROR = UndecodableMessage("message must start with c301, found 7275")


class Room:
    def __init__(self, *, with_rows: bool = True) -> None:
        self.now_us = 1_000
        self.bus = MemoryBus(MemoryBroker(Faults()), "reader")
        self.bus.ensure_topics(TOPICS.values())
        self.database = MemoryDatabase(lambda: self.now_us)
        self.store = MemoryStore(self.database)
        self.count = Count("dead_letters_total", "", ["topic"])
        self.letters = DeadLetters(
            "gateway-ns-venue",
            bus=self.bus,
            store=self.store if with_rows else None,
            wall_us=lambda: self.now_us,
            count=self.count,
        )

    @property
    def rows(self) -> list:
        return [letter for _, letter in self.database.fleets["fleet"].dead_letters]

    def published(self) -> list[DeadLetter]:
        reader: Reader = self.bus.reader([Source(topic=DEAD_LETTER.name, start=Start.BEGINNING)])
        return [decode(record.value) for record in reader.poll(10_000, 0)]


def test_a_message_that_cannot_be_read_is_told_of_in_topic_row_count_and_log(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()

    with caplog.at_level(logging.WARNING):
        room.letters.put_aside(RUBBISH, ERROR)

    (letter,) = room.published()
    assert (letter.origin_topic, letter.origin_partition, letter.origin_offset) == ("market.ohlc.stable", 2, 41)
    assert (letter.reader, letter.error, letter.payload) == ("gateway-ns-venue", "UndecodableMessage", b"rubbish")
    (row,) = room.rows
    assert (row.topic, row.stream, row.seq, row.key) == ("market.ohlc.stable", "market.ohlc.stable/2", 41, RUBBISH.key)
    assert row.reason == f"gateway-ns-venue: UndecodableMessage: {ERROR}"
    assert room.count.values == {("market.ohlc.stable",): 1}
    assert "put aside a message of market.ohlc.stable, partition 2, offset 41" in caplog.text


def test_who_may_write_no_row_publishes_all_the_same() -> None:
    room = Room(with_rows=False)

    room.letters.put_aside(RUBBISH, ERROR)

    assert len(room.published()) == 1
    assert room.rows == []


def test_of_a_flood_the_rest_is_counted_only_until_the_next_minute() -> None:
    room = Room()

    for _ in range(KEPT_A_MINUTE + 7):
        room.letters.put_aside(RUBBISH, ERROR)

    assert len(room.rows) == len(room.published()) == KEPT_A_MINUTE
    assert room.count.values == {("market.ohlc.stable",): KEPT_A_MINUTE + 7}
    room.now_us += MINUTE_US
    room.letters.put_aside(RUBBISH, ERROR)
    assert len(room.rows) == KEPT_A_MINUTE + 1


def test_a_huge_message_is_cut() -> None:
    room = Room()

    room.letters.put_aside(RUBBISH._replace(value=b"x" * (PAYLOAD_BYTES_MAX + 1)), ERROR)

    assert len(room.rows[0].payload) == PAYLOAD_BYTES_MAX
    assert room.published()[0].payload_size == PAYLOAD_BYTES_MAX + 1


def test_a_row_that_cannot_be_written_is_not_passed_over() -> None:
    class Away:
        def put_aside(self, letters):
            raise Retryable("database: away")

    room = Room()
    room.letters._store = Away()

    with pytest.raises(Retryable):
        room.letters.put_aside(RUBBISH, ERROR)
