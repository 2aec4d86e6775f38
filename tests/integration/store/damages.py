"""What can be done to a fleet's rows by hand, and what the audit has to say to each."""

from tests.contracts.store.samples import ACCOUNT, BARS, OTHER_BOT, OTHER_UID, SYMBOL, UID, order

ORDER = order(1).client_order_id
OPEN = order(2).client_order_id
RESOLVED = "request 1 cannot be read: no such schema"  # a dead letter that nothing is closed for any more

SUM = "every ledger transaction sums to zero per asset"
GAP = "a bot's ledger has no gap"
WALLET = "a wallet is the sum of its postings"
NEGATIVE = "free and locked are never negative"
POSITION = "a position is the sum of unique fills"
FILLED = "an order's filled lots are its fills"
LOCKED = "what is locked is what open orders reserve"
ONCE = "at most one order per request, submitted once"
STREAM = "stream numbers have no gap"
BAR = "bar numbers have no gap"
CONSUMED = "nobody has consumed or made what is not in the stream"
EPOCH = "only the newest epoch writes"
RECORD = "a bot's record is whole"
DELETED = "a deleted bot has no open orders unless it keeps them"
HALT = "no order that raises risk is accepted after a halt"
STALE = "stale data means no new risk"
TAKEN = "a request that was taken made its order or is a dead letter"
DURABLE = "what was acknowledged is durable"
COUNTED = "orders and fills are as many as were made"
LETTER = "a dead letter that bears money is resolved"
AGREE = "books and venue agree"

CHANGED_BOOKS = (
    "UPDATE tradefleet.gateway_blob SET value = convert_to(replace(convert_from(value, 'UTF8'), {}), 'UTF8') "
    "WHERE fleet = %(fleet)s"
)

# Each: what is done by hand, and every (invariant, table, key) that has to be among the findings.
DAMAGES = [
    (
        "DELETE FROM tradefleet.posting WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 3 AND line = 1",
        (SUM, "posting", f"uid {UID}, entry 3, asset USD"),
    ),
    (
        "DELETE FROM tradefleet.posting WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 2 AND book = 'LOCKED'",
        (WALLET, "gateway_blob", f"key bot/{UID}, locked USD"),
    ),
    (
        "DELETE FROM tradefleet.posting WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 4",
        (SUM, "ledger_entry", f"uid {UID}, entry 4"),
    ),
    (
        "DELETE FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 4",
        (SUM, "posting", f"uid {UID}, entry 4, line 0"),
    ),
    (
        "UPDATE tradefleet.posting SET atoms = atoms + 1 WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 1",
        (WALLET, "gateway_blob", f"key bot/{UID}, free USD"),
    ),
    (
        "DELETE FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s AND uid = %(uid)s AND seq = 2",
        (GAP, "ledger_entry", f"uid {UID}"),
    ),
    (
        "DELETE FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s AND uid = %(uid)s",
        (GAP, "ledger_entry", f"uid {UID}"),
    ),
    (
        "UPDATE tradefleet.posting SET atoms = -9999 WHERE fleet = %(fleet)s AND seq = 2 AND book = 'FREE'",
        (NEGATIVE, "posting", f"uid {UID}, entry 2, free USD"),
    ),
    (
        CHANGED_BOOKS.format("'\"USD\": 300', '\"USD\": -300'"),
        (NEGATIVE, "gateway_blob", f"key bot/{UID}, locked USD"),
    ),
    (
        "UPDATE tradefleet.fill SET lots = 26 WHERE fleet = %(fleet)s AND trade_id = 't1'",
        (POSITION, "gateway_blob", f"key bot/{UID}, position {SYMBOL}"),
        (FILLED, "trade_order", f"order {ORDER}"),
    ),
    (
        "DELETE FROM tradefleet.fill WHERE fleet = %(fleet)s AND trade_id = 't2'",
        (FILLED, "trade_order", f"order {ORDER}"),
        (COUNTED, "fill", f"uid {UID}"),
    ),
    (
        "UPDATE tradefleet.fill SET side = 'SELL' WHERE fleet = %(fleet)s AND trade_id = 't2'",
        (FILLED, "fill", f"order {ORDER}, trade t2"),
    ),
    (
        "UPDATE tradefleet.trade_order SET status = 'FILLED' WHERE fleet = %(fleet)s AND client_order_id = %(order)s",
        (FILLED, "trade_order", f"order {ORDER}"),
    ),
    (
        "DELETE FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND client_order_id = %(order)s",
        (FILLED, "fill", f"order {ORDER}, trade t1"),
    ),
    (
        "UPDATE tradefleet.trade_order SET reserved_atoms = 299 WHERE fleet = %(fleet)s AND client_order_id = %(open)s",
        (LOCKED, "gateway_blob", f"key bot/{UID}, locked USD"),
    ),
    (
        "UPDATE tradefleet.trade_order SET reserved_atoms = 1 WHERE fleet = %(fleet)s AND client_order_id = %(order)s",
        (LOCKED, "trade_order", f"order {ORDER}"),
    ),
    (
        "UPDATE tradefleet.venue_request SET client_order_id = %(order)s WHERE fleet = %(fleet)s",
        (ONCE, "venue_request", f"order {ORDER}"),
    ),
    (
        "UPDATE tradefleet.trade_order SET request_seq = 77 WHERE fleet = %(fleet)s AND client_order_id = %(order)s",
        (ONCE, "trade_order", f"order {ORDER}"),
    ),
    (
        "DELETE FROM tradefleet.outbox WHERE fleet = %(fleet)s AND stream = 'executions/' || %(uid)s AND seq = 2",
        (STREAM, "outbox", f"stream executions/{UID}"),
    ),
    (
        "DELETE FROM tradefleet.outbox WHERE fleet = %(fleet)s AND stream = 'executions/' || %(uid)s",
        (STREAM, "outbox", f"stream executions/{UID}"),
    ),
    (
        "DELETE FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = 'orders/' || %(uid)s",
        (STREAM, "outbox", f"stream orders/{UID}"),
    ),
    (
        "UPDATE tradefleet.stream SET last_seq = 9 WHERE fleet = %(fleet)s AND stream = 'orders/' || %(uid)s",
        (STREAM, "outbox", f"stream orders/{UID}"),
    ),
    (
        "DELETE FROM tradefleet.bar WHERE fleet = %(fleet)s AND seq = 2",
        (BAR, "bar", f"stream {BARS}"),
    ),
    (
        f"UPDATE tradefleet.bot SET positions = '{{\"{BARS}\": 9}}' WHERE fleet = %(fleet)s AND uid = %(uid)s",
        (CONSUMED, "bot", f"uid {UID}"),
    ),
    (
        f"UPDATE tradefleet.gateway SET positions = '{{\"orders/{UID}\": 3}}' WHERE fleet = %(fleet)s",
        (CONSUMED, "gateway", f"account {ACCOUNT}"),
    ),
    (
        CHANGED_BOOKS.format("'\"execution_seq\": 3', '\"execution_seq\": 4'"),
        (CONSUMED, "gateway_blob", f"key bot/{UID}"),
    ),
    (
        "UPDATE tradefleet.outbox SET epoch = 9 WHERE fleet = %(fleet)s AND stream = 'orders/' || %(uid)s AND seq = 2",
        (EPOCH, "outbox", f"stream orders/{UID}, number 2"),
    ),
    (
        f"UPDATE tradefleet.outbox SET epoch = 0 WHERE fleet = %(fleet)s AND stream = 'executions/{UID}' AND seq = 3",
        (EPOCH, "outbox", f"stream executions/{UID}, number 3"),
    ),
    (
        f"UPDATE tradefleet.outbox SET epoch = 2 WHERE fleet = %(fleet)s AND stream = 'executions/{UID}' AND seq = 3",
        (EPOCH, "outbox", f"stream executions/{UID}, number 3"),
    ),
    (
        "UPDATE tradefleet.fill SET epoch = 0 WHERE fleet = %(fleet)s AND trade_id = 't2'",
        (EPOCH, "fill", f"order {ORDER}, trade t2"),
    ),
    (
        "UPDATE tradefleet.trade_order SET epoch = 5 WHERE fleet = %(fleet)s AND client_order_id = %(open)s",
        (EPOCH, "trade_order", f"order {OPEN}"),
    ),
    (
        "UPDATE tradefleet.trade_order SET updated_epoch = 5 WHERE fleet = %(fleet)s AND client_order_id = %(open)s",
        (EPOCH, "trade_order", f"order {OPEN}"),
    ),
    (
        "UPDATE tradefleet.ledger_entry SET epoch = 0 WHERE fleet = %(fleet)s AND seq = 4",
        (EPOCH, "ledger_entry", f"uid {UID}, entry 4"),
    ),
    (
        "UPDATE tradefleet.venue_request SET epoch = 0 WHERE fleet = %(fleet)s AND no = 2",
        (EPOCH, "venue_request", f"account {ACCOUNT}, request 2"),
    ),
    (
        "DELETE FROM tradefleet.bot_record_chunk WHERE fleet = %(fleet)s AND uid = %(uid)s AND chunk = 0",
        (RECORD, "bot_generation", f"uid {UID}, generation 1"),
    ),
    (
        "UPDATE tradefleet.bot SET tail = 'xx' WHERE fleet = %(fleet)s AND uid = %(uid)s",
        (RECORD, "bot", f"uid {UID}, generation 2"),
    ),
    (
        "UPDATE tradefleet.bot SET request_count = 7 WHERE fleet = %(fleet)s AND uid = %(uid)s",
        (RECORD, "bot", f"uid {UID}, generation 2"),
    ),
    (
        "UPDATE tradefleet.bot SET retired = 'CancelOrders' WHERE fleet = %(fleet)s AND uid = %(uid)s",
        (DELETED, "trade_order", f"order {OPEN}"),
    ),
    (
        "UPDATE tradefleet.bot SET retired = 'Flatten' WHERE fleet = %(fleet)s AND retired = 'Keep'",
        (DELETED, "trade_order", f"order {order(1, bot=OTHER_BOT, uid=OTHER_UID).client_order_id}"),
    ),
    (
        "INSERT INTO tradefleet.halt_period VALUES (%(fleet)s, 'fleet', 0, 'drill', 'ana', 0)",
        (HALT, "trade_order", f"order {OPEN}"),
    ),
    (
        "INSERT INTO tradefleet.halt_period VALUES (%(fleet)s, 'bot/ns/alpha', 0, 'drill', 'ana', 0)",
        (HALT, "trade_order", f"order {OPEN}"),
    ),
    (
        "INSERT INTO tradefleet.halt_period VALUES (%(fleet)s, 'account/ns/venue:main', 0, 'drill', 'ana', 0)",
        (HALT, "trade_order", f"order {OPEN}"),
    ),
    (
        "UPDATE tradefleet.trade_order SET created_us = created_us + 61000000 WHERE fleet = %(fleet)s AND is_open",
        (STALE, "trade_order", f"order {OPEN}"),
    ),
    (
        "DELETE FROM tradefleet.bar WHERE fleet = %(fleet)s",
        (STALE, "trade_order", f"order {OPEN}"),
    ),
    (
        "DELETE FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND client_order_id = %(open)s",
        (TAKEN, "outbox", f"stream orders/{UID}, number 2"),
        (DURABLE, "outbox", f"stream executions/{UID}, number 2"),
        (COUNTED, "trade_order", f"uid {UID}"),
    ),
    (
        f"UPDATE tradefleet.outbox SET payload = '?' WHERE fleet = %(fleet)s AND stream = 'orders/{UID}' AND seq = 2",
        (TAKEN, "outbox", f"stream orders/{UID}, number 2"),
    ),
    (
        "DELETE FROM tradefleet.fill WHERE fleet = %(fleet)s AND trade_id = 't1'",
        (DURABLE, "outbox", f"stream executions/{UID}, number 1"),
    ),
    (
        "UPDATE tradefleet.trade_order SET status = 'EXPIRED' WHERE fleet = %(fleet)s AND client_order_id = %(order)s",
        (DURABLE, "outbox", f"stream executions/{UID}, number 3"),
    ),
    (
        CHANGED_BOOKS.format(f'\'"closures": {{}}\', \'"closures": {{"unreadable": "{RESOLVED}"}}\''),
        (LETTER, "dead_letter", f"stream orders/{UID}, number 1"),
    ),
    (
        CHANGED_BOOKS.format('\'"mismatch": ""\', \'"mismatch": "USD: 7 atoms less"\''),
        (AGREE, "gateway_blob", f"account {ACCOUNT}"),
    ),
]
