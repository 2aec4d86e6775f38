"""Topics as people read them."""

from decimal import Decimal
from itertools import islice

import pytest

from tests.contracts.bus.bus_contract import send
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.ports import Record
from tradefleet.bus.reading import plain_record, read_topic
from tradefleet.domain.orders import OrderType, Side
from tradefleet.messages.codec import encode
from tradefleet.messages.topics import EXECUTIONS, TOPICS
from tradefleet.messages.trading import OrderRequested


@pytest.fixture
def bus() -> MemoryBus:
    bus = MemoryBus(MemoryBroker())
    bus.ensure_topics(TOPICS.values())
    return bus


def read(bus: MemoryBus, take: int | None = None, **wanted: object) -> list[str]:
    options = {"keys": None, "from_beginning": False, "follow": False, "limit": None} | wanted
    return [record.value.decode() for record in islice(read_topic(bus, EXECUTIONS, **options), take)]  # type: ignore[arg-type]


def test_the_newest_messages_are_shown(bus: MemoryBus) -> None:
    send(bus, [b"1", b"2", b"3"], key="a")
    assert read(bus, limit=2) == ["2", "3"]


def test_a_limit_is_of_all_partitions_together(bus: MemoryBus) -> None:
    for number in range(20):
        send(bus, [b"x"], key=f"key-{number}")
    assert len(read(bus, limit=5)) == 5


def test_the_first_messages_are_shown_from_the_beginning(bus: MemoryBus) -> None:
    send(bus, [b"1", b"2", b"3"], key="a")
    assert read(bus, from_beginning=True, limit=2) == ["1", "2"]
    assert read(bus, from_beginning=True) == ["1", "2", "3"]


def test_only_the_wanted_keys_are_shown(bus: MemoryBus) -> None:
    send(bus, [b"old a"], key="a")
    send(bus, [b"b"] * 30, key="b")
    send(bus, [b"new a"], key="a")
    assert read(bus, keys=frozenset({"a"}), limit=10) == ["old a", "new a"]


@pytest.mark.parametrize("from_beginning", [True, False])
def test_follow_goes_on_with_what_comes(bus: MemoryBus, from_beginning: bool) -> None:
    send(bus, [b"1"], key="a")
    records = read_topic(
        bus, EXECUTIONS, keys=None, from_beginning=from_beginning, follow=True, limit=None if from_beginning else 1
    )
    assert next(records).value == b"1"
    send(bus, [b"2"], key="a")
    assert next(records).value == b"2"


def test_an_empty_topic_shows_nothing(bus: MemoryBus) -> None:
    assert read(bus, limit=10) == read(bus, from_beginning=True) == []


def test_a_record_is_shown_with_its_message_in_plain_values() -> None:
    message = OrderRequested(
        stream="orders/x",
        stream_seq=1,
        event_time_us=1_522_800_060_000_001,
        bot="default/alpha",
        client_order_id="A1",
        symbol="BTC-USD",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        size=Decimal("0.0150"),
        limit_price=Decimal(7000),
    )
    shown = plain_record(Record("trading.orders", 1, 5, "default/sim:main", encode(message)))
    assert {name: value for name, value in shown.items() if name != "message"} == {
        "topic": "trading.orders",
        "partition": 1,
        "offset": 5,
        "key": "default/sim:main",
        "type": "OrderRequested",
        "event_time": "2018-04-04T00:01:00.000001+00:00",
    }
    assert (shown["message"]["size"], shown["message"]["limit_price"], shown["message"]["side"]) == (
        "0.015",
        "7000",
        "BUY",
    )
    assert shown["message"]["trigger_price"] is None


def test_what_cannot_be_decoded_is_shown_as_its_bytes_with_the_reason() -> None:
    shown = plain_record(Record("trading.orders", 1, 5, "k", b"\x00\xffrubbish"))
    assert shown["payload_hex"] == "00ff72756262697368"
    assert "must start with c301" in shown["undecodable"]
