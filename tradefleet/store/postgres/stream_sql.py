"""SQL of numbered streams, their outbox and their bars.

Nothing here joins a table with a list of keys: the planner, which knows nothing of a young table, may start from the
table and walk through all of it for each key. Keys come as an array and their values as a JSON object that is looked
up by the key, or a LATERAL query with OFFSET 0 says what comes first.
"""

READ_STREAM = """
SELECT seq, topic, key, market_us, payload FROM tradefleet.outbox
WHERE fleet = %(fleet)s AND stream = %(stream)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

STREAM = (
    "SELECT last_seq, published_seq, trimmed_seq FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = %(stream)s"
)

LAST_SEQS = "SELECT stream, last_seq FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s)"

READ_BARS = """
SELECT seq, open_us, open, high, low, close, volume FROM tradefleet.bar
WHERE fleet = %(fleet)s AND exchange = %(exchange)s AND symbol = %(symbol)s AND interval_us = %(interval_us)s
    AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

UNPUBLISHED = """
SELECT message.stream, message.seq, topic, key, market_us, payload
FROM (
    SELECT stream, published_seq FROM tradefleet.stream
    WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) OFFSET 0
) AS known CROSS JOIN LATERAL (
    SELECT * FROM tradefleet.outbox
    WHERE fleet = %(fleet)s AND stream = known.stream AND seq > known.published_seq ORDER BY seq LIMIT %(limit)s
) AS message
ORDER BY message.stream, message.seq LIMIT %(limit)s"""

# A mark never goes down and never passes what was committed.
MARK_PUBLISHED = """
UPDATE tradefleet.stream SET published_seq = LEAST((%(marks)s::jsonb -> stream)::bigint, last_seq)
WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s)
    AND published_seq < LEAST((%(marks)s::jsonb -> stream)::bigint, last_seq)"""

CREATE_STREAMS = """
INSERT INTO tradefleet.stream (fleet, stream) SELECT %(fleet)s, unnest(%(streams)s::text[]) ON CONFLICT DO NOTHING"""

# In the order of names, so that two writers wait for each other and never in a circle.
LOCK_STREAMS = """
SELECT FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) ORDER BY stream FOR UPDATE"""

# Rule 5: the numbers go on where the stream ended, or the whole transaction fails.
ADVANCE = """
WITH advanced AS (
    UPDATE tradefleet.stream SET last_seq = (%(last)s::jsonb -> stream)::bigint
    WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) AND last_seq = (%(before)s::jsonb -> stream)::bigint
    RETURNING stream
)
SELECT tradefleet.require(count(*) = cardinality(%(streams)s::text[]), 'TF004', %(message)s) FROM advanced"""

WRITE_MESSAGES = """
INSERT INTO tradefleet.outbox (fleet, stream, seq, topic, key, market_us, payload, epoch)
SELECT %(fleet)s, stream, seq, topic, key, market_us, decode(payload, 'base64'), %(epoch)s
FROM json_to_recordset(%(messages)s::json)
    AS message(stream text, seq bigint, topic text, key text, market_us bigint, payload text)"""
