"""SQL of leases: functions of the schema, since no log-in may write an epoch itself."""

ACQUIRE = {
    kind: f"SELECT new_epoch, took_over FROM tradefleet.acquire_{function}("  # noqa: S608 - the names below
    "%(fleet)s, %(name)s, %(kind)s, %(key)s, %(row)s, %(holder)s, %(owner)s, "
    "%(generation)s::bigint, %(ttl_us)s::bigint)"
    for kind, function in (("bot", "bot"), ("gateway", "gateway"), ("venue", "lease"), ("feed", "lease"))
}

# A time of 0 releases.
PROLONG = {
    kind: f"SELECT tradefleet.prolong_{function}(%(fleet)s, %(kind)s, %(row)s, %(epoch)s::bigint, %(ttl_us)s::bigint)"
    for kind, function in (("bot", "bot"), ("gateway", "gateway"), ("venue", "lease"), ("feed", "lease"))
}

# The fence of feeds and venues: the lease stays ours till the end of the transaction, or the transaction fails.
FENCE = """
SELECT tradefleet.require(count(*) = 1, 'TF003', %(message)s) FROM (
    SELECT FROM tradefleet.lease WHERE fleet = %(fleet)s AND name = %(name)s AND epoch = %(epoch)s FOR SHARE
) AS held"""
