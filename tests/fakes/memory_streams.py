"""Numbered streams in memory."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from tests.fakes.memory_database import (
    Stream,
)
from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import (
    StreamGap,
)
from tradefleet.domain.ids import StreamName
from tradefleet.store.checks import (
    stream_advances,
)
from tradefleet.store.ports import (
    OutboxMessage,
)


class MemoryStreams(MemoryHandle):
    """Implements `StreamStore`."""

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        row = self._rows.streams.get(stream)
        return row.after(stream, after, limit) if row else []

    def last_seq(self, stream: StreamName) -> int:
        row = self._rows.streams.get(stream)
        return row.last_seq if row else 0

    def last_seqs(self, streams: Collection[StreamName]) -> dict[StreamName, int]:
        found = {stream: self._rows.streams.get(stream) for stream in streams}
        return {stream: row.last_seq for stream, row in found.items() if row is not None}

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        row = self._rows.streams.get(stream)
        return row.bars[after : after + limit] if row else []

    def published_seq(self, stream: StreamName) -> int:
        row = self._rows.streams.get(stream)
        return row.published if row else 0

    def unpublished(self, streams: Sequence[StreamName], *, limit: int) -> list[OutboxMessage]:
        found: list[OutboxMessage] = []
        for stream in sorted(set(streams)):
            row = self._rows.streams.get(stream)
            if row is not None:
                found += row.after(stream, row.published, limit - len(found))
        return found

    def mark_published(self, marks: Mapping[StreamName, int]) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                for stream, seq in marks.items():
                    row = self._rows.streams.get(stream)
                    if row is not None:
                        row.published = max(row.published, min(seq, row.last_seq))

            return write

        self._commit(check)

    def _check_advances(self, messages: Sequence[OutboxMessage]) -> None:
        """Raise StreamGap unless every stream in `messages` goes on where it ended."""
        for stream, (before, _) in stream_advances(messages).items():
            last = self.last_seq(stream)
            if before != last:
                raise StreamGap(f"stream {stream}: message {before + 1} does not follow the last one, {last}")

    def _write_messages(self, messages: Iterable[OutboxMessage]) -> None:
        for message in messages:
            row = self._rows.streams.get(message.stream)
            if row is None:
                row = self._rows.streams[message.stream] = Stream()
            row.messages.append(message)
            row.last_seq = message.seq
