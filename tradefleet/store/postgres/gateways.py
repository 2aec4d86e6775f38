"""What a gateway writes: orders, fills, ledger, executions and its machine's state, in one fenced transaction."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tradefleet.domain.errors import Permanent, StreamGap
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName
from tradefleet.store.checks import (
    check_gateway_commit,
    check_gateway_lease,
    halt_scopes,
    request_numbers,
    stream_advances,
)
from tradefleet.store.ports import Absences, GatewayCommit, GatewayRecord, Halt, OutboxMessage
from tradefleet.store.postgres import gateway_rows, gateway_sql, halt_sql, stream_sql
from tradefleet.store.postgres.encoding import advance_parameters, message_rows, to_json
from tradefleet.store.postgres.leases import PostgresLeases
from tradefleet.store.postgres.runs import write_progress
from tradefleet.store.postgres.session import Cursor, Session, Transaction
from tradefleet.store.postgres.streams import PostgresStreams, message_of


class PostgresGatewayStore(PostgresLeases, PostgresStreams):
    """Implements `GatewayStore`."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._known_streams: set[StreamName] = set()

    def load_gateway(self, account: AccountId) -> GatewayRecord | None:
        """Return what was committed, None for a new account. All of it is of one moment."""
        parameters = {"fleet": self._session.fleet, "account": account}
        with self._session.snapshot() as transaction:
            cursors = [
                transaction.run(query, parameters)
                for query in (
                    gateway_sql.LOAD,
                    gateway_sql.LOAD_OPEN_ORDERS,
                    gateway_sql.LOAD_BLOBS,
                    gateway_sql.LOAD_UNSETTLED,
                )
            ]
            row, orders, blobs, unsettled = (cursor.fetchall() for cursor in cursors)
        if not row or row[0][0] == 0:
            return None
        return GatewayRecord(
            version=row[0][0],
            positions=row[0][1],
            open_orders=[gateway_rows.order_of(order) for order in orders],
            blobs=dict(blobs),
            unsettled=[gateway_rows.request_of(*request) for request in unsettled],
        )

    def absences(self, bots: Sequence[BotUid]) -> Absences:
        """Return which of these bots no process holds: the lease was never taken, given back, or is expired."""
        [(wall_us, absent)] = self._session.read(
            gateway_sql.ABSENCES, {"fleet": self._session.fleet, "bots": list(bots)}
        )
        return Absences(wall_us=wall_us, bots=frozenset(absent))

    @contextmanager
    def gateway_transaction(self, account: AccountId) -> Iterator["PostgresGatewayTransaction"]:
        """Open a transaction; it commits at the end of the block and rolls back on an error in it."""
        with self._session.transaction() as transaction:
            gateway = PostgresGatewayTransaction(transaction, self._session.fleet, account, self._known_streams)
            yield gateway
        self._known_streams |= gateway.streams

    @contextmanager
    def sending(self, account: AccountId, bots: Sequence[BotKey]) -> Iterator[list[Halt]]:
        """Hold the halt switches FOR SHARE while orders are sent, so that `set_halt` returns only after that."""
        with self._session.transaction() as transaction:
            yield share_halts(transaction, self._session.fleet, halt_scopes(account, bots))


class PostgresGatewayTransaction:
    """Implements `GatewayTransaction`. The statements of `write` are sent together with COMMIT, in one round trip."""

    def __init__(self, transaction: Transaction, fleet: str, account: AccountId, known: set[StreamName]) -> None:
        self.streams: set[StreamName] = set()
        self._transaction = transaction
        self._fleet = fleet
        self._account = account
        self._known_streams = known
        self._wrote = False
        self._shared: dict[str, Halt | None] = {}  # switches that are locked, by scope; None: it is off

    def requests(
        self, after: Mapping[StreamName, int], *, limit: int, sharing: Sequence[BotKey] = ()
    ) -> list[OutboxMessage]:
        """Return committed requests above the given positions: stream by stream in name order, gapless in each."""
        switches: Cursor | None = None
        if sharing:
            scopes = list(halt_scopes(self._account, sharing))
            switches = self._transaction.run(gateway_sql.SHARE_HALTS, {"fleet": self._fleet, "scopes": scopes})
        rows = [{"stream": stream, "after": seq} for stream, seq in after.items()]
        parameters = {
            "fleet": self._fleet,
            "after": to_json(rows),
            "streams": list(after),
            "positions": to_json(after),
            "limit": limit,
        }
        found = self._transaction.run(gateway_sql.REQUESTS, parameters)
        trimmed = self._transaction.run(gateway_sql.TRIMMED, parameters)
        messages = [message_of(row) for row in found.fetchall()]
        if switches is not None:
            self._shared |= _switches(switches.fetchall())
        for stream, position, up_to in trimmed.fetchall():
            raise StreamGap(f"stream {stream}: message {position + 1} is wanted, but {up_to} and below are trimmed")
        last = dict(after)
        for message in messages:
            if message.seq != last[message.stream] + 1:
                raise StreamGap(f"stream {message.stream}: {message.seq} follows {last[message.stream]} in the outbox")
            last[message.stream] = message.seq
        return messages

    def halts(self, bots: Sequence[BotKey]) -> list[Halt]:
        """Return the switches that are on for the account or the bots, and lock the switches FOR SHARE till the end."""
        scopes = halt_scopes(self._account, bots)
        if not self._shared.keys() >= set(scopes):
            return share_halts(self._transaction, self._fleet, scopes)
        return [halt for scope in sorted(scopes) if (halt := self._shared[scope]) is not None]

    def write(self, commit: GatewayCommit) -> None:
        """Check fence and version, write everything; at most once. A refusal may raise at the end of the block."""
        check_gateway_lease(commit, self._account)
        check_gateway_commit(commit)
        if self._wrote:
            raise Permanent(f"gateway commit of {commit.account}: one transaction writes once")
        self._wrote = True
        self._write_fence(commit)
        self._write_orders(commit)
        self._write_ledger(commit)
        self._write_executions(commit.executions, commit.lease.epoch)
        self._write_state(commit)
        if commit.progress is not None and commit.run is not None:
            write_progress(self._transaction, self._fleet, commit.run, commit.progress)

    def _run(self, query: str, commit: GatewayCommit, **parameters: Any) -> None:  # noqa: ANN401 - SQL parameters
        self._transaction.run(
            query, {"fleet": self._fleet, "account": commit.account, "epoch": commit.lease.epoch, **parameters}
        )

    def _write_fence(self, commit: GatewayCommit) -> None:
        numbers = request_numbers(commit.venue_requests)
        self._run(
            gateway_sql.FENCE,
            commit,
            version=commit.version,
            positions=to_json(commit.positions),
            numbers=numbers,
            last_request=numbers[-1] if numbers else 0,
            fence_message=f"gateway {commit.account}: epoch {commit.lease.epoch} or version {commit.version} is not "
            "the row's: somebody else took over",
            gap_message=f"gateway {commit.account}: venue requests {numbers[:1]}… do not continue its numbers",
        )

    def _write_orders(self, commit: GatewayCommit) -> None:
        if commit.orders:
            rows = gateway_rows.order_rows(commit.orders)
            self._run(
                gateway_sql.WRITE_ORDERS,
                commit,
                orders=to_json(rows),
                count=len(rows),
                message=f"gateway {commit.account}: one of the orders {[row['client_order_id'] for row in rows[:10]]}… "
                "is stored already with other content",
            )
        if commit.fills:
            self._run(gateway_sql.WRITE_FILLS, commit, fills=gateway_rows.fill_rows(commit.fills))
        if commit.venue_requests:
            self._run(
                gateway_sql.WRITE_VENUE_REQUESTS,
                commit,
                requests=gateway_rows.venue_request_rows(commit.venue_requests),
                count=len(commit.venue_requests),
                message=f"gateway {commit.account}: a venue request is stored already; only an unsettled one can be "
                "made void",
            )
        if commit.settled:
            self._run(gateway_sql.SETTLE, commit, numbers=list(commit.settled))

    def _write_ledger(self, commit: GatewayCommit) -> None:
        if commit.entries:
            self._run(gateway_sql.WRITE_ENTRIES, commit, entries=gateway_rows.entry_rows(commit.entries, commit.uids))
            self._run(
                gateway_sql.WRITE_POSTINGS, commit, postings=gateway_rows.posting_rows(commit.entries, commit.uids)
            )
        if commit.statistics:
            self._run(
                gateway_sql.WRITE_STATISTICS,
                commit,
                statistics=gateway_rows.statistics_rows(commit.statistics, commit.uids),
            )

    def _write_executions(self, messages: Sequence[OutboxMessage], epoch: int) -> None:
        if not messages:
            return
        advances = stream_advances(messages)
        self.streams = set(advances)
        unknown = sorted(self.streams - self._known_streams)
        if unknown:
            self._transaction.run(stream_sql.CREATE_STREAMS, {"fleet": self._fleet, "streams": unknown})
        self._transaction.run(
            stream_sql.ADVANCE,
            {
                "fleet": self._fleet,
                **advance_parameters(advances),
                "message": f"gateway {self._account}: executions do not continue one of the streams "
                f"{sorted(advances)[:10]}…",
            },
        )
        self._transaction.run(
            stream_sql.WRITE_MESSAGES, {"fleet": self._fleet, "messages": message_rows(messages), "epoch": epoch}
        )

    def _write_state(self, commit: GatewayCommit) -> None:
        rows = gateway_rows.blob_rows(commit.blobs)
        if rows:
            self._run(gateway_sql.WRITE_BLOBS, commit, blobs=to_json(rows))
        if len(rows) != len(commit.blobs):
            self._run(
                gateway_sql.DELETE_BLOBS, commit, keys=[key for key, value in commit.blobs.items() if value is None]
            )
        if commit.dead_letters:
            self._run(
                gateway_sql.WRITE_DEAD_LETTERS, commit, letters=gateway_rows.dead_letter_rows(commit.dead_letters)
            )


def share_halts(transaction: Transaction, fleet: str, scopes: Sequence[str]) -> list[Halt]:
    """Lock the switches FOR SHARE and return those that are on.

    A switch that is missing is made first: whoever would switch it on meanwhile waits for our row.
    """
    parameters = {"fleet": fleet, "scopes": list(scopes)}
    rows = transaction.run(gateway_sql.SHARE_HALTS, parameters).fetchall()
    if len(rows) < len(scopes):
        transaction.run(halt_sql.CREATE, parameters)
        rows = transaction.run(gateway_sql.SHARE_HALTS, parameters).fetchall()
    return [halt for halt in _switches(rows).values() if halt is not None]


def _switches(rows: Sequence[Sequence[Any]]) -> dict[str, Halt | None]:
    """Return rows of `gateway_sql.SHARE_HALTS` by scope; None stands for a switch that is off."""
    return {
        scope: Halt(scope=scope, reason=reason, set_by=set_by) if is_on else None
        for scope, is_on, reason, set_by in rows
    }
