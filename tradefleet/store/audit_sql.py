"""SQL of the audit: for each invariant how many things it looks at, and which rows break it.

A finding is (table, key, what is wrong). The gateway's state rows of bots are JSON; of their fields these are read:
free, locked, positions, and, where present, entry_seq, execution_seq and request_seq.
"""

# The books of each bot, as its gateway keeps them.
BOOKS = """
books AS (
    SELECT account, substr(key, 5) AS uid, convert_from(value, 'UTF8')::jsonb AS book
    FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND starts_with(key, 'bot/')
)"""

_WALLETS = f"""{BOOKS}, wallets AS (
    SELECT uid, 'FREE' AS book, amount.key AS asset, amount.value::numeric AS atoms
    FROM books, jsonb_each_text(books.book -> 'free') AS amount
    UNION ALL
    SELECT uid, 'LOCKED', amount.key, amount.value::numeric
    FROM books, jsonb_each_text(books.book -> 'locked') AS amount
)"""  # noqa: S608 - constants, as everywhere below

COUNT_ENTRIES = "SELECT count(*) FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s"

UNBALANCED = """
SELECT 'posting', format('uid %%s, entry %%s, asset %%s', uid, seq, asset),
    format('sums to %%s atoms, must be 0', sum(atoms))
FROM tradefleet.posting WHERE fleet = %(fleet)s GROUP BY uid, seq, asset HAVING sum(atoms) <> 0
UNION ALL
SELECT 'ledger_entry', format('uid %%s, entry %%s', uid, seq), 'has no postings'
FROM tradefleet.ledger_entry AS entry WHERE fleet = %(fleet)s AND NOT EXISTS (
    SELECT FROM tradefleet.posting WHERE fleet = entry.fleet AND uid = entry.uid AND seq = entry.seq)
UNION ALL
SELECT 'posting', format('uid %%s, entry %%s, line %%s', uid, seq, line), 'belongs to no ledger entry'
FROM tradefleet.posting AS posting WHERE fleet = %(fleet)s AND NOT EXISTS (
    SELECT FROM tradefleet.ledger_entry WHERE fleet = posting.fleet AND uid = posting.uid AND seq = posting.seq)"""

COUNT_LEDGERS = "SELECT count(DISTINCT uid) FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s"

LEDGER_GAPS = f"""
WITH {BOOKS}, numbers AS (
    SELECT uid, count(*) AS entries, max(seq) AS last, min(seq) AS first FROM tradefleet.ledger_entry
    WHERE fleet = %(fleet)s GROUP BY uid
), whole AS (
    SELECT coalesce(numbers.uid, books.uid) AS uid, coalesce(entries, 0) AS entries, coalesce(first, 1) AS first,
        coalesce((books.book ->> 'entry_seq')::bigint, numbers.last, 0) AS last, books.uid IS NULL AS is_bookless
    FROM numbers FULL JOIN books USING (uid)
)
SELECT 'ledger_entry', format('uid %%s', uid),
    format('%%s entries from number %%s, the last number is %%s', entries, first, last)
FROM whole WHERE first <> 1 OR entries <> last
UNION ALL
SELECT 'gateway_blob', format('key bot/%%s', uid), 'is missing, but the bot has ledger entries and is not deleted'
FROM whole WHERE is_bookless AND EXISTS (
    SELECT FROM tradefleet.bot_command WHERE fleet = %(fleet)s AND bot_command.uid = whole.uid)"""  # noqa: S608

COUNT_WALLETS = f"WITH {_WALLETS} SELECT count(*) FROM wallets"  # noqa: S608

WALLETS = f"""
WITH {_WALLETS}, posted AS (
    SELECT uid, book, asset, sum(atoms) AS atoms FROM tradefleet.posting
    WHERE fleet = %(fleet)s AND book IN ('FREE', 'LOCKED') AND uid IN (SELECT uid FROM books)
    GROUP BY uid, book, asset
)
SELECT 'gateway_blob', format('key bot/%%s, %%s %%s', uid, lower(book), asset),
    format('holds %%s atoms, the postings sum to %%s', coalesce(wallets.atoms, 0), coalesce(posted.atoms, 0))
FROM wallets FULL JOIN posted USING (uid, book, asset)
WHERE coalesce(wallets.atoms, 0) <> coalesce(posted.atoms, 0)"""  # noqa: S608

_BALANCES = """
SELECT uid, book, asset, seq, sum(sum(atoms)) OVER (PARTITION BY uid, book, asset ORDER BY seq) AS balance
FROM tradefleet.posting WHERE fleet = %(fleet)s AND book IN ('FREE', 'LOCKED') GROUP BY uid, book, asset, seq"""

COUNT_BALANCES = f"SELECT count(*) FROM ({_BALANCES}) AS balances"  # noqa: S608

NEGATIVE = f"""
WITH {_WALLETS}, balances AS ({_BALANCES})
SELECT 'posting', format('uid %%s, entry %%s, %%s %%s', uid, seq, lower(book), asset),
    format('leaves a balance of %%s atoms', balance)
FROM balances WHERE balance < 0
UNION ALL
SELECT 'gateway_blob', format('key bot/%%s, %%s %%s', uid, lower(book), asset), format('is %%s atoms', atoms)
FROM wallets WHERE atoms < 0"""  # noqa: S608

_POSITIONS = f"""{BOOKS}, positions AS (
    SELECT uid, position.key AS symbol, (position.value ->> 'lots')::numeric AS lots
    FROM books, jsonb_each(books.book -> 'positions') AS position
), filled AS (
    SELECT uid, symbol, sum(CASE side WHEN 'BUY' THEN lots ELSE -lots END) AS lots
    FROM tradefleet.fill WHERE fleet = %(fleet)s AND uid IN (SELECT uid FROM books) GROUP BY uid, symbol
)"""  # noqa: S608

COUNT_POSITIONS = f"WITH {_POSITIONS} SELECT count(*) FROM positions FULL JOIN filled USING (uid, symbol)"  # noqa: S608

POSITIONS = f"""
WITH {_POSITIONS}
SELECT 'gateway_blob', format('key bot/%%s, position %%s', uid, symbol),
    format('holds %%s lots, the fills sum to %%s', coalesce(positions.lots, 0), coalesce(filled.lots, 0))
FROM positions FULL JOIN filled USING (uid, symbol)
WHERE coalesce(positions.lots, 0) <> coalesce(filled.lots, 0)"""  # noqa: S608

COUNT_ORDERS = "SELECT count(*) FROM tradefleet.trade_order WHERE fleet = %(fleet)s"

FILLED = """
WITH filled AS (
    SELECT client_order_id, sum(lots) AS lots FROM tradefleet.fill WHERE fleet = %(fleet)s GROUP BY client_order_id
)
SELECT 'trade_order', format('order %%s', client_order_id),
    format('says %%s of %%s lots are filled, the fills sum to %%s', filled_lots, orders.lots, coalesce(filled.lots, 0))
FROM tradefleet.trade_order AS orders LEFT JOIN filled USING (client_order_id)
WHERE fleet = %(fleet)s AND (filled_lots <> coalesce(filled.lots, 0) OR filled_lots > orders.lots)
UNION ALL
SELECT 'trade_order', format('order %%s', client_order_id),
    format('is %%s with %%s of %%s lots', status, filled_lots, lots)
FROM tradefleet.trade_order
WHERE fleet = %(fleet)s AND (status = 'FILLED') <> (filled_lots = lots) AND NOT is_open
UNION ALL
SELECT 'fill', format('order %%s, trade %%s', client_order_id, trade_id), 'belongs to no order of the same bot and side'
FROM tradefleet.fill AS fill WHERE fleet = %(fleet)s AND NOT EXISTS (
    SELECT FROM tradefleet.trade_order AS orders WHERE orders.fleet = fill.fleet
        AND orders.client_order_id = fill.client_order_id AND orders.uid = fill.uid AND orders.symbol = fill.symbol
        AND orders.side = fill.side)"""

COUNT_RESERVATIONS = "SELECT count(*) FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND is_open"

RESERVATIONS = f"""
WITH {_WALLETS}, reserved AS (
    SELECT uid, reserved_asset AS asset, sum(reserved_atoms) AS atoms FROM tradefleet.trade_order
    WHERE fleet = %(fleet)s AND is_open AND uid IN (SELECT uid FROM books) GROUP BY uid, reserved_asset
)
SELECT 'gateway_blob', format('key bot/%%s, locked %%s', uid, asset),
    format('is %%s atoms, open orders reserve %%s', coalesce(locked.atoms, 0), coalesce(reserved.atoms, 0))
FROM (SELECT * FROM wallets WHERE book = 'LOCKED') AS locked FULL JOIN reserved USING (uid, asset)
WHERE coalesce(locked.atoms, 0) <> coalesce(reserved.atoms, 0)
UNION ALL
SELECT 'trade_order', format('order %%s', client_order_id), format('has ended and still reserves %%s', reserved_atoms)
FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND NOT is_open AND reserved_atoms <> 0"""  # noqa: S608

COUNT_REQUESTS = """
SELECT (SELECT count(*) FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND request_seq IS NOT NULL)
    + (SELECT count(*) FROM tradefleet.venue_request WHERE fleet = %(fleet)s AND kind = 'SubmitOrder')"""

DOUBLE_ORDERS = """
SELECT 'trade_order', format('uid %%s, request %%s', uid, request_seq),
    format('made %%s orders: %%s', count(*), string_agg(client_order_id, ', ' ORDER BY client_order_id))
FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND request_seq IS NOT NULL
GROUP BY uid, request_seq HAVING count(*) > 1
UNION ALL
SELECT 'venue_request', format('order %%s', client_order_id),
    format('was submitted by the requests %%s', string_agg(no::text, ', ' ORDER BY no))
FROM tradefleet.venue_request WHERE fleet = %(fleet)s AND kind = 'SubmitOrder'
GROUP BY client_order_id HAVING count(*) > 1
UNION ALL
SELECT 'trade_order', format('order %%s', client_order_id),
    format('answers request %%s, which bot %%s never made', request_seq, uid)
FROM tradefleet.trade_order AS orders WHERE fleet = %(fleet)s AND request_seq > coalesce(
    (SELECT last_seq FROM tradefleet.stream WHERE fleet = orders.fleet AND stream = 'orders/' || orders.uid), 0)"""

COUNT_STREAMS = """
SELECT coalesce(sum(last_seq - trimmed_seq), 0) FROM tradefleet.stream
WHERE fleet = %(fleet)s AND NOT starts_with(stream, 'bars/')"""

STREAM_GAPS = """
WITH rows AS (
    SELECT stream, count(*) AS found, max(seq) AS last_found FROM tradefleet.outbox WHERE fleet = %(fleet)s
    GROUP BY stream
), counted AS (
    SELECT coalesce(known.stream, rows.stream) AS stream, coalesce(known.last_seq, 0) AS last_seq,
        coalesce(known.last_seq - known.trimmed_seq, 0) AS wanted, coalesce(rows.found, 0) AS found,
        coalesce(rows.last_found, known.last_seq) AS last_found, coalesce(known.trimmed_seq, 0) AS trimmed_seq
    FROM (SELECT * FROM tradefleet.stream WHERE fleet = %(fleet)s AND NOT starts_with(stream, 'bars/')) AS known
    FULL JOIN rows USING (stream)
)
SELECT 'outbox', format('stream %%s', stream),
    coalesce('the first missing number is ' || (
        SELECT min(number) FROM generate_series(trimmed_seq + 1, last_seq) AS number WHERE NOT EXISTS (
            SELECT FROM tradefleet.outbox WHERE fleet = %(fleet)s AND outbox.stream = counted.stream AND seq = number)),
        format('holds %%s messages up to number %%s, its last number is %%s', found, last_found, last_seq))
FROM counted WHERE found <> wanted OR (wanted > 0 AND last_found <> last_seq)"""

COUNT_BARS = "SELECT count(*) FROM tradefleet.bar WHERE fleet = %(fleet)s AND seq IS NOT NULL"

BAR_GAPS = """
WITH rows AS (
    SELECT 'bars/' || exchange || ':' || symbol || ':' || interval_us / 1000000 || 's' AS stream, count(*) AS found,
        max(seq) AS last_found
    FROM tradefleet.bar WHERE fleet = %(fleet)s AND seq IS NOT NULL GROUP BY exchange, symbol, interval_us
)
SELECT 'bar', format('stream %%s', stream),
    format('holds %%s bars up to number %%s, its last number is %%s', coalesce(found, 0), coalesce(last_found, 0),
        coalesce(last_seq, 0))
FROM (SELECT * FROM tradefleet.stream WHERE fleet = %(fleet)s AND starts_with(stream, 'bars/')) AS known
FULL JOIN rows USING (stream)
WHERE coalesce(found, 0) <> coalesce(last_seq, 0) OR coalesce(last_found, 0) <> coalesce(last_seq, 0)"""

# Every row that says which epoch wrote it, in the order of its writing within one writer.
_EPOCHS = """
rows AS (
    SELECT 'outbox' AS kind, format('stream %%s, number %%s', stream, seq) AS key, stream AS sequence, seq AS place,
        epoch, CASE WHEN starts_with(stream, 'orders/') THEN substr(stream, 8) END AS uid,
        CASE WHEN starts_with(stream, 'executions/') THEN substr(stream, 12) END AS executed_uid, NULL AS account
    FROM tradefleet.outbox WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'trade_order', format('order %%s', client_order_id), 'order ' || account, event_no, epoch, NULL, NULL,
        account
    FROM tradefleet.trade_order WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'fill', format('order %%s, trade %%s', client_order_id, trade_id), 'fill ' || account, event_no, epoch, NULL,
        NULL, account
    FROM tradefleet.fill WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'ledger_entry', format('uid %%s, entry %%s', uid, seq), 'entry ' || uid, seq, epoch, NULL, NULL, account
    FROM tradefleet.ledger_entry WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'venue_request', format('account %%s, request %%s', account, no), 'request ' || account, event_no, epoch,
        NULL, NULL, account
    FROM tradefleet.venue_request WHERE fleet = %(fleet)s
)"""

COUNT_EPOCHS = f"WITH {_EPOCHS} SELECT count(*) FROM rows"  # noqa: S608

# Gateways of one fleet may take a bot over from each other's account only by another bot, so executions are compared
# with the epoch of whichever account has the bot's orders.
STALE_EPOCHS = f"""
WITH {_EPOCHS}, in_order AS (
    SELECT *, max(epoch) OVER (PARTITION BY sequence ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        AS epoch_before
    FROM rows
), owned AS (
    SELECT in_order.*, coalesce(bot.epoch, gateway.epoch) AS newest FROM in_order
    LEFT JOIN tradefleet.bot ON bot.fleet = %(fleet)s AND bot.uid = in_order.uid
    LEFT JOIN tradefleet.gateway ON gateway.fleet = %(fleet)s AND gateway.account = coalesce(in_order.account,
        (SELECT account FROM tradefleet.gateway_blob
         WHERE fleet = %(fleet)s AND key = 'bot/' || in_order.executed_uid LIMIT 1))
)
SELECT kind, key, format('was written by epoch %%s after epoch %%s had written', epoch, epoch_before)
FROM owned WHERE epoch < epoch_before
UNION ALL
SELECT kind, key, format('was written by epoch %%s, the newest is %%s', epoch, newest) FROM owned WHERE epoch > newest
UNION ALL
SELECT 'trade_order', format('order %%s', client_order_id),
    format('was changed by epoch %%s, made by %%s, the newest is %%s', updated_epoch, orders.epoch, gateway.epoch)
FROM tradefleet.trade_order AS orders JOIN tradefleet.gateway USING (fleet, account)
WHERE fleet = %(fleet)s AND (updated_epoch > gateway.epoch OR updated_epoch < orders.epoch)"""  # noqa: S608

COUNT_RETIRED = "SELECT count(*) FROM tradefleet.bot WHERE fleet = %(fleet)s AND retired IS NOT NULL"

# While a bot is wound down its command is still there.
ORPHANED = """
SELECT 'trade_order', format('order %%s', client_order_id),
    format('is open, but bot %%s was deleted with %%s', bot.bot, bot.retired)
FROM tradefleet.trade_order AS orders JOIN tradefleet.bot USING (fleet, uid)
WHERE fleet = %(fleet)s AND orders.is_open AND bot.retired IS NOT NULL AND bot.retired <> 'Keep' AND NOT EXISTS (
    SELECT FROM tradefleet.bot_command WHERE fleet = orders.fleet AND bot_command.uid = orders.uid)"""

_RISING = """
rising AS (
    SELECT client_order_id, account, bot, event_no FROM tradefleet.trade_order
    WHERE fleet = %(fleet)s AND side = 'BUY' AND NOT reduce_only AND status <> 'DENIED'
)"""

COUNT_RISING = f"WITH {_RISING} SELECT count(*) FROM rising"  # noqa: S608

# The numbers of one sequence order both: an order has its number from after its gateway shared the switch, a period
# from after it had the switch alone.
AFTER_HALT = f"""
WITH {_RISING}
SELECT 'trade_order', format('order %%s', client_order_id),
    format('raises risk and was accepted after the halt of %%s by %%s (%%s)', scope, set_by, reason)
FROM rising JOIN tradefleet.halt_period AS period ON period.fleet = %(fleet)s
    AND period.scope IN ('fleet', 'account/' || rising.account, 'bot/' || rising.bot,
        'policy/' || rising.bot)
    AND rising.event_no > period.set_no AND (period.cleared_no IS NULL OR rising.event_no < period.cleared_no)"""  # noqa: S608

COUNT_POSITIONS_IN_STREAMS = """
SELECT (SELECT count(*) FROM tradefleet.bot, jsonb_each_text(positions) WHERE fleet = %(fleet)s)
    + (SELECT count(*) FROM tradefleet.gateway, jsonb_each_text(positions) WHERE fleet = %(fleet)s)
    + (SELECT count(*) FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND starts_with(key, 'bot/'))"""

AHEAD_OF_STREAM = f"""
WITH {BOOKS}, consumed AS (
    SELECT 'bot' AS kind, format('uid %%s', uid) AS key, position.key AS stream, position.value::bigint AS seq
    FROM tradefleet.bot, jsonb_each_text(positions) AS position WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'gateway', format('account %%s', account), position.key, position.value::bigint
    FROM tradefleet.gateway, jsonb_each_text(positions) AS position WHERE fleet = %(fleet)s
    UNION ALL
    SELECT 'gateway_blob', format('key bot/%%s', uid), 'orders/' || uid, (book ->> 'request_seq')::bigint FROM books
)
SELECT kind, key, format('has consumed %%s up to %%s, its last number is %%s', stream, seq, last_seq)
FROM consumed JOIN tradefleet.stream USING (stream) WHERE fleet = %(fleet)s AND seq > last_seq
UNION ALL
SELECT 'gateway_blob', format('key bot/%%s', uid),
    format('has made %%s executions, the stream ends at %%s', book ->> 'execution_seq', coalesce(last_seq, 0))
FROM books LEFT JOIN tradefleet.stream ON fleet = %(fleet)s AND stream = 'executions/' || uid
WHERE (book ->> 'execution_seq')::bigint <> coalesce(last_seq, 0)"""  # noqa: S608

COUNT_RECORDS = """
SELECT (SELECT count(*) FROM tradefleet.bot WHERE fleet = %(fleet)s AND record_generation > 0)
    + (SELECT count(*) FROM tradefleet.bot_generation WHERE fleet = %(fleet)s)"""

RECORDS = """
WITH chunks AS (
    SELECT uid, generation, sum(length(sources)) AS inputs FROM tradefleet.bot_record_chunk WHERE fleet = %(fleet)s
    GROUP BY uid, generation
), records AS (
    SELECT 'bot' AS kind, uid, record_generation AS generation, input_count, length(tail) AS open_inputs, request_count,
        first_request_seq,
        coalesce((SELECT last_seq FROM tradefleet.stream
                  WHERE stream.fleet = bot.fleet AND stream = 'orders/' || uid), 0) AS last_request_seq
    FROM tradefleet.bot WHERE fleet = %(fleet)s AND record_generation > 0
    UNION ALL
    SELECT 'bot_generation', uid, generation, input_count, 0, request_count, first_request_seq,
        first_request_seq + request_count
    FROM tradefleet.bot_generation WHERE fleet = %(fleet)s
)
SELECT kind, format('uid %%s, generation %%s', uid, generation),
    format('counts %%s inputs, the record holds %%s', input_count, coalesce(inputs, 0) + open_inputs)
FROM records LEFT JOIN chunks USING (uid, generation) WHERE input_count <> coalesce(inputs, 0) + open_inputs
UNION ALL
SELECT kind, format('uid %%s, generation %%s', uid, generation),
    format('counts %%s requests, the stream holds %%s', request_count, last_request_seq - first_request_seq)
FROM records WHERE request_count <> last_request_seq - first_request_seq"""

COUNT_BOOKS = "SELECT count(*) FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND starts_with(key, 'bot/')"

# Beside the sums: an order that never filled leaves no trace in them when its row is lost.
LOST_ROWS = f"""
WITH {BOOKS}, counted AS (
    SELECT uid, (book ->> 'order_count')::bigint + (book ->> 'order_counter')::bigint AS orders_made,
        (book ->> 'fill_count')::bigint AS fills_made,
        (SELECT count(*) FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND trade_order.uid = books.uid)
            AS orders_kept,
        (SELECT count(*) FROM tradefleet.fill WHERE fleet = %(fleet)s AND fill.uid = books.uid) AS fills_kept
    FROM books
)
SELECT 'trade_order', format('uid %%s', uid), format('%%s orders are there, %%s were made', orders_kept, orders_made)
FROM counted WHERE orders_kept <> orders_made
UNION ALL
SELECT 'fill', format('uid %%s', uid), format('%%s fills are there, %%s were made', fills_kept, fills_made)
FROM counted WHERE fills_kept <> fills_made"""  # noqa: S608
