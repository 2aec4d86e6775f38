"""Bots and their records in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.fakes.memory_database import (
    BotRow,
    Generation,
)
from tests.fakes.memory_leases import MemoryLeases
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_streams import MemoryStreams
from tradefleet.domain.errors import (
    Permanent,
)
from tradefleet.domain.ids import BotKey, BotUid, StreamName, orders_stream
from tradefleet.store.checks import (
    check_batch,
    check_bot_lease,
    record_mismatch,
)
from tradefleet.store.ports import (
    BotCommit,
    BotRecord,
    Lease,
)


class MemoryBots(MemoryLeases, MemoryStreams, MemoryRuns):
    """Implements `BotStore`."""

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        row = self._rows.bots.get(uid)
        if row is None or row.record is None:
            return None
        if row.key != bot:
            raise Permanent(f"bot {bot}: UID {uid} belongs to {row.key}")
        return self._record_of(uid, row, row.record)

    def _record_of(self, uid: BotUid, row: BotRow, record: Generation) -> BotRecord:
        return BotRecord(
            version=row.version,
            generation=record.number,
            positions=dict(row.positions),
            start_positions=dict(record.start),
            input_count=len(record.sources),
            request_seq=self.last_seq(orders_stream(uid)),
            first_request_seq=record.first_request_seq,
            request_count=record.request_count,
            request_hash=record.request_hash,
            snapshot=record.snapshot,
            snapshot_ordinal=record.snapshot_ordinal,
            snapshot_positions=dict(record.snapshot_positions),
            snapshot_request_count=record.snapshot_request_count,
            snapshot_request_hash=record.snapshot_request_hash,
        )

    def open_generation(self, lease: Lease, *, bot: BotKey, uid: BotUid, start: Mapping[StreamName, int]) -> BotRecord:
        check_bot_lease(lease, bot, uid)
        opened: BotRecord | None = None

        def check() -> Callable[[], None]:
            self._held(lease)
            row = self._rows.bots[uid]

            def write() -> None:
                nonlocal opened
                if row.record is None or row.record.number != lease.generation:
                    row.close_record(self._database.clock_us())
                    row.record = Generation(lease.generation, dict(start), self.last_seq(orders_stream(uid)))
                    row.positions = dict(start)
                    row.version += 1
                opened = self._record_of(uid, row, row.record)

            return write

        self._commit(check)
        assert opened is not None
        return opened

    def read_record(self, uid: BotUid, generation: int, *, after: int, limit: int) -> tuple[bytes, dict[int, bytes]]:
        row = self._rows.bots.get(uid)
        record = None
        if row is not None:
            is_open = row.record is not None and row.record.number == generation
            record = row.record if is_open else row.closed.get(generation)
        if record is None:
            return b"", {}
        sources = bytes(record.sources[after : after + limit])
        end = after + len(sources)
        return sources, {ordinal: text for ordinal, text in sorted(record.payloads.items()) if after <= ordinal < end}

    def note_trouble(self, troubles: Mapping[BotUid, str]) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                for uid, trouble in troubles.items():
                    row = self._rows.bots.get(uid)
                    if row is not None:
                        row.trouble = trouble

            return write

        if troubles:
            self._commit(check)

    def commit_bots(self, commits: Sequence[BotCommit]) -> frozenset[BotKey]:
        check_batch(commits)
        ours: list[tuple[BotCommit, BotRow, Generation]] = []

        def check() -> Callable[[], None]:
            for commit in commits:
                row = self._rows.bots.get(commit.uid)
                if row is None or row.lease.epoch != commit.epoch or row.version != commit.version:
                    continue
                record = row.record
                if record is None or record.number != commit.generation or len(record.sources) != commit.first_ordinal:
                    raise record_mismatch(commit, record.number if record else 0, len(record.sources) if record else 0)
                self._check_advances(commit.requests)
                self._check_progress(commit.run, commit.progress)
                ours.append((commit, row, record))
            return lambda: self._write_bots(ours)

        self._commit(check)
        return frozenset(commit.bot for commit, _, _ in ours)

    def _write_bots(self, ours: Iterable[tuple[BotCommit, BotRow, Generation]]) -> None:
        for commit, row, record in ours:
            row.version += 1
            row.positions.update(commit.positions)
            record.sources += commit.sources
            record.payloads.update(commit.payloads)
            record.request_count, record.request_hash = commit.request_count, commit.request_hash
            if commit.snapshot is not None:
                record.snapshot, record.snapshot_ordinal = commit.snapshot, len(record.sources)
                record.snapshot_positions = dict(row.positions)
                record.snapshot_request_count = commit.request_count
                record.snapshot_request_hash = commit.request_hash
            self._write_messages(commit.requests)
            self._write_progress(commit.run, commit.progress, commit.turn_size)
