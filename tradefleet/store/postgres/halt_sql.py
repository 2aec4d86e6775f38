"""SQL of the halt switches (rule 11)."""

CREATE = """
INSERT INTO tradefleet.halt (fleet, scope) SELECT %(fleet)s, unnest(%(scopes)s::text[]) ON CONFLICT DO NOTHING"""

# A statement of its own, before the change: it waits for every gateway that holds the switch FOR SHARE, and only then
# is the period's number taken. The orders of those gateways have lower numbers.
HOLD = "SELECT is_on FROM tradefleet.halt WHERE fleet = %(fleet)s AND scope = %(scope)s FOR UPDATE"

SWITCH = """
UPDATE tradefleet.halt SET is_on = %(is_on)s, reason = %(reason)s, set_by = %(set_by)s,
    changed_us = tradefleet.now_us()
WHERE fleet = %(fleet)s AND scope = %(scope)s"""

OPEN_PERIOD = """
INSERT INTO tradefleet.halt_period (fleet, scope, set_no, reason, set_by, set_us)
VALUES (%(fleet)s, %(scope)s, nextval('tradefleet.event_no'), %(reason)s, %(set_by)s, tradefleet.now_us())"""

CLOSE_PERIOD = """
UPDATE tradefleet.halt_period SET cleared_no = nextval('tradefleet.event_no'), cleared_by = %(set_by)s,
    cleared_us = tradefleet.now_us()
WHERE fleet = %(fleet)s AND scope = %(scope)s AND cleared_no IS NULL"""

ACTIVE = "SELECT scope, reason, set_by FROM tradefleet.halt WHERE fleet = %(fleet)s AND is_on ORDER BY scope"
