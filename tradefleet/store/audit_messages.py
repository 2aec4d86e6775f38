"""What the audit finds by reading messages: what bots asked for and what they were told, held against the books.

Only messages that were not trimmed are there to be read; each is decoded once, some thousands at a time.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg

from tradefleet.domain.ids import ClientOrderId, order_number
from tradefleet.domain.orders import Reason
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.trading import OrderExecuted, OrderRequested

ROWS_AT_ONCE: Final = 5_000

Row = tuple[str, str, str]  # table, key, what is wrong

# What a gateway has taken; it reads rows, so a position says it exactly.
_CONSUMED: Final = """
consumed AS (
    SELECT position.key AS stream, max(position.value::bigint) AS seq
    FROM tradefleet.gateway, jsonb_each_text(positions) AS position
    WHERE fleet = %(fleet)s AND starts_with(position.key, 'orders/') GROUP BY position.key
), taken AS (
    SELECT outbox.stream, outbox.seq, payload FROM tradefleet.outbox JOIN consumed USING (stream)
    WHERE fleet = %(fleet)s AND outbox.seq <= consumed.seq
)"""

COUNT_TAKEN: Final = f"WITH {_CONSUMED} SELECT count(*) FROM taken"  # noqa: S608 - constants, as everywhere below

_TAKEN: Final = f"WITH {_CONSUMED} SELECT substr(stream, 8), seq, payload FROM taken ORDER BY 1, 2"  # noqa: S608

_UNANSWERED: Final = """
SELECT 'outbox', format('stream orders/%%s, number %%s', uid, taken.seq),
    format('was taken and made neither an order nor a dead letter%%s', why)
FROM unnest(%(uids)s::text[], %(seqs)s::bigint[], %(orders)s::text[], %(whys)s::text[])
    AS taken(uid, seq, order_id, why)
WHERE NOT EXISTS (
    SELECT FROM tradefleet.trade_order AS orders WHERE orders.fleet = %(fleet)s
        AND orders.client_order_id = taken.order_id AND orders.uid = taken.uid AND orders.request_seq = taken.seq
) AND NOT EXISTS (
    SELECT FROM tradefleet.dead_letter AS letter
    WHERE letter.fleet = %(fleet)s AND letter.stream = 'orders/' || taken.uid AND letter.seq = taken.seq)"""

COUNT_TOLD: Final = """
SELECT count(*) FROM tradefleet.outbox WHERE fleet = %(fleet)s AND starts_with(stream, 'executions/')"""

_TOLD: Final = """
SELECT substr(stream, 12), seq, payload FROM tradefleet.outbox
WHERE fleet = %(fleet)s AND starts_with(stream, 'executions/') ORDER BY 1, 2"""

_FORGOTTEN: Final = """
SELECT 'outbox', format('stream executions/%%s, number %%s', told.uid, told.seq), CASE
    WHEN left_out > 0 THEN format('told that request %%s was left out, and no dead letter holds it', left_out)
    WHEN orders.uid IS NULL THEN format('told of order %%s, which is not there', order_id)
    WHEN fill.uid IS NULL AND told.trade_id <> '' THEN
        format('told of trade %%s of order %%s, which is not there', told.trade_id, order_id)
    ELSE format('told that order %%s is %%s, it is %%s', order_id, final, orders.status) END
FROM unnest(%(uids)s::text[], %(seqs)s::bigint[], %(orders)s::text[], %(finals)s::text[], %(trades)s::text[],
    %(left_out)s::bigint[]) AS told(uid, seq, order_id, final, trade_id, left_out)
LEFT JOIN tradefleet.trade_order AS orders
    ON orders.fleet = %(fleet)s AND orders.client_order_id = told.order_id AND orders.uid = told.uid
LEFT JOIN tradefleet.fill ON fill.fleet = %(fleet)s AND fill.client_order_id = told.order_id
    AND fill.trade_id = told.trade_id AND fill.uid = told.uid
WHERE CASE WHEN left_out > 0 THEN NOT EXISTS (
    SELECT FROM tradefleet.dead_letter AS letter
    WHERE letter.fleet = %(fleet)s AND letter.stream = 'orders/' || told.uid AND letter.seq = left_out)
ELSE orders.uid IS NULL OR (final <> '' AND final <> orders.status) OR (told.trade_id <> '' AND fill.uid IS NULL) END"""


def unanswered_requests(connection: psycopg.Connection, fleet: str, limit: int) -> list[Row]:
    """Return the requests that a gateway has taken and that left no trace, up to about `limit`.

    A request for an order has made one, perhaps a denied one. Cancels and amendments leave their trace in what they
    were about. What could not be read or applied is a dead letter.
    """
    found: list[Row] = []
    for rows in _batches(connection, _TAKEN, fleet):
        wanted = []
        for uid, seq, payload in rows:
            try:
                message = decode(payload)
            except UndecodableMessage as error:
                wanted.append((uid, seq, "", f": {error}"))
                continue
            if isinstance(message, OrderRequested):
                wanted.append((uid, seq, message.client_order_id, ""))
        found += _held_against(connection, _UNANSWERED, fleet, ("uids", "seqs", "orders", "whys"), wanted)
        if len(found) >= limit:
            break
    return found


def forgotten_executions(connection: psycopg.Connection, fleet: str, limit: int) -> list[Row]:
    """Return the executions that tell a bot of what is not in the books, up to about `limit`.

    That is an order or a trade that is not there, or an end that the order has not come to.
    """
    found: list[Row] = []
    for rows in _batches(connection, _TOLD, fleet):
        told = []
        for uid, seq, payload in rows:
            try:
                message = decode(payload)
            except UndecodableMessage as error:
                found.append(("outbox", f"stream executions/{uid}, number {seq}", f"cannot be read: {error}"))
                continue
            if isinstance(message, OrderExecuted):
                told.append((uid, seq, *_claims(message)))
        names = ("uids", "seqs", "orders", "finals", "trades", "left_out")
        found += _held_against(connection, _FORGOTTEN, fleet, names, told)
        if len(found) >= limit:
            break
    return found


def _claims(message: OrderExecuted) -> tuple[str, str, str, int]:
    """Return order, end (or nothing), trade (or nothing) and the request that was left out (or 0)."""
    order_id = message.client_order_id
    if message.reason is Reason.UNREADABLE:
        return order_id, "", "", int(order_number(ClientOrderId(order_id)))
    final = str(message.status) if message.status.is_final else ""
    return order_id, final, "" if message.fill is None else message.fill.trade_id, 0


def _batches(connection: psycopg.Connection, query: str, fleet: str) -> Iterator[list[Any]]:
    with connection.cursor(name="messages") as cursor:
        cursor.execute(query, {"fleet": fleet})
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows


def _held_against(
    connection: psycopg.Connection, query: str, fleet: str, names: Sequence[str], rows: Sequence[Sequence[object]]
) -> list[Row]:
    """Return what `query` finds wrong with rows whose columns have these names."""
    if not rows:
        return []
    columns = [list(column) for column in zip(*rows, strict=True)]
    return connection.execute(query, {"fleet": fleet, **dict(zip(names, columns, strict=True))}).fetchall()
