"""SQL of what the supervisor does: fleets, bots that come and go, consumers, trimming, topics."""

CREATE_FLEET = """
INSERT INTO tradefleet.fleet (fleet, created_us) VALUES (%(fleet)s, tradefleet.now_us()) ON CONFLICT DO NOTHING"""

REGISTER_BOT = """
INSERT INTO tradefleet.bot (fleet, uid, bot, db_role) VALUES (%(fleet)s, %(uid)s, %(bot)s, %(db_role)s)
ON CONFLICT (fleet, uid) DO UPDATE SET db_role = EXCLUDED.db_role WHERE bot.bot = EXCLUDED.bot
RETURNING uid"""

PUT_INSTRUMENTS = """
INSERT INTO tradefleet.instrument (fleet, exchange, symbol, base, quote, tick, lot, base_scale, quote_scale)
SELECT %(fleet)s, %(exchange)s, symbol, base, quote, tick, lot, base_scale, quote_scale
FROM json_to_recordset(%(instruments)s::json) AS row(symbol text, base text, quote text, tick numeric, lot numeric,
    base_scale integer, quote_scale integer)
ON CONFLICT (fleet, exchange, symbol) DO UPDATE SET base = EXCLUDED.base, quote = EXCLUDED.quote, tick = EXCLUDED.tick,
    lot = EXCLUDED.lot, base_scale = EXCLUDED.base_scale, quote_scale = EXCLUDED.quote_scale"""

# The epoch rises, so a running process is fenced; nobody gets the lease again.
RETIRE_BOT = """
UPDATE tradefleet.bot SET retired = %(policy)s, epoch = epoch + 1, holder = '', lease_until_us = 0
WHERE fleet = %(fleet)s AND uid = %(uid)s AND retired IS NULL"""

REMOVE_CONSUMER = "DELETE FROM tradefleet.consumer WHERE fleet = %(fleet)s AND consumer = %(consumer)s"

REGISTER_CONSUMER = """
INSERT INTO tradefleet.consumer (fleet, stream, consumer)
SELECT %(fleet)s, unnest(%(streams)s::text[]), %(consumer)s"""

FORGET_GENERATIONS = """
WITH chunks AS (
    DELETE FROM tradefleet.bot_record_chunk USING tradefleet.bot_generation AS closed
    WHERE bot_record_chunk.fleet = %(fleet)s AND bot_record_chunk.uid = %(uid)s AND closed.fleet = %(fleet)s
        AND closed.uid = %(uid)s AND closed.generation = bot_record_chunk.generation AND closed.generation < %(before)s
), payloads AS (
    DELETE FROM tradefleet.bot_record_payload USING tradefleet.bot_generation AS closed
    WHERE bot_record_payload.fleet = %(fleet)s AND bot_record_payload.uid = %(uid)s AND closed.fleet = %(fleet)s
        AND closed.uid = %(uid)s AND closed.generation = bot_record_payload.generation
        AND closed.generation < %(before)s
)
DELETE FROM tradefleet.bot_generation WHERE fleet = %(fleet)s AND uid = %(uid)s AND generation < %(before)s
RETURNING generation"""

FORGET_STATISTICS = """
DELETE FROM tradefleet.statistics WHERE fleet = %(fleet)s AND market_us < %(before_us)s RETURNING market_us"""

FORGET_PROGRESS = """
DELETE FROM tradefleet.progress WHERE fleet = %(fleet)s AND run = %(run)s AND market_us < %(before_us)s
RETURNING market_us"""

RECORD_ACTION = """
INSERT INTO tradefleet.audit_log (fleet, at_us, actor, action, object, detail)
VALUES (%(fleet)s, tradefleet.now_us(), %(actor)s, %(action)s, %(target)s, %(detail)s::jsonb)"""

ACTIONS = """
SELECT actor, action, object, detail FROM tradefleet.audit_log WHERE fleet = %(fleet)s ORDER BY entry DESC
LIMIT %(limit)s"""

# The one question here that looks at everything: it may hash.
ALLOW_HASHING = "SET LOCAL enable_hashjoin = on"

# What a message needs before it may go (rule 6): published, passed by every consumer that is registered (and there is
# one), and not an input or output of a record that is kept.
BOUNDS = """
WITH passed AS (
    SELECT consumer.stream, min(coalesce(
        (bot.positions ->> consumer.stream)::bigint, (gateway.positions ->> consumer.stream)::bigint, 0)) AS seq
    FROM tradefleet.consumer
    LEFT JOIN tradefleet.bot ON bot.fleet = consumer.fleet AND starts_with(consumer.consumer, 'bot/')
        AND bot.uid = split_part(consumer.consumer, '/', 4)
    LEFT JOIN tradefleet.gateway ON gateway.fleet = consumer.fleet AND starts_with(consumer.consumer, 'gateway/')
        AND gateway.account = substr(consumer.consumer, 9)
    WHERE consumer.fleet = %(fleet)s GROUP BY consumer.stream
), records AS (
    SELECT uid, start_positions, first_request_seq FROM tradefleet.bot
    WHERE fleet = %(fleet)s AND record_generation > 0
    UNION ALL
    SELECT uid, start_positions, first_request_seq FROM tradefleet.bot_generation WHERE fleet = %(fleet)s
), needed AS (
    SELECT stream, min(seq) AS seq FROM (
        SELECT position.key AS stream, position.value::bigint AS seq
        FROM records, jsonb_each_text(start_positions) AS position
        UNION ALL
        SELECT 'orders/' || uid, first_request_seq FROM records
    ) AS inputs_and_outputs GROUP BY stream
)
SELECT stream.stream, stream.trimmed_seq, LEAST(stream.published_seq, passed.seq, needed.seq)
FROM tradefleet.stream JOIN passed ON passed.stream = stream.stream
LEFT JOIN needed ON needed.stream = stream.stream
WHERE stream.fleet = %(fleet)s AND NOT starts_with(stream.stream, 'bars/') ORDER BY stream.stream"""

# The mark first: a reader that finds no row then knows why.
TRIM = """
WITH trimmed AS (
    UPDATE tradefleet.stream SET trimmed_seq = %(up_to)s
    WHERE fleet = %(fleet)s AND stream = %(stream)s AND trimmed_seq = %(from)s RETURNING stream
)
DELETE FROM tradefleet.outbox USING trimmed
WHERE outbox.fleet = %(fleet)s AND outbox.stream = trimmed.stream AND outbox.seq <= %(up_to)s RETURNING outbox.seq"""

TOPICS = "SELECT topic, cluster_id, topic_id FROM tradefleet.broker_topic WHERE fleet = %(fleet)s"

REMEMBER_TOPIC = """
INSERT INTO tradefleet.broker_topic (fleet, topic, cluster_id, topic_id)
VALUES (%(fleet)s, %(topic)s, %(cluster_id)s, %(topic_id)s)
ON CONFLICT (fleet, topic) DO UPDATE SET cluster_id = EXCLUDED.cluster_id, topic_id = EXCLUDED.topic_id"""
