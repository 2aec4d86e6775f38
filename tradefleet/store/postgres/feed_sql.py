"""SQL of a feed's commit."""

_BAR = """json_to_recordset(%(bars)s::json) AS fresh(
    exchange text, symbol text, interval_us bigint, open_us bigint, seq bigint, stream text,
    open double precision, high double precision, low double precision, close double precision,
    volume double precision)"""

_SAME_CONTENT = """(bar.open, bar.high, bar.low, bar.close, bar.volume)
        = ({other}.open, {other}.high, {other}.low, {other}.close, {other}.volume)"""

# New bars are written, imported history of the same content gets its number, and the streams go on by what is new.
WRITE_BARS = f"""
WITH written AS (
    INSERT INTO tradefleet.bar (fleet, exchange, symbol, interval_us, open_us, seq, open, high, low, close, volume)
    SELECT %(fleet)s, exchange, symbol, interval_us, open_us, seq, open, high, low, close, volume FROM {_BAR}
    ON CONFLICT (fleet, exchange, symbol, interval_us, open_us) DO UPDATE SET seq = EXCLUDED.seq
        WHERE bar.seq IS NULL AND {_SAME_CONTENT.format(other="EXCLUDED")}
    RETURNING exchange, symbol, interval_us, bar.seq
), grown AS (
    SELECT 'bars/' || exchange || ':' || symbol || ':' || interval_us / 1000000 || 's' AS stream,
        min(seq) - 1 AS before, max(seq) AS last_seq, count(*) AS bars
    FROM written GROUP BY exchange, symbol, interval_us
), advanced AS (
    UPDATE tradefleet.stream SET last_seq = grown.last_seq FROM grown
    WHERE stream.fleet = %(fleet)s AND stream.stream = ANY(%(streams)s) AND stream.stream = grown.stream
        AND stream.last_seq = grown.before
        AND grown.last_seq - grown.before = grown.bars
    RETURNING stream.stream
)
SELECT tradefleet.require((SELECT count(*) FROM advanced) = (SELECT count(*) FROM grown), 'TF004', %(message)s)"""  # noqa: S608 - constants

# What is stored already must be what the feed has: the same content under the same number (history has none yet).
PROVE_BARS = f"""
SELECT tradefleet.require({_SAME_CONTENT.format(other="fresh")}, 'TF007',
        'bar ' || fresh.open_us || ' us of ' || fresh.stream || ': stored as ' || bar::text || ', came as '
        || fresh::text),
    tradefleet.require(bar.seq IS NULL OR bar.seq = fresh.seq, 'TF004',
        'bar ' || fresh.open_us || ' us of ' || fresh.stream || ': it is number ' || coalesce(bar.seq, 0) || ' already')
FROM {_BAR} CROSS JOIN LATERAL (
    SELECT * FROM tradefleet.bar WHERE fleet = %(fleet)s AND exchange = fresh.exchange AND symbol = fresh.symbol
        AND interval_us = fresh.interval_us AND open_us = fresh.open_us OFFSET 0
) AS bar"""  # noqa: S608 - constants
