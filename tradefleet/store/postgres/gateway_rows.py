"""A gateway's values as rows and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.ledger import LedgerEntry
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest, VoidRequest
from tradefleet.store.ports import DeadLetter, FillRow, OrderRow, VenueRequestRow
from tradefleet.store.postgres.encoding import to_json

_REQUEST_TYPES: dict[str, type[VenueRequest]] = {
    kind.__name__: kind for kind in (SubmitOrder, CancelOrder, AmendOrder, DepositFunds, VoidRequest)
}


def order_rows(orders: Iterable[OrderRow]) -> list[dict[str, Any]]:
    """Return order rows as JSON objects; of an order that is there twice, the last."""
    return [
        {
            "client_order_id": order.client_order_id,
            "bot": order.bot,
            "uid": order.uid,
            "request_seq": order.request_seq,
            "symbol": order.terms.symbol,
            "side": order.terms.side,
            "type": order.terms.type,
            "lots": order.terms.lots,
            "price_ticks": order.terms.price_ticks,
            "trigger_ticks": order.terms.trigger_ticks,
            "time_in_force": order.terms.time_in_force,
            "post_only": order.terms.post_only,
            "reduce_only": order.terms.reduce_only,
            "status": order.status,
            "reason": order.reason,
            "is_open": not order.status.is_final,
            "filled_lots": order.filled_lots,
            "reserved_asset": order.reserved_asset,
            "reserved_atoms": str(order.reserved_atoms),
            "created_us": order.created_us,
            "updated_us": order.updated_us,
            "state": order.state,
        }
        for order in {order.client_order_id: order for order in orders}.values()
    ]


def order_of(row: Sequence[Any]) -> OrderRow:
    """Return a row of `gateway_sql.ORDER_COLUMNS` as the order."""
    terms = OrderTerms(
        symbol=row[4],
        side=Side(row[5]),
        type=OrderType(row[6]),
        lots=row[7],
        price_ticks=row[8],
        trigger_ticks=row[9],
        time_in_force=TimeInForce(row[10]),
        post_only=row[11],
        reduce_only=row[12],
    )
    return OrderRow(
        client_order_id=row[0],
        bot=row[1],
        uid=row[2],
        request_seq=row[3],
        terms=terms,
        status=OrderStatus(row[13]),
        reason=Reason(row[14]),
        filled_lots=row[15],
        reserved_asset=row[16],
        reserved_atoms=int(row[17]),
        created_us=row[18],
        updated_us=row[19],
        state=row[20],
    )


def fill_rows(fills: Iterable[FillRow]) -> str:
    """Return the JSON parameter for fills."""
    return to_json(
        [
            {
                "client_order_id": fill.client_order_id,
                "trade_id": fill.trade_id,
                "uid": fill.uid,
                "bot": fill.canonical.bot,
                "number": fill.canonical.number,
                "symbol": fill.canonical.symbol,
                "side": fill.canonical.side,
                "price_ticks": fill.canonical.price_ticks,
                "lots": fill.canonical.lots,
                "fee_atoms": str(fill.canonical.fee_atoms),
                "fee_asset": fill.canonical.fee_asset,
                "market_us": fill.canonical.market_us,
            }
            for fill in fills
        ]
    )


def entry_rows(entries: Iterable[LedgerEntry], uids: Mapping[BotKey, BotUid]) -> str:
    """Return the JSON parameter for ledger transactions."""
    return to_json(
        [
            {
                "uid": uids[entry.bot],
                "seq": entry.seq,
                "bot": entry.bot,
                "kind": entry.kind,
                "reference": entry.reference,
                "market_us": entry.market_us,
            }
            for entry in entries
        ]
    )


def posting_rows(entries: Iterable[LedgerEntry], uids: Mapping[BotKey, BotUid]) -> str:
    """Return the JSON parameter for the postings of ledger transactions."""
    return to_json(
        [
            {
                "uid": uids[entry.bot],
                "seq": entry.seq,
                "line": line,
                "book": posting.book,
                "asset": posting.asset,
                "atoms": str(posting.atoms),
            }
            for entry in entries
            for line, posting in enumerate(entry.postings)
        ]
    )


def venue_request_rows(rows: Iterable[VenueRequestRow]) -> str:
    """Return the JSON parameter for requests to the venue; a request itself is kept as JSON text."""
    return to_json(
        [
            {
                "no": row.request.no,
                "kind": type(row.request).__name__,
                "client_order_id": row.client_order_id,
                "request": encode_request(row.request),
            }
            for row in rows
        ]
    )


def encode_request(request: VenueRequest) -> bytes:
    """Return a request as JSON. An amount in atoms may be wider than 64 bits, so it travels as text."""
    if isinstance(request, DepositFunds):
        values = {name: getattr(request, name) for name in DepositFunds.__dataclass_fields__}
        return msgspec.json.encode({**values, "atoms": str(request.atoms)})
    return msgspec.json.encode(request)


def request_of(kind: str, text: bytes, client_order_id: str) -> VenueRequestRow:
    """Return a stored request to the venue."""
    if kind == DepositFunds.__name__:
        values = msgspec.json.decode(text)
        return VenueRequestRow(
            request=DepositFunds(**{**values, "atoms": int(values["atoms"])}), client_order_id=client_order_id
        )
    return VenueRequestRow(
        request=msgspec.json.decode(text, type=_REQUEST_TYPES[kind]), client_order_id=client_order_id
    )


def statistics_rows(statistics: Iterable[BotStatistics], uids: Mapping[BotKey, BotUid]) -> str:
    """Return the JSON parameter for statistics; of two of one bot and step, the last."""
    newest = {(point.bot, point.market_us): point for point in statistics}
    return to_json(
        [
            {
                "uid": uids[point.bot],
                "market_us": point.market_us,
                "bot": point.bot,
                "quote": point.quote,
                "equity_atoms": str(point.equity_atoms),
                "hold_atoms": None if point.hold_atoms is None else str(point.hold_atoms),
                "peak_equity_atoms": str(point.peak_equity_atoms),
                "realized_atoms": str(point.realized_atoms),
                "fees_atoms": str(point.fees_atoms),
                "orders": point.orders,
                "fills": point.fills,
                "open_orders": point.open_orders,
                "positions": dict(point.positions),
            }
            for point in newest.values()
        ]
    )


def dead_letter_rows(letters: Iterable[DeadLetter]) -> str:
    """Return the JSON parameter for dead letters."""
    return to_json(
        [
            {
                "topic": letter.topic,
                "stream": letter.stream,
                "seq": letter.seq,
                "key": letter.key,
                "reason": letter.reason,
                "payload": letter.payload,
            }
            for letter in letters
        ]
    )


def blob_rows(blobs: Mapping[str, bytes | None]) -> list[dict[str, Any]]:
    """Return the state rows to write; those of None are deleted instead."""
    return [{"key": key, "value": value} for key, value in blobs.items() if value is not None]
