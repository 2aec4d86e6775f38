"""SQL of the halt switches (rule 11)."""

CREATE = """
INSERT INTO tradefleet.halt (fleet, scope) SELECT %(fleet)s, unnest(%(scopes)s::text[]) ON CONFLICT DO NOTHING"""

# A statement of its own, before the change: it waits for every gateway that holds the switch FOR SHARE, and only then
# is the period's number taken. The orders of those gateways have lower numbers. All are locked in the order of their
# names, as gateways lock them.
HOLD = """
SELECT scope, is_on FROM tradefleet.halt
WHERE fleet = %(fleet)s AND scope = ANY(%(scopes)s) ORDER BY scope FOR UPDATE"""

SWITCH = """
UPDATE tradefleet.halt SET is_on = %(is_on)s, reason = %(reason)s, set_by = %(set_by)s,
    changed_us = tradefleet.now_us()
WHERE fleet = %(fleet)s AND scope = ANY(%(scopes)s)"""

OPEN_PERIOD = """
INSERT INTO tradefleet.halt_period (fleet, scope, set_no, reason, set_by, set_us)
SELECT %(fleet)s, scope, nextval('tradefleet.event_no'), %(reason)s, %(set_by)s, tradefleet.now_us()
FROM unnest(%(scopes)s::text[]) AS scope"""

CLOSE_PERIOD = """
UPDATE tradefleet.halt_period SET cleared_no = nextval('tradefleet.event_no'), cleared_by = %(set_by)s,
    cleared_us = tradefleet.now_us()
WHERE fleet = %(fleet)s AND scope = ANY(%(scopes)s) AND cleared_no IS NULL"""

ACTIVE = "SELECT scope, reason, set_by FROM tradefleet.halt WHERE fleet = %(fleet)s AND is_on ORDER BY scope"
