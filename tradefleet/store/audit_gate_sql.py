"""SQL of the audit, continued: what the risk gate let pass, and what makes it refuse at present."""

from tradefleet.store.audit_sql import BOOKS

# Orders of a bot's present generation: by the limits that hold now. Earlier ones were judged by earlier limits.
_AGED = f"""{BOOKS}, judged AS (
    SELECT orders.client_order_id, split_part(orders.account, ':', 1) AS exchange, orders.symbol, orders.created_us,
        (book -> 'config' -> 'limits' ->> 'max_data_age_us')::bigint AS oldest_us
    FROM books JOIN tradefleet.bot ON bot.fleet = %(fleet)s AND bot.uid = books.uid
        AND bot.record_generation = (book -> 'config' ->> 'generation')::bigint
    JOIN tradefleet.trade_order AS orders ON orders.fleet = %(fleet)s AND orders.uid = books.uid
        AND orders.request_seq > bot.first_request_seq
    WHERE side = 'BUY' AND NOT reduce_only AND status <> 'DENIED'
        AND book -> 'config' -> 'limits' ->> 'max_data_age_us' IS NOT NULL
)"""  # noqa: S608 - constants, as everywhere below

COUNT_AGED = f"WITH {_AGED} SELECT count(*) FROM judged"  # noqa: S608

# The gate saw no newer bar than there was. It may have seen an older one: what is found here is wrong for certain.
STALE_DATA = f"""
WITH {_AGED}, series AS MATERIALIZED (
    SELECT stream, substring(stream from ':([0-9]+)s$')::bigint * 1000000 AS interval_us FROM tradefleet.stream
    WHERE fleet = %(fleet)s AND starts_with(stream, 'bars/')
), aged AS (
    SELECT judged.*, (
        SELECT max(newest.close_us) FROM series, LATERAL (
            SELECT open_us + series.interval_us AS close_us FROM tradefleet.bar
            WHERE bar.fleet = %(fleet)s AND bar.exchange = judged.exchange AND bar.symbol = judged.symbol
                AND bar.interval_us = series.interval_us AND open_us <= judged.created_us - series.interval_us
                AND seq IS NOT NULL
            ORDER BY open_us DESC LIMIT 1
        ) AS newest
        WHERE starts_with(series.stream, 'bars/' || judged.exchange || ':' || judged.symbol || ':')
    ) AS newest_us
    FROM judged
)
SELECT 'trade_order', format('order %%s', client_order_id),
    CASE WHEN newest_us IS NULL THEN 'raises risk and was accepted without any data'
    ELSE format('raises risk and was accepted on data of %%s s ago, its bot allows %%s s',
        (created_us - newest_us) / 1000000, oldest_us / 1000000) END
FROM aged WHERE newest_us IS NULL OR created_us - newest_us > oldest_us"""  # noqa: S608

COUNT_LETTERS = """
SELECT count(*) FROM tradefleet.dead_letter
WHERE fleet = %(fleet)s AND (starts_with(stream, 'orders/') OR stream = 'reports')"""

# What closed a bot's stream says which letter did; once it is resolved, the letter is history.
LETTERS = f"""
WITH {BOOKS}, closures AS (
    SELECT account, uid, closure.key AS cause, closure.value AS why
    FROM books, jsonb_each_text(book -> 'closures') AS closure
), unresolved AS (
    SELECT closures.*, letter.stream, letter.seq
    FROM closures LEFT JOIN tradefleet.dead_letter AS letter ON letter.fleet = %(fleet)s AND (
        (letter.stream = 'orders/' || uid AND letter.reason = why) OR (letter.stream = 'reports'
            AND letter.key = account AND format('venue report %%s: %%s', letter.seq, letter.reason) = why))
)
SELECT DISTINCT 'dead_letter', format('stream %%s, number %%s', stream, seq),
    format('is not resolved: bot %%s takes no new risk', uid)
FROM unresolved WHERE stream IS NOT NULL
UNION ALL
SELECT 'gateway_blob', format('key bot/%%s', uid),
    format('is closed (%%s), and no dead letter says so: %%s', cause, why)
FROM unresolved WHERE stream IS NULL"""  # noqa: S608

COUNT_ACCOUNTS = "SELECT count(*) FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND key = 'gateway'"

MISMATCHES = """
SELECT 'gateway_blob', format('account %%s', account), format('differs from its venue: %%s', why)
FROM (
    SELECT account, convert_from(value, 'UTF8')::jsonb ->> 'mismatch' AS why FROM tradefleet.gateway_blob
    WHERE fleet = %(fleet)s AND key = 'gateway'
) AS own WHERE why <> ''"""
