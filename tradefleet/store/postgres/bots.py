"""What a bot's edge writes: one fenced row, its requests and the record of its inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from tradefleet.domain.errors import Fenced, FleetError, Permanent
from tradefleet.domain.ids import BotKey, BotUid, StreamName, orders_stream
from tradefleet.store.checks import CHUNK_INPUTS, check_batch, check_bot_lease, record_mismatch, stream_advances
from tradefleet.store.ports import BotCommit, BotRecord, Lease, RunId
from tradefleet.store.postgres import bot_sql, progress_sql
from tradefleet.store.postgres.encoding import advance_parameters, message_rows, to_json
from tradefleet.store.postgres.leases import PostgresLeases
from tradefleet.store.postgres.runs import channels, progress_parameters
from tradefleet.store.postgres.session import Cursor, Transaction
from tradefleet.store.postgres.streams import PostgresStreams


class PostgresBotStore(PostgresLeases, PostgresStreams):
    """Implements `BotStore`."""

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        """Return the newest generation's record, None for a bot that never committed."""
        rows = self._session.read(
            bot_sql.LOAD, {"fleet": self._session.fleet, "uid": uid, "stream": orders_stream(uid)}
        )
        return _record_of(bot, uid, rows)

    def open_generation(self, lease: Lease, *, bot: BotKey, uid: BotUid, start: Mapping[StreamName, int]) -> BotRecord:
        """Close the record of the generation before, if any, and open the lease's generation. Raises Fenced."""
        check_bot_lease(lease, bot, uid)
        parameters = {
            "fleet": self._session.fleet,
            "uid": uid,
            "epoch": lease.epoch,
            "generation": lease.generation,
            "start": to_json(start),
            "stream": orders_stream(uid),
            "chunk": CHUNK_INPUTS,
        }
        with self._session.transaction() as transaction:
            held = transaction.run(bot_sql.HOLD, parameters).fetchall()
            if not held:
                raise Fenced(f"bot {bot}: epoch {lease.epoch} is not the newest")
            if held[0][0] != lease.generation:
                transaction.run(bot_sql.CLOSE_TAIL, parameters)
                transaction.run(bot_sql.CLOSE_GENERATION, parameters)
                transaction.run(bot_sql.OPEN_GENERATION, parameters)
            record = _record_of(bot, uid, transaction.run(bot_sql.LOAD, parameters).fetchall())
        assert record is not None, "the generation was opened in this transaction"
        return record

    def read_record(self, uid: BotUid, generation: int, *, after: int, limit: int) -> tuple[bytes, dict[int, bytes]]:
        """Return up to `limit` sources from ordinal `after` on, with the payloads among them."""
        parameters = {
            "fleet": self._session.fleet,
            "uid": uid,
            "generation": generation,
            "after": after,
            "limit": limit,
            "chunk": CHUNK_INPUTS,
        }
        sources = bytearray()
        for first_ordinal, part in self._session.read(bot_sql.READ_CHUNKS, parameters):
            sources += part[max(0, after - first_ordinal) :]
        del sources[limit:]
        payloads = self._session.read(bot_sql.READ_PAYLOADS, {**parameters, "end": after + len(sources)})
        return bytes(sources), dict(payloads)

    def note_trouble(self, troubles: Mapping[BotUid, str]) -> None:
        """Write why bots of a shared host are out of it, empty for those that are not."""
        if troubles:
            parameters = {"fleet": self._session.fleet, "uids": list(troubles), "troubles": to_json(troubles)}
            self._session.commit(bot_sql.NOTE_TROUBLE, parameters)

    def commit_bots(self, commits: Sequence[BotCommit]) -> frozenset[BotKey]:
        """Commit many bots in one transaction; return those that were still ours. The others changed nothing.

        Raises StreamGap, NonDeterministic and Permanent for our own bugs; then nothing of all is written.
        """
        check_batch(commits)
        if not commits:
            return frozenset()
        if len(commits) == 1 and not _fills_a_chunk(commits[0]):
            query, parameters = _statement(self._session.fleet, commits[0])
            rows = self._session.commit(query, parameters)
            ours = [bool(rows and rows[0][0])]
        else:
            ours = self._commit_together(commits)
        lost = [commit for commit, is_ours in zip(commits, ours, strict=True) if not is_ours]
        for commit in lost:
            self._refuse_broken_record(commit)
        kept = [commit for commit, is_ours in zip(commits, ours, strict=True) if is_ours]
        self._wake(kept)
        return frozenset(commit.bot for commit in kept)

    def _wake(self, commits: Sequence[BotCommit]) -> None:
        """Hint at turns that have ended with these commits. A hint that is not sent costs a while, no more."""
        fleet = self._session.fleet
        turns: dict[tuple[RunId, int, int, int, int], set[str]] = {}
        for commit in commits:
            row = commit.progress
            if row is not None and commit.run is not None:
                turn = (commit.run, row.market_us, row.round, int(row.phase), commit.turn_size)
                turns.setdefault(turn, set()).update(channels(fleet, commit.run, row))
        for (run, market_us, round_no, phase, turn_size), names in turns.items():
            parameters = {
                "fleet": fleet,
                "run": run,
                "market_us": market_us,
                "round": round_no,
                "phase": phase,
                "turn_size": turn_size,
                "channels": sorted(names),
            }
            self._session.commit(progress_sql.WAKE, parameters)

    def _commit_together(self, commits: Sequence[BotCommit]) -> list[bool]:
        """Commit in one transaction; return, in the order of `commits`, which were ours."""
        # Rows are locked in the order of UIDs, so that two hosts wait for each other and never in a circle.
        in_order = sorted(range(len(commits)), key=lambda index: commits[index].uid)
        ours = [False] * len(commits)
        with self._session.transaction() as transaction:
            cursors = [(index, self._send(transaction, commits[index])) for index in in_order]
            for index, cursor in cursors:
                row = cursor.fetchone()
                ours[index] = bool(row and row[0])
            broken = [commits[index] for index in in_order if not ours[index]]
            for commit in broken:
                error = _broken_record(commit, transaction.run(bot_sql.WHY_NOT, self._key(commit)).fetchall())
                if error is not None:
                    raise error
        return ours

    def _send(self, transaction: Transaction, commit: BotCommit) -> Cursor:
        query, parameters = _statement(self._session.fleet, commit)
        cursor = transaction.run(query, parameters)
        if _fills_a_chunk(commit):
            transaction.run(
                bot_sql.CLOSE_CHUNKS,
                {"fleet": self._session.fleet, "uid": commit.uid, "epoch": commit.epoch, "chunk": CHUNK_INPUTS},
            )
        return cursor

    def _refuse_broken_record(self, commit: BotCommit) -> None:
        error = _broken_record(commit, self._session.read(bot_sql.WHY_NOT, self._key(commit)))
        if error is not None:
            raise error

    def _key(self, commit: BotCommit) -> dict[str, str]:
        return {"fleet": self._session.fleet, "uid": commit.uid}


def _fills_a_chunk(commit: BotCommit) -> bool:
    return commit.first_ordinal % CHUNK_INPUTS + len(commit.sources) >= CHUNK_INPUTS


def _broken_record(commit: BotCommit, rows: Sequence[Sequence[Any]]) -> FleetError | None:
    """Return the error when epoch and version are ours, so that it is the record which the commit does not continue."""
    if not rows or (rows[0][0], rows[0][1]) != (commit.epoch, commit.version):
        return None
    return record_mismatch(commit, rows[0][2], rows[0][3])


def _statement(fleet: str, commit: BotCommit) -> tuple[str, dict[str, Any]]:
    """Return the SQL of a commit and its parameters."""
    parameters: dict[str, Any] = {
        "fleet": fleet,
        "uid": commit.uid,
        "epoch": commit.epoch,
        "version": commit.version,
        "generation": commit.generation,
        "first_ordinal": commit.first_ordinal,
        "inputs": len(commit.sources),
        "sources": commit.sources,
        "positions": to_json(commit.positions),
        "request_count": commit.request_count,
        "request_hash": commit.request_hash,
    }
    has_messages = bool(commit.requests or commit.payloads or commit.snapshot is not None)
    if has_messages:
        parameters |= _message_parameters(commit)
    if commit.progress is not None and commit.run is not None:
        step = progress_parameters(fleet, commit.run, commit.progress)
        parameters |= step
        parameters["step_message"] = step["message"]
    return bot_sql.COMMIT[has_messages, commit.progress is not None], parameters


def _message_parameters(commit: BotCommit) -> dict[str, Any]:
    advances = stream_advances(commit.requests)
    return {
        **advance_parameters(advances),
        "messages": message_rows(commit.requests),
        "payloads": to_json([{"ordinal": ordinal, "payload": text} for ordinal, text in commit.payloads.items()]),
        "snapshot": commit.snapshot,
        "gap_message": f"bot {commit.bot}: its requests do not continue the streams {sorted(advances)}",
    }


def _record_of(bot: BotKey, uid: BotUid, rows: Sequence[Sequence[Any]]) -> BotRecord | None:
    """Return a row of `bot_sql.LOAD` as the record; None when no generation was opened yet."""
    if not rows or rows[0][2] == 0:
        return None
    row = rows[0]
    if row[0] != bot:
        raise Permanent(f"bot {bot}: UID {uid} belongs to {row[0]}")
    return BotRecord(
        version=row[1],
        generation=row[2],
        positions=row[3],
        start_positions=row[4],
        input_count=row[5],
        request_seq=row[6],
        first_request_seq=row[7],
        request_count=row[8],
        request_hash=row[9],
        snapshot=row[10],
        snapshot_ordinal=row[11] or 0,
        snapshot_positions=row[12] or {},
        snapshot_request_count=row[13] or 0,
        snapshot_request_hash=row[14] or "",
    )
