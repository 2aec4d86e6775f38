"""SQL of a bot's commit, its record and its generations."""

# The fence (rule 2) and the compare-and-set (rule 7).
_FENCED = """
UPDATE tradefleet.bot
SET version = version + 1, positions = positions || %(positions)s::jsonb, input_count = input_count + %(inputs)s,
    tail = tail || %(sources)s, request_count = %(request_count)s, request_hash = %(request_hash)s
WHERE fleet = %(fleet)s AND uid = %(uid)s AND epoch = %(epoch)s AND version = %(version)s
    AND record_generation = %(generation)s AND input_count = %(first_ordinal)s
RETURNING uid, positions"""

# Everything else hangs on `fenced`: a bot that is not ours any more writes nothing, and its neighbours go on.
_MESSAGES = """advanced AS (
    UPDATE tradefleet.stream SET last_seq = (%(last)s::jsonb -> stream)::bigint
    WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) AND last_seq = (%(before)s::jsonb -> stream)::bigint
        AND EXISTS (SELECT FROM fenced)
    RETURNING stream
), requested AS (
    INSERT INTO tradefleet.outbox (fleet, stream, seq, topic, key, market_us, payload, epoch)
    SELECT %(fleet)s, stream, seq, topic, key, market_us, decode(payload, 'base64'), %(epoch)s
    FROM fenced, json_to_recordset(%(messages)s::json)
        AS message(stream text, seq bigint, topic text, key text, market_us bigint, payload text)
), recorded AS (
    INSERT INTO tradefleet.bot_record_payload (fleet, uid, generation, ordinal, payload)
    SELECT %(fleet)s, fenced.uid, %(generation)s, ordinal, decode(payload, 'base64')
    FROM fenced, json_to_recordset(%(payloads)s::json) AS input(ordinal bigint, payload text)
), snapped AS (
    INSERT INTO tradefleet.bot_snapshot AS known
        (fleet, uid, generation, ordinal, positions, request_count, request_hash, state)
    SELECT %(fleet)s, fenced.uid, %(generation)s, %(first_ordinal)s + %(inputs)s, fenced.positions,
        %(request_count)s, %(request_hash)s, %(snapshot)s::bytea
    FROM fenced WHERE %(snapshot)s::bytea IS NOT NULL
    ON CONFLICT (fleet, uid) DO UPDATE SET generation = EXCLUDED.generation, ordinal = EXCLUDED.ordinal,
        positions = EXCLUDED.positions, request_count = EXCLUDED.request_count,
        request_hash = EXCLUDED.request_hash, state = EXCLUDED.state
)"""

_MESSAGES_CONTINUE = """tradefleet.require(NOT EXISTS (SELECT FROM fenced)
        OR (SELECT count(*) FROM advanced) = cardinality(%(streams)s::text[]), 'TF004', %(gap_message)s)"""

_STEP = """stepped AS (
    INSERT INTO tradefleet.progress (fleet, run, market_us, round, phase, participant, produced, next_due_us, has_left)
    SELECT %(fleet)s, %(run)s, %(market_us)s, %(round)s, %(phase)s, %(participant)s, %(produced)s::jsonb,
        %(next_due_us)s, %(has_left)s
    FROM fenced
    ON CONFLICT DO NOTHING RETURNING participant
)"""

_STEP_IS_THE_SAME = """tradefleet.require(NOT EXISTS (SELECT FROM fenced) OR EXISTS (SELECT FROM stepped) OR EXISTS (
        SELECT FROM tradefleet.progress
        WHERE fleet = %(fleet)s AND run = %(run)s AND market_us = %(market_us)s AND round = %(round)s
            AND phase = %(phase)s AND participant = %(participant)s AND produced = %(produced)s::jsonb
            AND next_due_us IS NOT DISTINCT FROM %(next_due_us)s AND has_left = %(has_left)s
    ), 'TF006', %(step_message)s)"""

_OURS = "SELECT (SELECT count(*) FROM fenced) AS ours"

_FIRST = f"WITH fenced AS ({_FENCED})"

# By what a commit holds besides inputs: messages (requests, payloads, a snapshot), and a step of a lockstep run. A
# quiet one is a single UPDATE; each part more costs the server, even when it has nothing to do.
COMMIT: dict[tuple[bool, bool], str] = {
    (False, False): _FENCED,
    (False, True): f"{_FIRST}, {_STEP}\n{_OURS},\n    {_STEP_IS_THE_SAME}",
    (True, False): f"{_FIRST}, {_MESSAGES}\n{_OURS},\n    {_MESSAGES_CONTINUE}",
    (True, True): f"{_FIRST}, {_MESSAGES}, {_STEP}\n{_OURS},\n    {_MESSAGES_CONTINUE},\n    {_STEP_IS_THE_SAME}",
}

# Every 256 inputs the full chunks leave the row. Only the epoch that just committed may move them.
CLOSE_CHUNKS = """
WITH full_row AS (
    SELECT fleet, uid, record_generation, input_count - length(tail) AS first_ordinal, tail,
        length(tail) / %(chunk)s::int AS chunks
    FROM tradefleet.bot WHERE fleet = %(fleet)s AND uid = %(uid)s AND epoch = %(epoch)s AND length(tail) >= %(chunk)s
), moved AS (
    INSERT INTO tradefleet.bot_record_chunk (fleet, uid, generation, chunk, sources)
    SELECT fleet, uid, record_generation, first_ordinal / %(chunk)s + n,
        substr(tail, n * %(chunk)s::int + 1, %(chunk)s::int)
    FROM full_row, generate_series(0, chunks - 1) AS n
)
UPDATE tradefleet.bot SET tail = substr(bot.tail, full_row.chunks * %(chunk)s::int + 1) FROM full_row
WHERE bot.fleet = full_row.fleet AND bot.uid = full_row.uid"""

# Why a commit was not ours: a newer epoch or version, or (our own bug) inputs that do not continue the record.
WHY_NOT = """
SELECT epoch, version, record_generation, input_count FROM tradefleet.bot
WHERE fleet = %(fleet)s AND uid = %(uid)s"""

LOAD = """
SELECT bot.bot, bot.version, bot.record_generation, bot.positions, bot.start_positions, bot.input_count,
    coalesce(stream.last_seq, 0), bot.first_request_seq, bot.request_count, bot.request_hash,
    snapshot.state, snapshot.ordinal, snapshot.positions, snapshot.request_count, snapshot.request_hash
FROM tradefleet.bot
LEFT JOIN tradefleet.stream ON stream.fleet = bot.fleet AND stream.stream = %(stream)s
LEFT JOIN tradefleet.bot_snapshot AS snapshot ON snapshot.fleet = bot.fleet AND snapshot.uid = bot.uid
    AND snapshot.generation = bot.record_generation
WHERE bot.fleet = %(fleet)s AND bot.uid = %(uid)s"""

# Lock first: the three statements after it then speak of one row.
HOLD = """
SELECT record_generation FROM tradefleet.bot
WHERE fleet = %(fleet)s AND uid = %(uid)s AND epoch = %(epoch)s FOR UPDATE"""

CLOSE_TAIL = """
INSERT INTO tradefleet.bot_record_chunk (fleet, uid, generation, chunk, sources)
SELECT fleet, uid, record_generation, input_count / %(chunk)s, tail FROM tradefleet.bot
WHERE fleet = %(fleet)s AND uid = %(uid)s AND record_generation > 0 AND length(tail) > 0"""

CLOSE_GENERATION = """
INSERT INTO tradefleet.bot_generation (fleet, uid, generation, start_positions, end_positions, input_count,
    first_request_seq, request_count, request_hash, closed_us)
SELECT fleet, uid, record_generation, start_positions, positions, input_count, first_request_seq, request_count,
    request_hash, tradefleet.now_us()
FROM tradefleet.bot WHERE fleet = %(fleet)s AND uid = %(uid)s AND record_generation > 0"""

OPEN_GENERATION = """
UPDATE tradefleet.bot
SET version = version + 1, record_generation = %(generation)s, positions = %(start)s::jsonb,
    start_positions = %(start)s::jsonb, input_count = 0, tail = '', request_count = 0, request_hash = '',
    first_request_seq = coalesce((SELECT last_seq FROM tradefleet.stream
                                  WHERE fleet = %(fleet)s AND stream = %(stream)s), 0)
WHERE fleet = %(fleet)s AND uid = %(uid)s AND epoch = %(epoch)s"""

READ_CHUNKS = """
SELECT chunk * %(chunk)s AS first_ordinal, sources FROM tradefleet.bot_record_chunk
WHERE fleet = %(fleet)s AND uid = %(uid)s AND generation = %(generation)s
    AND chunk BETWEEN %(after)s / %(chunk)s AND (%(after)s + %(limit)s) / %(chunk)s
UNION ALL
SELECT input_count - length(tail), tail FROM tradefleet.bot
WHERE fleet = %(fleet)s AND uid = %(uid)s AND record_generation = %(generation)s
ORDER BY 1"""

READ_PAYLOADS = """
SELECT ordinal, payload FROM tradefleet.bot_record_payload
WHERE fleet = %(fleet)s AND uid = %(uid)s AND generation = %(generation)s
    AND ordinal >= %(after)s AND ordinal < %(end)s ORDER BY ordinal"""

NOTE_TROUBLE = """
UPDATE tradefleet.bot SET trouble = %(troubles)s::jsonb ->> uid
WHERE fleet = %(fleet)s AND uid = ANY(%(uids)s) AND trouble <> %(troubles)s::jsonb ->> uid"""
