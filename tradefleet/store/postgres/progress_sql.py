"""SQL of lockstep progress: the row, the proof that a repeat is the same row, and the hint."""

# Rule 21: the same row again is accepted. `same` is the proof where the row was there already.
WRITE = """
WITH written AS (
    INSERT INTO tradefleet.progress (fleet, run, market_us, round, phase, participant, produced, next_due_us, has_left)
    VALUES (%(fleet)s, %(run)s, %(market_us)s, %(round)s, %(phase)s, %(participant)s, %(produced)s::jsonb,
        %(next_due_us)s, %(has_left)s)
    ON CONFLICT DO NOTHING RETURNING participant
), same AS (
    SELECT FROM tradefleet.progress
    WHERE fleet = %(fleet)s AND run = %(run)s AND market_us = %(market_us)s AND round = %(round)s
        AND phase = %(phase)s AND participant = %(participant)s AND produced = %(produced)s::jsonb
        AND next_due_us IS NOT DISTINCT FROM %(next_due_us)s AND has_left = %(has_left)s
)
SELECT tradefleet.require(EXISTS (SELECT FROM written) OR EXISTS (SELECT FROM same), 'TF006', %(message)s),
    (SELECT count(pg_notify(channel, '')) FROM unnest(%(channels)s::text[]) AS channel)"""

# For those who take a turn beside others, after their COMMIT: whoever is the last sees that all rows are there, so one
# hint is given in place of many (each of which would stir every session that listens, to whatever). And Postgres holds
# one lock from a NOTIFY to the end of its COMMIT: with the hint inside, commits would wait for each other's disk.
WAKE = """
SELECT count(pg_notify(channel, '')) FROM unnest(%(channels)s::text[]) AS channel
WHERE (SELECT count(*) FROM tradefleet.progress WHERE fleet = %(fleet)s AND run = %(run)s AND market_us = %(market_us)s
        AND round = %(round)s AND phase = %(phase)s) >= %(turn_size)s"""

CREATE_RUN = """
INSERT INTO tradefleet.run (fleet, run, feed, created_us, terms)
VALUES (%(fleet)s, %(run)s, %(feed)s, tradefleet.now_us(), %(terms)s)
ON CONFLICT DO NOTHING RETURNING run"""

CREATE_PARTICIPANTS = """
INSERT INTO tradefleet.run_participant (fleet, run, participant)
SELECT %(fleet)s, %(run)s, unnest(%(participants)s::text[])"""

RUN = """
SELECT feed, ARRAY(SELECT participant FROM tradefleet.run_participant AS taking
                   WHERE taking.fleet = run.fleet AND taking.run = run.run)
FROM tradefleet.run WHERE fleet = %(fleet)s AND run = %(run)s"""

TERMS = "SELECT run, terms FROM tradefleet.run WHERE fleet = %(fleet)s"

PROGRESS_FROM = """
SELECT market_us, round, phase, participant, produced, next_due_us, has_left FROM tradefleet.progress
WHERE fleet = %(fleet)s AND run = %(run)s
    AND (market_us, round, phase) >= (%(market_us)s::bigint, %(round)s::bigint, %(phase)s::bigint)
    AND market_us <= %(until_us)s
ORDER BY market_us, round, phase, participant LIMIT %(limit)s"""
