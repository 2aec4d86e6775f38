"""SQL of the desired state of bots (rule 11)."""

PUT = """
INSERT INTO tradefleet.bot_command (fleet, uid, account, bot, config, state, flatten_no, reopen_no, skip_seq, deleting)
VALUES (%(fleet)s, %(uid)s, %(account)s, %(bot)s, %(config)s::jsonb, %(state)s, %(flatten_no)s, %(reopen_no)s,
    %(skip_seq)s, %(deleting)s)
ON CONFLICT (fleet, uid) DO UPDATE SET account = EXCLUDED.account, bot = EXCLUDED.bot, config = EXCLUDED.config,
    state = EXCLUDED.state, flatten_no = EXCLUDED.flatten_no, reopen_no = EXCLUDED.reopen_no,
    skip_seq = EXCLUDED.skip_seq, deleting = EXCLUDED.deleting"""

_COLUMNS = "SELECT config, state, flatten_no, reopen_no, skip_seq, deleting FROM tradefleet.bot_command"

OF_ACCOUNT = _COLUMNS + " WHERE fleet = %(fleet)s AND account = %(account)s ORDER BY bot, uid"

OF_BOT = _COLUMNS + " WHERE fleet = %(fleet)s AND uid = %(uid)s"

# Only a log-in that the bots are assigned to sees them.
OF_HOST = """
SELECT command.config, command.state, command.flatten_no, command.reopen_no, command.skip_seq, command.deleting
FROM tradefleet.bot JOIN tradefleet.bot_command AS command USING (fleet, uid)
WHERE bot.fleet = %(fleet)s AND bot.host = %(host)s AND bot.retired IS NULL AND command.account = %(account)s
ORDER BY command.bot, command.uid"""

END = "UPDATE tradefleet.bot_command SET deleting = true WHERE fleet = %(fleet)s AND uid = %(uid)s AND NOT deleting"

FORGET = "DELETE FROM tradefleet.bot_command WHERE fleet = %(fleet)s AND uid = %(uid)s"

BOOKS = """
SELECT account, value FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND key = %(key)s ORDER BY account"""

OPEN_ORDERS = """
SELECT {columns} FROM tradefleet.trade_order
WHERE fleet = %(fleet)s AND uid = %(uid)s AND is_open ORDER BY event_no"""
