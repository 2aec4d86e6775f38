"""SQL of what the supervisor does: fleets, bots that come and go, actions, topics."""

CREATE_FLEET = """
INSERT INTO tradefleet.fleet (fleet, created_us) VALUES (%(fleet)s, tradefleet.now_us()) ON CONFLICT DO NOTHING"""

_MOVES = "(known.db_role NOT IN ('', EXCLUDED.db_role))"

# A bot that gets another log-in moves: its epoch rises, so the process that ran it can commit nothing more, and the
# next one need not wait for the lease.
REGISTER_BOT = f"""
INSERT INTO tradefleet.bot AS known (fleet, uid, bot, db_role, host)
VALUES (%(fleet)s, %(uid)s, %(bot)s, %(db_role)s, %(host)s)
ON CONFLICT (fleet, uid) DO UPDATE SET db_role = EXCLUDED.db_role, host = EXCLUDED.host,
    epoch = known.epoch + {_MOVES}::int, holder = CASE WHEN {_MOVES} THEN '' ELSE known.holder END,
    lease_until_us = CASE WHEN {_MOVES} THEN 0 ELSE known.lease_until_us END,
    trouble = CASE WHEN {_MOVES} THEN '' ELSE known.trouble END
WHERE known.bot = EXCLUDED.bot
RETURNING uid"""  # noqa: S608 - a condition without parameters

PUT_INSTRUMENTS = """
INSERT INTO tradefleet.instrument (fleet, exchange, symbol, base, quote, tick, lot, base_scale, quote_scale)
SELECT %(fleet)s, %(exchange)s, symbol, base, quote, tick, lot, base_scale, quote_scale
FROM json_to_recordset(%(instruments)s::json) AS row(symbol text, base text, quote text, tick numeric, lot numeric,
    base_scale integer, quote_scale integer)
ON CONFLICT (fleet, exchange, symbol) DO UPDATE SET base = EXCLUDED.base, quote = EXCLUDED.quote, tick = EXCLUDED.tick,
    lot = EXCLUDED.lot, base_scale = EXCLUDED.base_scale, quote_scale = EXCLUDED.quote_scale"""

HOLD_BOT = """
SELECT FROM tradefleet.bot WHERE fleet = %(fleet)s AND uid = %(uid)s AND retired IS NULL FOR UPDATE"""

# The epoch rises, so a running process is fenced; nobody gets the lease again. The record is closed by then.
RETIRE_BOT = """
UPDATE tradefleet.bot SET retired = %(policy)s, epoch = epoch + 1, holder = '', lease_until_us = 0,
    record_generation = 0, input_count = 0, tail = '', request_count = 0, request_hash = ''
WHERE fleet = %(fleet)s AND uid = %(uid)s AND retired IS NULL"""

RETIRE_OWNER = """
INSERT INTO tradefleet.retired_owner (fleet, uid) VALUES (%(fleet)s, %(uid)s) ON CONFLICT DO NOTHING"""

# The holder stays: whoever comes next shall know that another one has not given the lease back (rule 3).
FENCE_OWNER = {
    table: f"""
UPDATE tradefleet.{table} SET epoch = epoch + 1, lease_until_us = 0
WHERE fleet = %(fleet)s AND owner = %(uid)s AND lease_until_us > 0"""  # noqa: S608 - the names of two tables
    for table in ("gateway", "lease")
}

RECORD_ACTION = """
INSERT INTO tradefleet.audit_log (fleet, at_us, actor, action, object, detail)
VALUES (%(fleet)s, tradefleet.now_us(), %(actor)s, %(action)s, %(target)s, %(detail)s::jsonb)"""

TOPICS = "SELECT topic, cluster_id, topic_id FROM tradefleet.broker_topic WHERE fleet = %(fleet)s"

REMEMBER_TOPIC = """
INSERT INTO tradefleet.broker_topic (fleet, topic, cluster_id, topic_id)
VALUES (%(fleet)s, %(topic)s, %(cluster_id)s, %(topic_id)s)
ON CONFLICT (fleet, topic) DO UPDATE SET cluster_id = EXCLUDED.cluster_id, topic_id = EXCLUDED.topic_id"""
