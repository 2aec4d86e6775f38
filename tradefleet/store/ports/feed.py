"""What a feed needs of the database."""

from collections.abc import Sequence
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import StreamName
from tradefleet.domain.progress import Progress
from tradefleet.store.ports.leases import Lease, LeaseStore
from tradefleet.store.ports.runs import RunId
from tradefleet.store.ports.streams import StreamStore


@frozen()
class FeedCommit:
    """Closed bars, each with the next number of its stream, and the steps they make."""

    lease: Lease
    bars: Sequence[tuple[StreamName, int, Bar]]
    exchange: str
    run: RunId | None = None
    progress: Sequence[Progress] = ()


class FeedStore(LeaseStore, StreamStore, Protocol):
    """What a feed needs."""

    def commit_feed(self, commit: FeedCommit) -> None:
        """Write bars and progress in one transaction. The same bar again is skipped; other content: `BarConflict`.

        A bar that already has another number, and a number that does not follow the stream's last: `StreamGap`.
        """
