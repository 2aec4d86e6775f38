"""What a simulator writes: snapshots of its state, and its rows of a lockstep run."""

from tradefleet.domain.progress import Progress
from tradefleet.store.checks import check_lease, check_venue_lease
from tradefleet.store.ports import Lease, RunId, VenueSnapshot
from tradefleet.store.postgres import venue_sql
from tradefleet.store.postgres.leases import PostgresLeases, fence
from tradefleet.store.postgres.runs import write_progress
from tradefleet.store.postgres.streams import PostgresStreams


class PostgresVenueStore(PostgresLeases, PostgresStreams):
    """Implements `VenueStore`."""

    def load_venue_snapshot(self, exchange: str) -> VenueSnapshot | None:
        """Return the newest snapshot, None when there is none."""
        rows = self._session.read(venue_sql.LOAD_SNAPSHOT, {"fleet": self._session.fleet, "exchange": exchange})
        if not rows:
            return None
        offset, cluster_id, topic_id, state_hash, state = rows[0]
        return VenueSnapshot(
            exchange=exchange,
            offset=offset,
            cluster_id=cluster_id,
            topic_id=topic_id,
            state_hash=state_hash,
            state=state,
        )

    def save_venue_snapshot(self, lease: Lease, snapshot: VenueSnapshot) -> None:
        """Replace the snapshot. Raises Fenced."""
        check_venue_lease(lease, snapshot.exchange)
        with self._session.transaction() as transaction:
            fence(transaction, self._session.fleet, lease)
            transaction.run(
                venue_sql.SAVE_SNAPSHOT,
                {
                    "fleet": self._session.fleet,
                    "exchange": snapshot.exchange,
                    "offset": snapshot.offset,
                    "cluster_id": snapshot.cluster_id,
                    "topic_id": snapshot.topic_id,
                    "state_hash": snapshot.state_hash,
                    "state": snapshot.state,
                    "epoch": lease.epoch,
                },
            )

    def commit_venue_progress(self, lease: Lease, run: RunId, progress: Progress) -> None:
        """Write a lockstep row; the same row again is accepted. Raises Fenced, NonDeterministic."""
        check_lease(lease.name, "venue")
        with self._session.transaction() as transaction:
            fence(transaction, self._session.fleet, lease)
            write_progress(transaction, self._session.fleet, run, progress)
