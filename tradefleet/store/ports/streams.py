"""Numbered streams: what was committed, and what of it has been published (rules 5, 6)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import StreamName


@frozen()
class OutboxMessage:
    """One numbered message of a stream, exactly as it is published: `payload` is its Avro encoding."""

    stream: StreamName
    seq: int
    topic: str
    key: str
    market_us: int
    payload: bytes


class StreamStore(Protocol):
    """Reading of committed streams: how gaps are filled and how a wiped broker is healed (rules 5, 6)."""

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        """Return the committed messages numbered after + 1 and up, in order. Bar streams are read with `read_bars`.

        Raises StreamGap when message after + 1 was written and is trimmed.
        """

    def last_seq(self, stream: StreamName) -> int:
        """Return the last committed number of a stream (bars included), 0 when it has none."""

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        """Return committed closed bars with their numbers, in order."""

    def published_seq(self, stream: StreamName) -> int:
        """Return the stream's published mark. A feed republishes its bars from here, with `read_bars`."""

    def unpublished(self, streams: Sequence[StreamName], *, limit: int) -> list[OutboxMessage]:
        """Return committed messages above each stream's published mark, in order."""

    def mark_published(self, marks: Mapping[StreamName, int]) -> None:
        """Raise the published marks; a mark never goes down."""
