"""SQL of numbered streams, their outbox and their bars."""

READ_STREAM = """
SELECT seq, topic, key, market_us, payload FROM tradefleet.outbox
WHERE fleet = %(fleet)s AND stream = %(stream)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

STREAM = (
    "SELECT last_seq, published_seq, trimmed_seq FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = %(stream)s"
)

READ_BARS = """
SELECT seq, open_us, open, high, low, close, volume FROM tradefleet.bar
WHERE fleet = %(fleet)s AND exchange = %(exchange)s AND symbol = %(symbol)s AND interval_us = %(interval_us)s
    AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"""

UNPUBLISHED = """
SELECT message.stream, message.seq, topic, key, market_us, payload
FROM tradefleet.stream JOIN tradefleet.outbox AS message ON message.fleet = stream.fleet
    AND message.stream = stream.stream AND message.seq > stream.published_seq
WHERE stream.fleet = %(fleet)s AND stream.stream = ANY(%(streams)s)
ORDER BY message.stream, message.seq LIMIT %(limit)s"""

# A mark never goes down and never passes what was committed.
MARK_PUBLISHED = """
UPDATE tradefleet.stream SET published_seq = LEAST(mark.seq, stream.last_seq)
FROM json_to_recordset(%(marks)s::json) AS mark(stream text, seq bigint)
WHERE stream.fleet = %(fleet)s AND stream.stream = mark.stream
    AND stream.published_seq < LEAST(mark.seq, stream.last_seq)"""

CREATE_STREAMS = """
INSERT INTO tradefleet.stream (fleet, stream) SELECT %(fleet)s, unnest(%(streams)s::text[]) ON CONFLICT DO NOTHING"""

# In the order of names, so that two writers wait for each other and never in a circle.
LOCK_STREAMS = """
SELECT FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = ANY(%(streams)s) ORDER BY stream FOR UPDATE"""

# Rule 5: the numbers go on where the stream ended, or the whole transaction fails.
ADVANCE = """
WITH advanced AS (
    UPDATE tradefleet.stream SET last_seq = advance.last_seq
    FROM json_to_recordset(%(advances)s::json) AS advance(stream text, before bigint, last_seq bigint)
    WHERE stream.fleet = %(fleet)s AND stream.stream = advance.stream AND stream.last_seq = advance.before
    RETURNING stream.stream
)
SELECT tradefleet.require(count(*) = %(count)s, 'TF004', %(message)s) FROM advanced"""

WRITE_MESSAGES = """
INSERT INTO tradefleet.outbox (fleet, stream, seq, topic, key, market_us, payload, epoch)
SELECT %(fleet)s, stream, seq, topic, key, market_us, decode(payload, 'base64'), %(epoch)s
FROM json_to_recordset(%(messages)s::json)
    AS message(stream text, seq bigint, topic text, key text, market_us bigint, payload text)"""
