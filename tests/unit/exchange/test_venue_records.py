"""Records of the journal as messages: what is read is what was written, or is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.exchange.venue.operations import operations
from tests.unit.exchange.venue.scenes import ROUGH, config, tick_bar
from tests.unit.exchange.venue.test_journal import records_of
from tradefleet.domain.errors import InvalidValue, Permanent
from tradefleet.domain.ids import StreamName
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.convert_journal import journal_configured_message, journal_stream
from workloads.exchange.venue_records import payload_of, record_of

EXCHANGE = "fleet/simulator"


@given(st.lists(operations(), max_size=10))
def test_records_come_back_as_they_were(sequence: list) -> None:
    records = records_of(sequence, config(instruments=(*config().instruments, ROUGH), participation_ppm=3))
    for number, record in enumerate(records, start=1):
        message = decode(payload_of(EXCHANGE, number, record))
        assert (message.stream, message.stream_seq) == (journal_stream(EXCHANGE), number)
        assert record_of(payload_of(EXCHANGE, number, record)) == record


def test_a_configuration_that_is_not_what_was_hashed_is_refused() -> None:
    message = journal_configured_message(EXCHANGE, 1, 1, 0, "{}")
    changed = msgspec.structs.replace(message, configuration='{"taker_ppm": 0}')

    with pytest.raises(InvalidValue, match="journal of fleet/simulator, record 1: the hash of its configuration"):
        record_of(encode(changed))


def test_a_message_that_is_no_record_is_refused() -> None:
    stranger = bar_message(StreamName("bars/x"), 1, EXCHANGE, tick_bar(1, (1, 1, 1, 1)))

    with pytest.raises(Permanent, match="a BarClosed is no journal record"):
        record_of(encode(stranger))
