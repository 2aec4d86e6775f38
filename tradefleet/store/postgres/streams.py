"""Numbered streams in Postgres."""

from collections.abc import Collection, Mapping, Sequence

from tradefleet.domain.bar import MICROSECONDS, Bar
from tradefleet.domain.errors import Permanent, StreamGap
from tradefleet.domain.ids import StreamName, Symbol
from tradefleet.store.ports import OutboxMessage
from tradefleet.store.postgres import stream_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.session import Session


class PostgresStreams:
    """Implements `StreamStore`; the stores of feed, bot, gateway and venue inherit it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        """Return the committed messages numbered after + 1 and up, in order. Raises StreamGap when that is trimmed."""
        rows = self._session.read(
            stream_sql.READ_STREAM,
            {"fleet": self._session.fleet, "stream": stream, "after": after, "limit": limit},
        )
        if not rows or rows[0][0] != after + 1:
            self._refuse_trimmed(stream, after)
        return [
            OutboxMessage(stream=stream, seq=row[0], topic=row[1], key=row[2], market_us=row[3], payload=row[4])
            for row in rows
        ]

    def last_seq(self, stream: StreamName) -> int:
        """Return the last committed number of a stream (bars included), 0 when it has none."""
        return self._marks(stream)[0]

    def last_seqs(self, streams: Collection[StreamName]) -> dict[StreamName, int]:
        """Return the last committed number of each of these streams that there is."""
        parameters = {"fleet": self._session.fleet, "streams": sorted(streams)}
        return dict(self._session.read(stream_sql.LAST_SEQS, parameters))

    def published_seq(self, stream: StreamName) -> int:
        """Return the stream's published mark."""
        return self._marks(stream)[1]

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        """Return committed closed bars with their numbers, in order."""
        exchange, symbol, interval_us = parse_bars_stream(stream)
        rows = self._session.read(
            stream_sql.READ_BARS,
            {
                "fleet": self._session.fleet,
                "exchange": exchange,
                "symbol": symbol,
                "interval_us": interval_us,
                "after": after,
                "limit": limit,
            },
        )
        return [(row[0], Bar(symbol, interval_us, *row[1:])) for row in rows]

    def unpublished(self, streams: Sequence[StreamName], *, limit: int) -> list[OutboxMessage]:
        """Return committed messages above each stream's published mark, in order."""
        rows = self._session.read(
            stream_sql.UNPUBLISHED, {"fleet": self._session.fleet, "streams": list(streams), "limit": limit}
        )
        return [message_of(row) for row in rows]

    def mark_published(self, marks: Mapping[StreamName, int]) -> None:
        """Raise the published marks; a mark never goes down."""
        parameters = {"fleet": self._session.fleet, "streams": list(marks), "marks": to_json(marks)}
        self._session.commit(stream_sql.MARK_PUBLISHED, parameters)

    def _marks(self, stream: StreamName) -> tuple[int, int, int]:
        rows = self._session.read(stream_sql.STREAM, {"fleet": self._session.fleet, "stream": stream})
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else (0, 0, 0)

    def _refuse_trimmed(self, stream: StreamName, after: int) -> None:
        trimmed = self._marks(stream)[2]
        if after < trimmed:
            raise StreamGap(f"stream {stream}: message {after + 1} is wanted, but {trimmed} and below are trimmed")


def message_of(row: Sequence[object]) -> OutboxMessage:
    """Return an outbox row (stream, seq, topic, key, market_us, payload) as its message."""
    stream, seq, topic, key, market_us, payload = row
    return OutboxMessage(stream=stream, seq=seq, topic=topic, key=key, market_us=market_us, payload=payload)  # type: ignore[arg-type]  # the columns' types


def parse_bars_stream(stream: StreamName) -> tuple[str, Symbol, int]:
    """Return exchange, symbol and interval of a bar stream: the inverse of `domain.ids.bars_stream`.

    Raises Permanent for another stream. A symbol may hold colons, an exchange ("namespace/name") cannot.
    """
    kind, _, rest = stream.partition("/")
    exchange, _, rest = rest.partition(":")
    symbol, _, seconds = rest.rpartition(":")
    if kind != "bars" or not symbol or not seconds.endswith("s") or not seconds[:-1].isdigit():
        raise Permanent(f"stream {stream!r}: bars are read from a stream bars/namespace/name:symbol:seconds only")
    return exchange, Symbol(symbol), int(seconds[:-1]) * MICROSECONDS
