"""SQL of a simulator's snapshots."""

LOAD_SNAPSHOT = """
SELECT journal_offset, cluster_id, topic_id, state_hash, state FROM tradefleet.venue_snapshot
WHERE fleet = %(fleet)s AND exchange = %(exchange)s"""

SAVE_SNAPSHOT = """
INSERT INTO tradefleet.venue_snapshot
    (fleet, exchange, journal_offset, cluster_id, topic_id, state_hash, state, epoch, saved_us)
VALUES (%(fleet)s, %(exchange)s, %(offset)s, %(cluster_id)s, %(topic_id)s, %(state_hash)s, %(state)s, %(epoch)s,
    tradefleet.now_us())
ON CONFLICT (fleet, exchange) DO UPDATE SET journal_offset = EXCLUDED.journal_offset,
    cluster_id = EXCLUDED.cluster_id, topic_id = EXCLUDED.topic_id, state_hash = EXCLUDED.state_hash,
    state = EXCLUDED.state, epoch = EXCLUDED.epoch, saved_us = EXCLUDED.saved_us"""
