"""SQL of retention: who consumes what, and what nobody needs any more. Ages are by the database's clock.

Each deletion takes a bounded number of rows, so that none runs into the time-out of a statement.
"""

CONSUMERS = "SELECT consumer, stream FROM tradefleet.consumer WHERE fleet = %(fleet)s"

REMOVE_CONSUMER = "DELETE FROM tradefleet.consumer WHERE fleet = %(fleet)s AND consumer = %(consumer)s"

REGISTER_CONSUMER = """
INSERT INTO tradefleet.consumer (fleet, stream, consumer)
SELECT %(fleet)s, unnest(%(streams)s::text[]), %(consumer)s"""

FORGET_GENERATIONS = """
WITH old AS (
    SELECT uid, generation FROM tradefleet.bot_generation
    WHERE fleet = %(fleet)s AND closed_us <= tradefleet.now_us() - %(kept_us)s ORDER BY closed_us LIMIT %(limit)s
), chunks AS (
    DELETE FROM tradefleet.bot_record_chunk AS part USING old
    WHERE part.fleet = %(fleet)s AND part.uid = old.uid AND part.generation = old.generation
), payloads AS (
    DELETE FROM tradefleet.bot_record_payload AS part USING old
    WHERE part.fleet = %(fleet)s AND part.uid = old.uid AND part.generation = old.generation
), snapshots AS (
    DELETE FROM tradefleet.bot_snapshot AS part USING old
    WHERE part.fleet = %(fleet)s AND part.uid = old.uid AND part.generation = old.generation
)
DELETE FROM tradefleet.bot_generation AS closed USING old
WHERE closed.fleet = %(fleet)s AND closed.uid = old.uid AND closed.generation = old.generation
RETURNING closed.generation"""

# Of the bots that are named by their age in market time; of deleted bots, whose records are gone too, everything.
FORGET_STATISTICS = """
WITH cut AS (
    SELECT wanted.uid, newest.market_us - %(kept_us)s AS before_us
    FROM unnest(%(uids)s::text[]) AS wanted(uid), LATERAL (
        SELECT market_us FROM tradefleet.statistics
        WHERE fleet = %(fleet)s AND statistics.uid = wanted.uid ORDER BY market_us DESC LIMIT 1
    ) AS newest
    UNION ALL
    SELECT uid, 9223372036854775807 FROM tradefleet.bot
    WHERE fleet = %(fleet)s AND retired IS NOT NULL AND record_generation = 0 AND NOT EXISTS (
        SELECT FROM tradefleet.bot_generation AS closed WHERE closed.fleet = bot.fleet AND closed.uid = bot.uid)
)
DELETE FROM tradefleet.statistics WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM cut, LATERAL (
        SELECT ctid FROM tradefleet.statistics
        WHERE fleet = %(fleet)s AND statistics.uid = cut.uid AND market_us < cut.before_us ORDER BY market_us
        LIMIT %(limit)s
    ) AS old LIMIT %(limit)s
)) RETURNING market_us"""

# What tells that the run is over stays: its last step, and who left it before.
FORGET_PROGRESS = """
DELETE FROM tradefleet.progress WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM tradefleet.progress WHERE fleet = %(fleet)s AND run = %(run)s AND NOT has_left AND market_us < (
        SELECT market_us FROM tradefleet.progress WHERE fleet = %(fleet)s AND run = %(run)s
        ORDER BY market_us DESC LIMIT 1)
    LIMIT %(limit)s
)) RETURNING market_us"""

FORGET_ACTIONS = """
DELETE FROM tradefleet.audit_log WHERE entry = ANY (ARRAY(
    SELECT entry FROM tradefleet.audit_log WHERE fleet = %(fleet)s AND at_us <= tradefleet.now_us() - %(kept_us)s
    ORDER BY at_us LIMIT %(limit)s
)) RETURNING entry"""

# One that bears money waits for the person who resolves it (rule 9).
FORGET_DEAD_LETTERS = """
DELETE FROM tradefleet.dead_letter WHERE entry = ANY (ARRAY(
    SELECT entry FROM tradefleet.dead_letter
    WHERE fleet = %(fleet)s AND recorded_us <= tradefleet.now_us() - %(kept_us)s AND starts_with(topic, 'market.')
    ORDER BY recorded_us LIMIT %(limit)s
)) RETURNING entry"""

# The one question here that looks at everything: it may hash.
ALLOW_HASHING = "SET LOCAL enable_hashjoin = on"

# What a message needs before it may go (rule 6): published, passed by every consumer that is registered (and there is
# one), and not an input or output of a record that is kept. A deleted bot reads no executions any more, and of its
# requests those may go that its gateway has applied, published or not: it takes them from here.
BOUNDS = """
WITH passed AS (
    SELECT stream, min(seq) AS seq, bool_or(is_deleted) AS is_deleted FROM (
        SELECT consumer.stream, false AS is_deleted, coalesce((bot.positions ->> consumer.stream)::bigint,
            (gateway.positions ->> consumer.stream)::bigint, 0) AS seq
        FROM tradefleet.consumer
        LEFT JOIN tradefleet.bot ON bot.fleet = consumer.fleet AND starts_with(consumer.consumer, 'bot/')
            AND bot.uid = split_part(consumer.consumer, '/', 4)
        LEFT JOIN tradefleet.gateway ON gateway.fleet = consumer.fleet AND starts_with(consumer.consumer, 'gateway/')
            AND gateway.account = substr(consumer.consumer, 9)
        WHERE consumer.fleet = %(fleet)s
        UNION ALL
        SELECT 'executions/' || uid, true, 9223372036854775807 FROM tradefleet.bot
        WHERE fleet = %(fleet)s AND retired IS NOT NULL
        UNION ALL
        SELECT 'orders/' || uid, true, coalesce((
            SELECT max((gateway.positions ->> ('orders/' || uid))::bigint) FROM tradefleet.gateway
            WHERE gateway.fleet = bot.fleet), 0)
        FROM tradefleet.bot WHERE fleet = %(fleet)s AND retired IS NOT NULL
    ) AS consumed GROUP BY stream
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
SELECT stream, trimmed_seq, up_to FROM (
    SELECT stream.stream, stream.trimmed_seq, LEAST(
        CASE WHEN is_deleted THEN last_seq ELSE published_seq END, passed.seq, needed.seq) AS up_to
    FROM tradefleet.stream JOIN passed ON passed.stream = stream.stream
    LEFT JOIN needed ON needed.stream = stream.stream
    WHERE stream.fleet = %(fleet)s AND NOT starts_with(stream.stream, 'bars/')
) AS bound WHERE up_to > trimmed_seq ORDER BY stream"""

# The marks first: a reader that finds no row then knows why, and nobody publishes what is not there.
TRIM = """
WITH trimmed AS (
    UPDATE tradefleet.stream SET trimmed_seq = %(up_to)s, published_seq = GREATEST(published_seq, %(up_to)s)
    WHERE fleet = %(fleet)s AND stream = %(stream)s AND trimmed_seq = %(from)s RETURNING stream
)
DELETE FROM tradefleet.outbox USING trimmed
WHERE outbox.fleet = %(fleet)s AND outbox.stream = trimmed.stream AND outbox.seq <= %(up_to)s RETURNING outbox.seq"""

FORGET_TRIALS = """
DELETE FROM tradefleet.backtest_result WHERE ctid = ANY (ARRAY(
    SELECT result.ctid
    FROM (
        SELECT run.fleet, run.uid, run.question, kept.runs, run.asked_us, row_number() OVER (
            PARTITION BY run.uid ORDER BY run.question = kept.question DESC, run.asked_us DESC, run.question
        ) AS place
        FROM tradefleet.backtest_run AS run
        LEFT JOIN unnest(%(uids)s::text[], %(questions)s::text[], %(kept)s::bigint[]) AS kept(uid, question, runs)
            ON kept.uid = run.uid
        WHERE run.fleet = %(fleet)s
    ) AS old
    JOIN tradefleet.backtest_result AS result
        ON result.fleet = old.fleet AND result.uid = old.uid AND result.question = old.question
    WHERE (old.runs IS NOT NULL AND old.place > old.runs + 1)
        OR (old.runs IS NULL AND old.asked_us <= tradefleet.now_us() - %(gone_us)s)
    LIMIT %(limit)s
)) RETURNING trial"""
