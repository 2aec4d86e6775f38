"""Accounts in memory: a gateway's transaction and what it leaves behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.fakes.memory_database import (
    GatewayRow,
)
from tests.fakes.memory_halts import MemoryHalts
from tests.fakes.memory_leases import MemoryLeases
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_streams import MemoryStreams
from tradefleet.domain.errors import (
    Fenced,
    Permanent,
    StreamGap,
)
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName
from tradefleet.domain.venue import VoidRequest
from tradefleet.store.checks import (
    check_gateway_commit,
    check_gateway_lease,
    order_identity,
    request_numbers,
    uid_of,
)
from tradefleet.store.ports import (
    Absences,
    GatewayCommit,
    GatewayRecord,
    Halt,
    OrderRow,
    OutboxMessage,
)


class MemoryGateways(MemoryLeases, MemoryStreams, MemoryRuns, MemoryHalts):
    """Implements `GatewayStore`."""

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

    def absences(self, bots: Sequence[BotUid]) -> Absences:
        now_us = self._database.clock_us()
        leases = {uid: row.lease for uid in bots if (row := self._rows.bots.get(uid)) is not None}
        absent = (uid for uid, lease in leases.items() if not lease.holder or lease.until_us <= now_us)
        return Absences(wall_us=now_us, bots=frozenset(absent))

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
        rows.dead_letters.extend((self._database.clock_us(), letter) for letter in commit.dead_letters)
        self._write_progress(commit.run, commit.progress)


class MemoryGatewayTransaction:
    """One open transaction of a gateway: what is written takes effect at the end of the block."""

    def __init__(self, store: MemoryGateways, account: AccountId) -> None:
        self._store = store
        self._account = account
        self.shared: list[str] = []
        self.staged: GatewayCommit | None = None

    def requests(
        self, after: Mapping[StreamName, int], *, limit: int, sharing: Sequence[BotKey] = ()
    ) -> list[OutboxMessage]:
        if sharing:
            self.halts(sharing)
        found = [
            message for stream in after for message in self._store.read_stream(stream, after=after[stream], limit=limit)
        ]
        found.sort(key=lambda message: (message.seq - after[message.stream], message.stream))
        return sorted(found[:limit], key=lambda message: (message.stream, message.seq))

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
