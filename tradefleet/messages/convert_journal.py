"""Between the venue's inputs and the journal's records. Ticks, lots and atoms pass as the integers they are.

The way back raises InvalidValue for a record that contradicts itself.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import AccountId, ClientOrderId, StreamName, Symbol
from tradefleet.domain.orders import OrderTerms
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest, VoidRequest
from tradefleet.messages.journal import (
    JournalBar,
    JournalBars,
    JournalConfigured,
    JournalRequest,
    JournalRequests,
    VenueRequestKind,
)

T = TypeVar("T")


def journal_stream(exchange: str) -> StreamName:
    """Return the name of the journal's stream; `exchange` is namespace/name."""
    return StreamName(f"journal/{exchange}")


def journal_bars_message(exchange: str, seq: int, epoch: int, market_us: int, bars: Sequence[Bar]) -> JournalBars:
    """Return the journal record for the bars of one step."""
    return JournalBars(
        stream=journal_stream(exchange),
        stream_seq=seq,
        event_time_us=market_us,
        exchange=exchange,
        epoch=epoch,
        bars=tuple(
            JournalBar(
                symbol=bar.symbol,
                interval_us=bar.interval_us,
                open_us=bar.open_us,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
            )
            for bar in bars
        ),
    )


def journal_bars_of(message: JournalBars) -> list[Bar]:
    """Return the bars in a journal record."""
    return [
        Bar(Symbol(bar.symbol), bar.interval_us, bar.open_us, bar.open, bar.high, bar.low, bar.close, bar.volume)
        for bar in message.bars
    ]


def journal_configured_message(
    exchange: str, seq: int, epoch: int, market_us: int, configuration: str
) -> JournalConfigured:
    """Return the journal record for what a venue is from here on; `configuration` is JSON."""
    return JournalConfigured(
        stream=journal_stream(exchange),
        stream_seq=seq,
        event_time_us=market_us,
        exchange=exchange,
        epoch=epoch,
        configuration=configuration,
        configuration_hash=_hash(configuration),
    )


def journal_configuration_of(message: JournalConfigured) -> str:
    """Return the JSON in a journal record. Raises InvalidValue when it is not what was hashed."""
    found = _hash(message.configuration)
    if found != message.configuration_hash:
        raise InvalidValue(
            f"journal of {message.exchange}, record {message.stream_seq}: the hash of its configuration must be "
            f"{message.configuration_hash}, was {found}"
        )
    return message.configuration


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def journal_requests_message(
    exchange: str,
    seq: int,
    epoch: int,
    account: AccountId,
    market_us: int,
    round_no: int,
    requests: Sequence[VenueRequest],
) -> JournalRequests:
    """Return the journal record for a batch of requests of one account."""
    return JournalRequests(
        stream=journal_stream(exchange),
        stream_seq=seq,
        event_time_us=market_us,
        exchange=exchange,
        epoch=epoch,
        round=round_no,
        account=account,
        requests=tuple(_record_of(request) for request in requests),
    )


def journal_requests_of(message: JournalRequests) -> list[VenueRequest]:
    """Return the requests in a journal record."""
    return [_request_of(record) for record in message.requests]


def _record_of(request: VenueRequest) -> JournalRequest:
    match request:
        case SubmitOrder(terms=terms):
            return JournalRequest(
                no=request.no,
                kind=VenueRequestKind.SUBMIT,
                reference=request.client_order_id,
                market_us=request.market_us,
                decided_us=request.decided_us or None,
                symbol=terms.symbol,
                side=terms.side,
                order_type=terms.type,
                lots=terms.lots,
                price_ticks=terms.price_ticks,
                trigger_ticks=terms.trigger_ticks,
                time_in_force=terms.time_in_force,
                post_only=terms.post_only,
                reduce_only=terms.reduce_only,
                protection_ticks=request.protection_ticks,
            )
        case CancelOrder():
            return JournalRequest(
                no=request.no,
                kind=VenueRequestKind.CANCEL,
                reference=request.client_order_id,
                market_us=request.market_us,
                decided_us=request.decided_us or None,
            )
        case AmendOrder():
            return JournalRequest(
                no=request.no,
                kind=VenueRequestKind.AMEND,
                reference=request.client_order_id,
                market_us=request.market_us,
                decided_us=request.decided_us or None,
                lots=request.lots,
                price_ticks=request.price_ticks,
            )
        case DepositFunds():
            return JournalRequest(
                no=request.no,
                kind=VenueRequestKind.DEPOSIT,
                reference=request.reference,
                market_us=request.market_us,
                asset=request.asset,
                amount_atoms=str(request.atoms),
            )
        case VoidRequest():
            return JournalRequest(no=request.no, kind=VenueRequestKind.VOID)


def _request_of(record: JournalRequest) -> VenueRequest:
    if record.kind is VenueRequestKind.VOID:
        return VoidRequest(no=record.no)
    order_id = ClientOrderId(record.reference)
    market_us = _present(record, "market_us", record.market_us)
    decided_us = record.decided_us or 0
    match record.kind:
        case VenueRequestKind.SUBMIT:
            return SubmitOrder(
                no=record.no,
                client_order_id=order_id,
                terms=_terms_of(record),
                market_us=market_us,
                protection_ticks=record.protection_ticks,
                decided_us=decided_us,
            )
        case VenueRequestKind.CANCEL:
            return CancelOrder(no=record.no, client_order_id=order_id, market_us=market_us, decided_us=decided_us)
        case VenueRequestKind.AMEND:
            return AmendOrder(
                no=record.no,
                client_order_id=order_id,
                market_us=market_us,
                lots=record.lots,
                price_ticks=record.price_ticks,
                decided_us=decided_us,
            )
        case VenueRequestKind.DEPOSIT:
            return DepositFunds(
                no=record.no,
                reference=record.reference,
                asset=_present(record, "asset", record.asset),
                atoms=_atoms(record),
                market_us=market_us,
            )


def _terms_of(record: JournalRequest) -> OrderTerms:
    return OrderTerms(
        symbol=Symbol(_present(record, "symbol", record.symbol)),
        side=_present(record, "side", record.side),
        type=_present(record, "order_type", record.order_type),
        lots=_present(record, "lots", record.lots),
        price_ticks=record.price_ticks,
        trigger_ticks=record.trigger_ticks,
        time_in_force=_present(record, "time_in_force", record.time_in_force),
        post_only=record.post_only,
        reduce_only=record.reduce_only,
    )


def _atoms(record: JournalRequest) -> int:
    text = _present(record, "amount_atoms", record.amount_atoms)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidValue(f"journal request {record.no}: amount_atoms must be a whole number, was {text!r}")
    return int(text)


def _present(record: JournalRequest, name: str, value: T | None) -> T:
    if value is None:
        raise InvalidValue(f"journal request {record.no}: {record.kind} needs {name}")
    return value
