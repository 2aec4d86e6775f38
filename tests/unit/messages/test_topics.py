"""The registry of topics."""

import pytest

from tradefleet.domain.errors import InvalidValue
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.codec import UndecodableMessage, decode, encode
from tradefleet.messages.dead_letter import PAYLOAD_BYTES_MAX, REASON_LENGTH_MAX, DeadLetter, dead_letter
from tradefleet.messages.topics import EXECUTIONS, TOPICS, check_prefix, find_topic


def test_every_message_type_travels_on_exactly_one_topic() -> None:
    carried = [message.__name__ for topic in TOPICS.values() for message in topic.messages]
    assert sorted(carried) == sorted(MESSAGE_TYPES)


def test_keys_stay_on_their_partitions_for_ever() -> None:
    # Written down: another function would send a running fleet's messages to partitions where nobody looks.
    assert [EXECUTIONS.partition(key) for key in ("default/alpha", "default/beta", "ns/ü", "")] == [1, 2, 0, 0]


def test_keys_are_spread_over_all_partitions() -> None:
    used = {topic.partition(f"default/bot-{number}") for topic in [EXECUTIONS] for number in range(100)}
    assert used == set(range(EXECUTIONS.partitions))


def test_a_topic_is_found_with_and_without_the_prefix() -> None:
    assert find_topic("fleet7.trading.executions", "fleet7.") is find_topic("trading.executions") is EXECUTIONS


@pytest.mark.parametrize("prefix", ["", "prod.", "a-b_c.1"])
def test_a_prefix_of_letters_digits_and_marks_is_fine(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", [".", "-x", "a b", "ä", "x" * 101, "a/b"])
def test_a_prefix_that_kafka_would_refuse_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidValue, match="topic prefix must be"):
        check_prefix(prefix)


def test_a_dead_letter_holds_the_original_and_the_reason_within_bounds() -> None:
    letter = dead_letter(
        stream="dead-letter/gateway",
        stream_seq=1,
        now_us=5,
        topic="trading.orders",
        partition=3,
        offset=77,
        key="default/sim:main",
        payload=b"x" * (PAYLOAD_BYTES_MAX + 1),
        reader="gateway/default/sim:main",
        error=UndecodableMessage("y" * (REASON_LENGTH_MAX + 1)),
    )
    found = decode(encode(letter))
    assert isinstance(found, DeadLetter)
    assert (found.origin_topic, found.origin_partition, found.origin_offset) == ("trading.orders", 3, 77)
    assert (found.payload_size, len(found.payload)) == (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX)
    assert (found.error, len(found.reason)) == ("UndecodableMessage", REASON_LENGTH_MAX)
