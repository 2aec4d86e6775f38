"""The records of a simulator's journal as messages, and back."""

from typing import assert_never

import msgspec

from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import AccountId
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert_journal import (
    journal_bars_message,
    journal_bars_of,
    journal_configuration_of,
    journal_configured_message,
    journal_requests_message,
    journal_requests_of,
)
from tradefleet.messages.journal import JournalBars, JournalConfigured, JournalRequests
from workloads.exchange.venue.codec import decode_config, encode_config
from workloads.exchange.venue.journal import BarsRecord, ConfiguredRecord, JournalRecord, RequestsRecord


def payload_of(exchange: str, seq: int, record: JournalRecord) -> bytes:
    """Return record number `seq` of the journal of `exchange` ("namespace/name") as its message."""
    match record:
        case BarsRecord():
            return encode(journal_bars_message(exchange, seq, record.epoch, record.market_us, record.bars))
        case ConfiguredRecord():
            text = msgspec.json.encode(encode_config(record.config)).decode()
            return encode(journal_configured_message(exchange, seq, record.epoch, record.market_us, text))
        case RequestsRecord():
            return encode(
                journal_requests_message(
                    exchange, seq, record.epoch, record.account, record.market_us, record.round, record.requests
                )
            )
        case _:
            assert_never(record)


def record_of(payload: bytes) -> JournalRecord:
    """Return the record in a message of the journal topic. Raises Permanent for a message that is none."""
    message = decode(payload)
    match message:
        case JournalBars():
            return BarsRecord(
                epoch=message.epoch, market_us=message.event_time_us, bars=tuple(journal_bars_of(message))
            )
        case JournalConfigured():
            return ConfiguredRecord(
                epoch=message.epoch,
                market_us=message.event_time_us,
                config=decode_config(msgspec.json.decode(journal_configuration_of(message))),
            )
        case JournalRequests():
            return RequestsRecord(
                epoch=message.epoch,
                market_us=message.event_time_us,
                round=message.round,
                account=AccountId(message.account),
                requests=tuple(journal_requests_of(message)),
            )
        case _:
            raise Permanent(f"journal: a {message.type} is no journal record")
