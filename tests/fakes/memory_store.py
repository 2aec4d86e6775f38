"""The store in memory: every port of `tradefleet.store` with the rules of Postgres, and places where it may break.

A commit checks everything first and then writes, so a refused one has changed nothing and no copy is ever made.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from tests.fakes.memory_database import (
    BotRow,
    FleetRows,
    GatewayRow,
    Generation,
    HaltRow,
    LeaseRow,
    MemoryDatabase,
    ProgressPlace,
    Stream,
)
from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, DeletionPolicy
from tradefleet.domain.errors import (
    Fenced,
    LeaseHeld,
    NonDeterministic,
    Permanent,
    Retryable,
    StaleGeneration,
    StreamGap,
)
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName, executions_stream, orders_stream
from tradefleet.domain.progress import Participant, Progress
from tradefleet.domain.venue import VoidRequest
from tradefleet.store.checks import (
    check_batch,
    check_bot_lease,
    check_feed_commit,
    check_gateway_commit,
    check_gateway_lease,
    check_lease,
    check_same_bar,
    check_scope,
    check_ttl,
    check_venue_lease,
    halt_scopes,
    lease_parts,
    order_identity,
    record_mismatch,
    request_numbers,
    stream_advances,
    uid_of,
)
from tradefleet.store.ports import (
    WAKES,
    BotCommit,
    BotRecord,
    FeedCommit,
    GatewayCommit,
    GatewayRecord,
    Halt,
    Lease,
    LeaseName,
    OrderRow,
    OutboxMessage,
    RunId,
    VenueSnapshot,
)
from tradefleet.store.upkeep import TopicIdentity

HALT_WAIT_S = 30.0  # as long as Postgres waits for a lock


class Faults(Protocol):
    """What the simulation puts in: called at named points of every commit, and may raise there.

    `before_commit` and `inside_commit_lost`: nothing is written yet, and nothing will be when it raises.
    `inside_commit_applied` and `after_commit`: everything is written.
    """

    def at(self, point: str) -> None:
        """Go on, or raise what the process shall see."""


class NoFaults:
    """A database that works."""

    def at(self, point: str) -> None:
        """Go on."""


class MemoryStore:
    """One process's handle on the database. All ports in one class, since a test needs several."""

    def __init__(
        self,
        database: MemoryDatabase,
        *,
        fleet: str = "fleet",
        faults: Faults | None = None,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self._database = database
        self._rows: FleetRows = database.fleets[fleet]
        self._faults: Faults = faults or NoFaults()
        self._clock_us = clock_us or database.clock_us  # the process's own monotonic clock
        self._lock = database.changed
        self._hints: dict[tuple[RunId, str], int] = {}

    def _commit(self, check: Callable[[], Callable[[], None]]) -> None:
        """Run `check`, then what it returns: the write. The fault points stand where a real commit can break."""
        with self._lock:
            write = check()
            self._faults.at("before_commit")
            self._faults.at("inside_commit_lost")
            write()
            self._lock.notify_all()
        self._faults.at("inside_commit_applied")
        self._faults.at("after_commit")

    # --- leases ---------------------------------------------------------------------------------------------------

    def acquire(self, name: LeaseName, *, holder: str, generation: int, ttl_us: int) -> Lease:
        check_ttl(name, ttl_us)
        deadline_us = self._clock_us() + ttl_us
        epoch = 0

        def check() -> Callable[[], None]:
            nonlocal epoch
            row = self._lease_row(name, create=True)
            now_us = self._database.clock_us()
            if self._is_retired(name):
                raise StaleGeneration(f"lease {name}: the bot is deleted")
            if generation < row.generation:
                raise StaleGeneration(f"lease {name}: generation {generation} is older than the row's {row.generation}")
            if row.holder not in ("", holder) and row.until_us > now_us:
                raise LeaseHeld(f"lease {name}: {row.holder} holds it for another {row.until_us - now_us} us")
            epoch = row.epoch + 1

            def write() -> None:
                row.epoch, row.holder, row.generation = epoch, holder, generation
                row.until_us = now_us + ttl_us

            return write

        self._commit(check)
        return Lease(name=name, epoch=epoch, holder=holder, generation=generation, deadline_us=deadline_us)

    def renew(self, lease: Lease, *, ttl_us: int) -> Lease:
        check_ttl(lease.name, ttl_us)
        deadline_us = self._clock_us() + ttl_us

        def check() -> Callable[[], None]:
            row = self._held(lease)
            if not row.holder:
                raise Fenced(f"lease {lease.name}: epoch {lease.epoch} was released")

            def write() -> None:
                row.until_us = self._database.clock_us() + ttl_us

            return write

        self._commit(check)
        return Lease(
            name=lease.name,
            epoch=lease.epoch,
            holder=lease.holder,
            generation=lease.generation,
            deadline_us=deadline_us,
        )

    def release(self, lease: Lease) -> None:
        def check() -> Callable[[], None]:
            row = self._lease_row(lease.name)

            def write() -> None:
                if row.epoch == lease.epoch:
                    row.holder, row.until_us = "", 0

            return write

        self._commit(check)

    def _lease_row(self, name: LeaseName, *, create: bool = False) -> LeaseRow:
        """Return the lease's row. A bot's and an account's first lease makes their rows, halt switch included."""
        kind, key, uid = lease_parts(name)
        if kind == "bot":
            if create:
                self.register_bot(BotKey(key), BotUid(uid))
            bot = self._rows.bots.get(BotUid(uid))
            return bot.lease if bot is not None else LeaseRow()
        if kind == "gateway":
            account = AccountId(key)
            gateway = self._rows.gateways.get(account)
            if gateway is None:
                if not create:
                    return LeaseRow()
                gateway = self._rows.gateways[account] = GatewayRow(lease=LeaseRow())
                self._rows.halts.setdefault(f"account/{account}", HaltRow())
            return gateway.lease
        return self._rows.leases.setdefault(name, LeaseRow()) if create else self._rows.leases.get(name, LeaseRow())

    def _is_retired(self, name: LeaseName) -> bool:
        kind, _, uid = lease_parts(name)
        return kind == "bot" and self._rows.bots[BotUid(uid)].retired is not None

    def _held(self, lease: Lease) -> LeaseRow:
        """Return the lease's row. Raises Fenced when its epoch is not ours."""
        row = self._lease_row(lease.name)
        if row.epoch != lease.epoch:
            raise Fenced(f"lease {lease.name}: epoch {lease.epoch} is not the newest, which is {row.epoch}")
        return row

    # --- streams --------------------------------------------------------------------------------------------------

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        row = self._rows.streams.get(stream)
        return row.after(stream, after, limit) if row else []

    def last_seq(self, stream: StreamName) -> int:
        row = self._rows.streams.get(stream)
        return row.last_seq if row else 0

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

    # --- feed -----------------------------------------------------------------------------------------------------

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

    # --- bots -----------------------------------------------------------------------------------------------------

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
                    if row.record is not None:
                        row.closed[row.record.number] = row.record
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
            self._write_progress(commit.run, commit.progress)

    # --- gateway --------------------------------------------------------------------------------------------------

    def load_gateway(self, account: AccountId) -> GatewayRecord | None:
        row = self._rows.gateways.get(account)
        if row is None or row.version == 0:
            return None
        return GatewayRecord(
            version=row.version,
            positions=dict(row.positions),
            open_orders=list(row.open_orders.values()),
            blobs=dict(row.blobs),
            unsettled=[row.unsettled[number] for number in sorted(row.unsettled)],
        )

    @contextmanager
    def gateway_transaction(self, account: AccountId) -> Iterator["MemoryGatewayTransaction"]:
        transaction = MemoryGatewayTransaction(self, account)
        try:
            yield transaction
            if transaction.staged is not None:
                staged = transaction.staged
                self._commit(lambda: self._check_gateway(staged))
        finally:
            self._unshare(transaction.shared)

    @contextmanager
    def sending(self, account: AccountId, bots: Sequence[BotKey]) -> Iterator[list[Halt]]:
        shared = self._share(account, bots)
        try:
            yield self._on(shared)
        finally:
            self._unshare(shared)

    def _share(self, account: AccountId, bots: Iterable[BotKey]) -> list[str]:
        scopes = halt_scopes(account, bots)
        with self._lock:
            for scope in scopes:
                self._rows.halts.setdefault(scope, HaltRow()).shares += 1
        return scopes

    def _unshare(self, scopes: Sequence[str]) -> None:
        with self._lock:
            for scope in scopes:
                self._rows.halts[scope].shares -= 1
            self._lock.notify_all()

    def _on(self, scopes: Iterable[str]) -> list[Halt]:
        halts = ((scope, self._rows.halts[scope]) for scope in scopes)
        return [Halt(scope=scope, reason=halt.reason, set_by=halt.set_by) for scope, halt in halts if halt.on]

    def _check_gateway(self, commit: GatewayCommit) -> Callable[[], None]:
        """Check a gateway's commit against the rows; return the write."""
        self._held(commit.lease)
        row = self._rows.gateways[commit.account]
        if row.version != commit.version:
            raise Fenced(f"gateway {commit.account}: version {commit.version} is not the row's, which is {row.version}")
        for order in commit.orders:
            self._check_order(commit.account, order)
        for fill in commit.fills:
            if (fill.client_order_id, fill.trade_id) in self._rows.fills:
                raise Permanent(f"fill {fill.trade_id} of order {fill.client_order_id}: it is stored already")
        for entry in commit.entries:
            if (uid_of(entry.bot, commit.uids), entry.seq) in self._rows.entries:
                raise Permanent(f"ledger entry {entry.seq} of bot {entry.bot}: it is stored already")
        self._check_requests(commit, row)
        self._check_advances(commit.executions)
        self._check_progress(commit.run, commit.progress)
        return lambda: self._write_gateway(commit, row)

    def _check_order(self, account: AccountId, order: OrderRow) -> None:
        """Raise Permanent when the order's id, or its bot's request, belongs to another order."""
        known = self._rows.orders.get(order.client_order_id)
        if known is not None:
            before = known[1]
            if known[0] != account or order_identity(before) != order_identity(order):
                raise Permanent(f"order {order.client_order_id}: it is stored already with other content")
        elif order.request_seq is not None and (order.uid, order.request_seq) in self._rows.order_of_request:
            raise Permanent(
                f"order {order.client_order_id}: request {order.request_seq} of bot {order.bot} has an order already"
            )

    def _check_requests(self, commit: GatewayCommit, row: GatewayRow) -> None:
        """Raise StreamGap for venue requests that do not go on where the account's ended."""
        numbers = request_numbers(commit.venue_requests)
        fresh = [number for number in numbers if number > row.request_no]
        if fresh and fresh != list(range(row.request_no + 1, fresh[-1] + 1)):
            raise StreamGap(f"gateway {commit.account}: venue requests {fresh} do not follow {row.request_no}")
        for request in commit.venue_requests:
            number = request.request.no
            replaces = number <= row.request_no
            if replaces and not (isinstance(request.request, VoidRequest) and number in row.unsettled):
                raise Permanent(f"venue request {number} of {commit.account}: only an unsettled one can be made void")

    def _write_gateway(self, commit: GatewayCommit, row: GatewayRow) -> None:
        rows = self._rows
        row.version += 1
        row.positions.update(commit.positions)
        for order in commit.orders:
            rows.orders[order.client_order_id] = (commit.account, order)
            if order.request_seq is not None:
                rows.order_of_request[order.uid, order.request_seq] = order.client_order_id
            if order.status.is_final:
                row.open_orders.pop(order.client_order_id, None)
            else:
                row.open_orders[order.client_order_id] = order
        for fill in commit.fills:
            rows.fills[fill.client_order_id, fill.trade_id] = fill
        for entry in commit.entries:
            rows.entries[commit.uids[entry.bot], entry.seq] = entry
        self._write_messages(commit.executions)
        for request in commit.venue_requests:
            row.requests[request.request.no] = row.unsettled[request.request.no] = request
            row.request_no = max(row.request_no, request.request.no)
        for number in commit.settled:
            row.unsettled.pop(number, None)
        for key, blob in commit.blobs.items():
            if blob is None:
                row.blobs.pop(key, None)
            else:
                row.blobs[key] = blob
        for statistics in commit.statistics:
            rows.statistics[commit.uids[statistics.bot], statistics.market_us] = statistics
        rows.dead_letters.extend(commit.dead_letters)
        self._write_progress(commit.run, commit.progress)

    # --- venue ----------------------------------------------------------------------------------------------------

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

    # --- runs -----------------------------------------------------------------------------------------------------

    def create_run(self, run: RunId, feed: str, participants: Sequence[Participant]) -> None:
        def check() -> Callable[[], None]:
            row = self._rows.runs[run]
            wanted = frozenset(participants)
            if row.feed is not None and (row.feed, row.participants) != (feed, wanted):
                raise Permanent(
                    f"run {run}: feed and participants are fixed already, as {row.feed}, {row.participants}"
                )

            def write() -> None:
                row.feed, row.participants = feed, wanted

            return write

        self._commit(check)

    def participants(self, run: RunId) -> frozenset[Participant]:
        return self._rows.runs[run].participants

    def progress_from(
        self, run: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        row = self._rows.runs[run]
        start = bisect_left(row.places, (market_us, round_no, phase, Participant("")))
        places = row.places[start : start + limit]
        return [row.rows[place] for place in places if until_us is None or place[0] <= until_us]

    def wait_progress(self, run: RunId, role: str, *, timeout_us: int) -> bool:
        """Return at once, since logical time stands still while a process waits: there is a hint, or there is none."""
        count = self._rows.runs[run].hints[role]
        known = self._hints.get((run, role))
        self._hints[run, role] = count
        return known is None or known != count

    def _check_progress(self, run: RunId | None, progress: Progress | None) -> None:
        """Raise NonDeterministic when the row is there with other content."""
        if run is None or progress is None:
            return
        known = self._rows.runs[run].rows.get(place_of(progress))
        if known is not None and known != progress:
            raise NonDeterministic(f"run {run}: {progress.participant} wrote {known} before, now {progress}")

    def _write_progress(self, run: RunId | None, progress: Progress | None) -> None:
        if run is None or progress is None:
            return
        row = self._rows.runs[run]
        place = place_of(progress)
        if place not in row.rows:
            row.rows[place] = progress
            insort(row.places, place)
        for role in WAKES[progress.phase]:
            row.hints[role] += 1

    # --- halts ----------------------------------------------------------------------------------------------------

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        def check() -> Callable[[], None]:
            row = self._unshared(scope)

            def write() -> None:
                row.on, row.reason, row.set_by = True, reason, set_by

            return write

        self._commit(check)

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        def check() -> Callable[[], None]:
            row = self._unshared(scope)

            def write() -> None:
                row.on, row.reason, row.set_by = False, "", set_by

            return write

        self._commit(check)

    def _unshared(self, scope: str) -> HaltRow:
        """Return the switch once nobody holds it FOR SHARE."""
        check_scope(scope)
        row = self._rows.halts.setdefault(scope, HaltRow())
        if not self._lock.wait_for(lambda: row.shares == 0, timeout=HALT_WAIT_S):
            raise Retryable(f"halt {scope}: orders are being sent for more than {HALT_WAIT_S} s")
        return row

    def active_halts(self) -> list[Halt]:
        return self._on(sorted(self._rows.halts))

    # --- upkeep ---------------------------------------------------------------------------------------------------

    def create_fleet(self) -> None:
        self._rows.halts.setdefault("fleet", HaltRow())

    def register_bot(self, bot: BotKey, uid: BotUid, *, db_role: str = "") -> None:
        known = self._rows.bots.get(uid)
        if known is not None and known.key != bot:
            raise Permanent(f"bot {bot}: UID {uid} belongs to {known.key}")
        if known is None:
            self._rows.bots[uid] = BotRow(key=bot, lease=LeaseRow())
            for stream in (orders_stream(uid), executions_stream(uid)):
                self._rows.streams.setdefault(stream, Stream())
            self._rows.halts.setdefault(f"bot/{bot}", HaltRow())

    def retire_bot(self, uid: BotUid, *, policy: DeletionPolicy) -> None:
        def check() -> Callable[[], None]:
            row = self._rows.bots.get(uid)

            def write() -> None:
                if row is not None and row.retired is None:
                    row.retired = policy
                    row.lease.epoch += 1
                    row.lease.holder, row.lease.until_us = "", 0

            return write

        self._commit(check)

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        lease_parts(consumer)
        self._rows.consumers[consumer] = frozenset(streams)

    def remove_consumer(self, consumer: LeaseName) -> None:
        self._rows.consumers.pop(consumer, None)

    def forget_generations(self, uid: BotUid, *, before: int) -> int:
        row = self._rows.bots.get(uid)
        old = [number for number in row.closed if number < before] if row else []
        for number in old:
            del self._rows.bots[uid].closed[number]
        return len(old)

    def trim(self, *, limit: int) -> int:
        deleted = 0
        for name in sorted(self._rows.streams):
            row = self._rows.streams[name]
            up_to = min(self._needed_above(name), row.trimmed + limit - deleted)
            if up_to > row.trimmed and not row.bars:
                deleted += up_to - row.trimmed
                del row.messages[: up_to - row.trimmed]
                row.trimmed = up_to
        return deleted

    def _needed_above(self, stream: StreamName) -> int:
        """Return the last number of `stream` that nobody needs any more."""
        bounds = [self._rows.streams[stream].published]
        passed = [
            self._position(consumer, stream) for consumer, names in self._rows.consumers.items() if stream in names
        ]
        if not passed:
            return 0
        bounds += passed
        for uid, record in self._rows.generations():
            if stream in record.start:
                bounds.append(record.start[stream])
            if stream == orders_stream(uid):
                bounds.append(record.first_request_seq)
        return min(bounds)

    def _position(self, consumer: LeaseName, stream: StreamName) -> int:
        kind, key, uid = lease_parts(consumer)
        row = self._rows.bots.get(BotUid(uid)) if kind == "bot" else self._rows.gateways.get(AccountId(key))
        return row.positions.get(stream, 0) if row is not None else 0

    # --- commands -------------------------------------------------------------------------------------------------

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                self._rows.commands[command.config.uid] = (account, command)

            return write

        self._commit(check)

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        commands = [command for owner, command in self._rows.commands.values() if owner == account]
        return sorted(commands, key=lambda command: (command.config.key, command.config.uid))

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        found = self._rows.commands.get(uid)
        return None if found is None else found[1]

    def forget_command(self, uid: BotUid) -> None:
        def check() -> Callable[[], None]:
            return lambda: self._rows.commands.pop(uid, None) and None

        self._commit(check)

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        for row in self._rows.gateways.values():
            blob = row.blobs.get(f"bot/{uid}")
            if blob is not None:
                return blob, [order for order in row.open_orders.values() if order.uid == uid]
        return None

    # --- topics ---------------------------------------------------------------------------------------------------

    def topic_identities(self) -> Mapping[str, TopicIdentity]:
        return dict(self._rows.topics)

    def remember_topic(self, topic: str, identity: TopicIdentity) -> None:
        self._rows.topics[topic] = identity


def place_of(progress: Progress) -> ProgressPlace:
    """Return where a row stands in the order of steps."""
    return (progress.market_us, progress.round, progress.phase, progress.participant)


class MemoryGatewayTransaction:
    """One open transaction of a gateway: what is written takes effect at the end of the block."""

    def __init__(self, store: MemoryStore, account: AccountId) -> None:
        self._store = store
        self._account = account
        self.shared: list[str] = []
        self.staged: GatewayCommit | None = None

    def requests(self, after: Mapping[StreamName, int], *, limit: int) -> list[OutboxMessage]:
        found: list[OutboxMessage] = []
        for stream in sorted(after):
            found += self._store.read_stream(stream, after=after[stream], limit=limit - len(found))
        return found

    def halts(self, bots: Sequence[BotKey]) -> list[Halt]:
        shared = self._store._share(self._account, bots)
        self.shared += shared
        return self._store._on(shared)

    def write(self, commit: GatewayCommit) -> None:
        check_gateway_lease(commit, self._account)
        if self.staged is not None:
            raise Permanent(f"gateway commit of {commit.account}: one transaction writes once")
        check_gateway_commit(commit)
        self._store._check_gateway(commit)
        self.staged = commit
