"""What the edge of a simulator needs of the database."""

from typing import Protocol

from tradefleet.domain.frozen import frozen
from tradefleet.domain.progress import Progress
from tradefleet.store.ports.leases import Lease, LeaseStore
from tradefleet.store.ports.runs import RunId
from tradefleet.store.ports.streams import StreamStore


@frozen()
class VenueSnapshot:
    """State of a simulator after the journal record at `offset`. Topic and cluster say of which journal."""

    exchange: str
    offset: int
    cluster_id: str
    topic_id: str
    state_hash: str
    state: bytes


class VenueStore(LeaseStore, StreamStore, Protocol):
    """What a simulator's edge needs."""

    def load_venue_snapshot(self, exchange: str) -> VenueSnapshot | None:
        """Return the newest snapshot, None when there is none."""

    def save_venue_snapshot(self, lease: Lease, snapshot: VenueSnapshot) -> None:
        """Replace the snapshot. Fenced by epoch."""

    def commit_venue_progress(self, lease: Lease, run: RunId, progress: Progress) -> None:
        """Write a lockstep row; the same row again is accepted (rule 21). Fenced by epoch."""
