"""SQL of a gateway's transaction. Rows of one kind travel as one JSON parameter (see `encoding`)."""

# The first of every stream come before the second of any: whoever asks for much does not delay the others.
REQUESTS = """
SELECT stream, seq, topic, key, market_us, payload FROM (
    SELECT message.stream, message.seq, message.topic, message.key, message.market_us, message.payload
    FROM json_to_recordset(%(after)s::json) AS wanted(stream text, after bigint)
    CROSS JOIN LATERAL (
        SELECT * FROM tradefleet.outbox
        WHERE fleet = %(fleet)s AND stream = wanted.stream AND seq > wanted.after ORDER BY seq LIMIT %(limit)s
    ) AS message
    ORDER BY message.seq - wanted.after, message.stream LIMIT %(limit)s
) AS shared
ORDER BY stream, seq"""

# Streams whose next message is gone: without this, a reader would take "trimmed" for "nothing yet".
TRIMMED = """
SELECT stream, (%(positions)s::jsonb -> stream)::bigint, trimmed_seq FROM tradefleet.stream
WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) AND trimmed_seq > (%(positions)s::jsonb -> stream)::bigint"""

# Rule 11: whoever switches on waits for every transaction that holds the switch this way. All are locked in the order
# of their names.
SHARE_HALTS = """
SELECT scope, is_on, reason, set_by FROM tradefleet.halt
WHERE fleet = %(fleet)s AND scope = ANY(%(scopes)s) ORDER BY scope FOR SHARE"""

# The fence (rule 2), the compare-and-set (rule 7) and the numbers of the venue's requests, in one statement.
FENCE = """
WITH fenced AS (
    UPDATE tradefleet.gateway
    SET version = version + 1, positions = positions || %(positions)s::jsonb,
        requests_before = request_no, request_no = GREATEST(request_no, %(last_request)s)
    WHERE fleet = %(fleet)s AND account = %(account)s AND epoch = %(epoch)s AND version = %(version)s
    RETURNING requests_before, request_no
)
SELECT tradefleet.require(EXISTS (SELECT FROM fenced), 'TF003', %(fence_message)s),
    tradefleet.require((SELECT request_no - requests_before
        = (SELECT count(*) FROM unnest(%(numbers)s::bigint[]) AS number WHERE number > requests_before) FROM fenced),
        'TF004', %(gap_message)s)"""

ABSENCES = """
SELECT tradefleet.now_us(), coalesce(array_agg(uid), '{}') FROM tradefleet.bot
WHERE fleet = %(fleet)s AND uid = ANY(%(bots)s) AND (holder = '' OR lease_until_us <= tradefleet.now_us())"""

_IDENTITY = "({0}.account, {0}.uid, {0}.bot, coalesce({0}.request_seq, -1), {0}.symbol, {0}.side, {0}.type)"

# Unique by client_order_id (rule 1): the same order goes on, another one of the same id fails the transaction.
WRITE_ORDERS = f"""
WITH written AS (
    INSERT INTO tradefleet.trade_order AS known (fleet, client_order_id, account, bot, uid, request_seq, symbol, side,
        type, lots, price_ticks, trigger_ticks, time_in_force, post_only, reduce_only, status, reason, is_open,
        filled_lots, reserved_asset, reserved_atoms, created_us, updated_us, state, epoch, updated_epoch)
    SELECT %(fleet)s, client_order_id, %(account)s, bot, uid, request_seq, symbol, side, type, lots, price_ticks,
        trigger_ticks, time_in_force, post_only, reduce_only, status, reason, is_open, filled_lots, reserved_asset,
        reserved_atoms, created_us, updated_us, decode(state, 'base64'), %(epoch)s, %(epoch)s
    FROM json_to_recordset(%(orders)s::json) AS row(client_order_id text, bot text, uid text, request_seq bigint,
        symbol text, side text, type text, lots bigint, price_ticks bigint, trigger_ticks bigint, time_in_force text,
        post_only boolean, reduce_only boolean, status text, reason text, is_open boolean, filled_lots bigint,
        reserved_asset text, reserved_atoms numeric, created_us bigint, updated_us bigint, state text)
    ON CONFLICT (fleet, client_order_id) DO UPDATE SET lots = EXCLUDED.lots, price_ticks = EXCLUDED.price_ticks,
        trigger_ticks = EXCLUDED.trigger_ticks, time_in_force = EXCLUDED.time_in_force,
        post_only = EXCLUDED.post_only, reduce_only = EXCLUDED.reduce_only, status = EXCLUDED.status,
        reason = EXCLUDED.reason, is_open = EXCLUDED.is_open, filled_lots = EXCLUDED.filled_lots,
        reserved_asset = EXCLUDED.reserved_asset, reserved_atoms = EXCLUDED.reserved_atoms,
        created_us = EXCLUDED.created_us, updated_us = EXCLUDED.updated_us, state = EXCLUDED.state,
        updated_epoch = EXCLUDED.updated_epoch
        WHERE {_IDENTITY.format("known")} = {_IDENTITY.format("EXCLUDED")}
    RETURNING client_order_id
)
SELECT tradefleet.require(count(*) = %(count)s, 'TF005', %(message)s) FROM written"""  # noqa: S608 - constants

WRITE_FILLS = """
INSERT INTO tradefleet.fill (fleet, client_order_id, trade_id, account, uid, bot, number, symbol, side, price_ticks,
    lots, fee_atoms, fee_asset, market_us, epoch)
SELECT %(fleet)s, client_order_id, trade_id, %(account)s, uid, bot, number, symbol, side, price_ticks, lots, fee_atoms,
    fee_asset, market_us, %(epoch)s
FROM json_to_recordset(%(fills)s::json) AS row(client_order_id text, trade_id text, uid text, bot text, number text,
    symbol text, side text, price_ticks bigint, lots bigint, fee_atoms numeric, fee_asset text, market_us bigint)"""

WRITE_ENTRIES = """
INSERT INTO tradefleet.ledger_entry (fleet, uid, seq, account, bot, kind, reference, market_us, epoch)
SELECT %(fleet)s, uid, seq, %(account)s, bot, kind, reference, market_us, %(epoch)s
FROM json_to_recordset(%(entries)s::json)
    AS row(uid text, seq bigint, bot text, kind text, reference text, market_us bigint)"""

WRITE_POSTINGS = """
INSERT INTO tradefleet.posting (fleet, uid, seq, line, book, asset, atoms)
SELECT %(fleet)s, uid, seq, line, book, asset, atoms
FROM json_to_recordset(%(postings)s::json)
    AS row(uid text, seq bigint, line integer, book text, asset text, atoms numeric)"""

# Only a void request may take the place of an older one, and only while that is unsettled.
WRITE_VENUE_REQUESTS = """
WITH written AS (
    INSERT INTO tradefleet.venue_request AS known (fleet, account, no, kind, client_order_id, request, epoch)
    SELECT %(fleet)s, %(account)s, no, kind, client_order_id, decode(request, 'base64'), %(epoch)s
    FROM json_to_recordset(%(requests)s::json) AS row(no bigint, kind text, client_order_id text, request text)
    ON CONFLICT (fleet, account, no) DO UPDATE SET kind = EXCLUDED.kind, request = EXCLUDED.request,
        client_order_id = EXCLUDED.client_order_id
        WHERE EXCLUDED.kind = 'VoidRequest' AND NOT known.is_settled
    RETURNING no
)
SELECT tradefleet.require(count(*) = %(count)s, 'TF005', %(message)s) FROM written"""

SETTLE = """
UPDATE tradefleet.venue_request SET is_settled = true
WHERE fleet = %(fleet)s AND account = %(account)s AND no = ANY(%(numbers)s::bigint[]) AND NOT is_settled"""

WRITE_BLOBS = """
INSERT INTO tradefleet.gateway_blob (fleet, account, key, value)
SELECT %(fleet)s, %(account)s, key, decode(value, 'base64')
FROM json_to_recordset(%(blobs)s::json) AS row(key text, value text)
ON CONFLICT (fleet, account, key) DO UPDATE SET value = EXCLUDED.value"""

DELETE_BLOBS = """
DELETE FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND account = %(account)s AND key = ANY(%(keys)s)"""

WRITE_STATISTICS = """
INSERT INTO tradefleet.statistics (fleet, uid, market_us, bot, quote, equity_atoms, hold_atoms, peak_equity_atoms,
    realized_atoms, fees_atoms, orders, fills, open_orders, positions)
SELECT %(fleet)s, uid, market_us, bot, quote, equity_atoms, hold_atoms, peak_equity_atoms, realized_atoms, fees_atoms,
    orders, fills, open_orders, positions
FROM json_to_recordset(%(statistics)s::json) AS row(uid text, market_us bigint, bot text, quote text,
    equity_atoms numeric, hold_atoms numeric, peak_equity_atoms numeric, realized_atoms numeric, fees_atoms numeric,
    orders bigint, fills bigint, open_orders bigint, positions jsonb)
ON CONFLICT (fleet, uid, market_us) DO UPDATE SET equity_atoms = EXCLUDED.equity_atoms,
    hold_atoms = EXCLUDED.hold_atoms, peak_equity_atoms = EXCLUDED.peak_equity_atoms,
    realized_atoms = EXCLUDED.realized_atoms, fees_atoms = EXCLUDED.fees_atoms, orders = EXCLUDED.orders,
    fills = EXCLUDED.fills, open_orders = EXCLUDED.open_orders, positions = EXCLUDED.positions"""

WRITE_DEAD_LETTERS = """
INSERT INTO tradefleet.dead_letter (fleet, topic, stream, seq, key, reason, payload, recorded_us)
SELECT %(fleet)s, topic, stream, seq, key, reason, decode(payload, 'base64'), tradefleet.now_us()
FROM json_to_recordset(%(letters)s::json)
    AS row(topic text, stream text, seq bigint, key text, reason text, payload text)"""

LOAD = "SELECT version, positions FROM tradefleet.gateway WHERE fleet = %(fleet)s AND account = %(account)s"

LOAD_BLOBS = "SELECT key, value FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND account = %(account)s"

ORDER_COLUMNS = """client_order_id, bot, uid, request_seq, symbol, side, type, lots, price_ticks, trigger_ticks,
    time_in_force, post_only, reduce_only, status, reason, filled_lots, reserved_asset, reserved_atoms, created_us,
    updated_us, state"""

LOAD_OPEN_ORDERS = f"""
SELECT {ORDER_COLUMNS} FROM tradefleet.trade_order
WHERE fleet = %(fleet)s AND account = %(account)s AND is_open ORDER BY event_no"""  # noqa: S608 - constants

LOAD_UNSETTLED = """
SELECT kind, request, client_order_id FROM tradefleet.venue_request
WHERE fleet = %(fleet)s AND account = %(account)s AND NOT is_settled ORDER BY no"""
