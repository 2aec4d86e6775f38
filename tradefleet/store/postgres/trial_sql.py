"""The statements about trials of Backtests."""

_COLUMNS = """trial, parameters, score, vs_hold, quote, bot, error, dataset_hash, ledger_hash, is_synthetic, started_us,
    finished_us"""

# As JSON, where a number would be read as a double.
_SHOWN = _COLUMNS.replace("score, vs_hold", "score::text AS score, vs_hold::text AS vs_hold")

DONE = """
SELECT trial FROM tradefleet.backtest_result
WHERE fleet = %(fleet)s AND uid = %(uid)s AND question = %(question)s AND trial BETWEEN %(first)s AND %(last)s"""

ADD = f"""
INSERT INTO tradefleet.backtest_result (fleet, uid, question, {_COLUMNS}, figures, report)
VALUES (%(fleet)s, %(uid)s, %(question)s, %(trial)s, %(parameters)s::jsonb, %(score)s, %(vs_hold)s, %(quote)s, %(bot)s,
    %(error)s, %(dataset_hash)s, %(ledger_hash)s, %(is_synthetic)s, %(started_us)s, %(finished_us)s, %(figures)s::jsonb,
    %(report)s)
ON CONFLICT (fleet, uid, question, trial) DO NOTHING RETURNING trial"""  # noqa: S608 - constants

BEGIN = """
INSERT INTO tradefleet.backtest_run (fleet, uid, question, backtest, generation, trials, db_role, asked_us, inputs)
VALUES (%(fleet)s, %(uid)s, %(question)s, %(backtest)s, %(generation)s, %(trials)s, %(db_role)s, tradefleet.now_us(),
    %(inputs)s::jsonb)
ON CONFLICT (fleet, uid, question) DO UPDATE SET db_role = EXCLUDED.db_role, asked_us = EXCLUDED.asked_us,
    generation = EXCLUDED.generation"""

PROGRESS = f"""
SELECT run.uid, run.question, run.trials, count.completed, count.failed, best.found, failure.found
FROM unnest(%(uids)s::text[], %(questions)s::text[]) AS asked(uid, question)
JOIN tradefleet.backtest_run AS run
    ON run.fleet = %(fleet)s AND run.uid = asked.uid AND run.question = asked.question,
LATERAL (
    SELECT count(*) FILTER (WHERE error = '') AS completed, count(*) FILTER (WHERE error <> '') AS failed
    FROM tradefleet.backtest_result AS result
    WHERE result.fleet = run.fleet AND result.uid = run.uid AND result.question = run.question
) AS count
LEFT JOIN LATERAL (
    SELECT to_jsonb(shown) AS found FROM (
        SELECT {_SHOWN} FROM tradefleet.backtest_result AS result
        WHERE result.fleet = run.fleet AND result.uid = run.uid AND result.question = run.question AND error = ''
        ORDER BY result.score DESC NULLS LAST, result.trial LIMIT 1
    ) AS shown
) AS best ON true
LEFT JOIN LATERAL (
    SELECT to_jsonb(shown) AS found FROM (
        SELECT {_SHOWN} FROM tradefleet.backtest_result AS result
        WHERE result.fleet = run.fleet AND result.uid = run.uid AND result.question = run.question AND error <> ''
        ORDER BY result.trial LIMIT 1
    ) AS shown
) AS failure ON true"""  # noqa: S608 - constants

MISSING = """
SELECT number FROM tradefleet.backtest_run AS run, generate_series(0, run.trials - 1) AS number
WHERE run.fleet = %(fleet)s AND run.uid = %(uid)s AND run.question = %(question)s AND NOT EXISTS (
    SELECT FROM tradefleet.backtest_result AS result
    WHERE result.fleet = run.fleet AND result.uid = run.uid AND result.question = run.question
        AND result.trial = number
) ORDER BY number LIMIT %(limit)s"""

CLEAR_FAILURES = """
DELETE FROM tradefleet.backtest_result
WHERE fleet = %(fleet)s AND uid = %(uid)s AND question = %(question)s AND error <> '' RETURNING trial"""

TRIAL = f"""
SELECT {_COLUMNS}, figures FROM tradefleet.backtest_result
WHERE fleet = %(fleet)s AND uid = %(uid)s AND question = %(question)s AND trial = %(trial)s"""  # noqa: S608 - constants

RANKING = f"""
SELECT {_COLUMNS}, figures FROM tradefleet.backtest_result
WHERE fleet = %(fleet)s AND uid = %(uid)s AND question = %(question)s
ORDER BY error <> '', score DESC NULLS LAST, trial LIMIT %(limit)s"""  # noqa: S608 - constants

REPORT = """
SELECT report FROM tradefleet.backtest_result
WHERE fleet = %(fleet)s AND uid = %(uid)s AND question = %(question)s AND trial = 0"""

RUNS = """
SELECT question, backtest, generation, trials, db_role, asked_us, inputs, (
    SELECT count(*) FROM tradefleet.backtest_result AS result
    WHERE result.fleet = run.fleet AND result.uid = run.uid AND result.question = run.question
) FROM tradefleet.backtest_run AS run
WHERE fleet = %(fleet)s AND uid = %(uid)s ORDER BY asked_us DESC, question"""
