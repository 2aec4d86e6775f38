"""What a feed writes: closed bars under the numbers of their streams, and the steps of a replay."""

from collections.abc import Sequence

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import StreamName
from tradefleet.store.checks import check_feed_commit
from tradefleet.store.ports import FeedCommit
from tradefleet.store.postgres import feed_sql, stream_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.leases import PostgresLeases, fence
from tradefleet.store.postgres.runs import write_progress
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.streams import PostgresStreams


class PostgresFeedStore(PostgresLeases, PostgresStreams):
    """Implements `FeedStore`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._known_streams: set[StreamName] = set()

    def commit_feed(self, commit: FeedCommit) -> None:
        """Write bars and progress in one transaction. Raises Fenced, BarConflict, StreamGap, NonDeterministic."""
        bars = check_feed_commit(commit)
        fleet = self._session.fleet
        streams = {stream for stream, _, _ in bars}
        unknown = sorted(streams - self._known_streams)
        with self._session.transaction() as transaction:
            fence(transaction, fleet, commit.lease)
            if unknown:
                transaction.run(stream_sql.CREATE_STREAMS, {"fleet": fleet, "streams": unknown})
            if bars:
                parameters = {
                    "fleet": fleet,
                    "streams": sorted(streams),
                    "bars": to_json(_bar_rows(commit.exchange, bars)),
                    "message": f"feed {commit.lease.name}: the bars do not continue their streams {sorted(streams)}",
                }
                transaction.run(stream_sql.LOCK_STREAMS, parameters)
                transaction.run(feed_sql.PROVE_BARS, parameters)
                transaction.run(feed_sql.WRITE_BARS, parameters)
            if commit.run is not None:
                for progress in commit.progress:
                    write_progress(transaction, fleet, commit.run, progress)
        self._known_streams |= streams


def _bar_rows(exchange: str, bars: Sequence[tuple[StreamName, int, Bar]]) -> list[dict[str, object]]:
    return [
        {
            "exchange": exchange,
            "symbol": bar.symbol,
            "interval_us": bar.interval_us,
            "open_us": bar.open_us,
            "seq": seq,
            "stream": stream,
            "open": bar.open,
            "high": bar.high,
            "low": bar.low,
            "close": bar.close,
            "volume": bar.volume,
        }
        for stream, seq, bar in bars
    ]
