"""What feeds and venues write, in memory."""

from collections.abc import Callable, Sequence

from tests.fakes.memory_database import (
    Stream,
)
from tests.fakes.memory_leases import MemoryLeases
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_streams import MemoryStreams
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import (
    StreamGap,
)
from tradefleet.domain.ids import StreamName
from tradefleet.domain.progress import Progress
from tradefleet.store.checks import (
    check_feed_commit,
    check_lease,
    check_same_bar,
    check_venue_lease,
)
from tradefleet.store.ports import (
    FeedCommit,
    Lease,
    RunId,
    VenueSnapshot,
)


class MemoryMarket(MemoryLeases, MemoryStreams, MemoryRuns):
    """Implements `FeedStore` and `VenueStore`."""

    def commit_feed(self, commit: FeedCommit) -> None:
        bars = check_feed_commit(commit)

        def check() -> Callable[[], None]:
            self._held(commit.lease)
            fresh = self._fresh_bars(bars)
            for progress in commit.progress:
                self._check_progress(commit.run, progress)

            def write() -> None:
                for stream, seq, bar in fresh:
                    row = self._rows.streams.setdefault(stream, Stream())
                    row.bars.append((seq, bar))
                    row.last_seq = seq
                    self._rows.bars[stream, bar.open_us] = (seq, bar)
                for progress in commit.progress:
                    self._write_progress(commit.run, progress)

            return write

        self._commit(check)

    def _fresh_bars(self, bars: Sequence[tuple[StreamName, int, Bar]]) -> list[tuple[StreamName, int, Bar]]:
        """Return the bars that are not stored yet. Raises BarConflict and StreamGap."""
        fresh: list[tuple[StreamName, int, Bar]] = []
        last: dict[StreamName, int] = {}
        for stream, seq, bar in bars:
            known = self._rows.bars.get((stream, bar.open_us))
            if known is not None:
                check_same_bar(stream, known=known, fresh=(seq, bar))
                continue
            before = last.get(stream, self.last_seq(stream))
            if seq != before + 1:
                raise StreamGap(f"stream {stream}: bar {seq} does not follow the last one, {before}")
            last[stream] = seq
            fresh.append((stream, seq, bar))
        return fresh

    def load_venue_snapshot(self, exchange: str) -> VenueSnapshot | None:
        return self._rows.snapshots.get(exchange)

    def save_venue_snapshot(self, lease: Lease, snapshot: VenueSnapshot) -> None:
        check_venue_lease(lease, snapshot.exchange)

        def check() -> Callable[[], None]:
            self._held(lease)
            return lambda: self._rows.snapshots.update({snapshot.exchange: snapshot})

        self._commit(check)

    def commit_venue_progress(self, lease: Lease, run: RunId, progress: Progress) -> None:
        check_lease(lease.name, "venue")

        def check() -> Callable[[], None]:
            self._held(lease)
            self._check_progress(run, progress)
            return lambda: self._write_progress(run, progress)

        self._commit(check)
