"""What the edge of a gateway needs of the database."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Protocol

from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, BotKey, BotUid, ClientOrderId, StreamName
from tradefleet.domain.ledger import LedgerEntry
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.progress import Progress
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import VenueRequest
from tradefleet.store.ports.halts import Halt
from tradefleet.store.ports.leases import Lease, LeaseStore
from tradefleet.store.ports.letters import DeadLetter
from tradefleet.store.ports.runs import RunId
from tradefleet.store.ports.streams import OutboxMessage, StreamStore


@frozen()
class OrderRow:
    """An order as the gateway keeps it. Upserted by client_order_id, which is unique in the fleet."""

    client_order_id: ClientOrderId
    bot: BotKey
    uid: BotUid
    request_seq: int | None  # None for an order of the gateway
    terms: OrderTerms
    status: OrderStatus
    reason: Reason
    filled_lots: int
    reserved_asset: str
    reserved_atoms: int
    created_us: int
    updated_us: int
    state: bytes = b""  # what else the gateway machine keeps of an open order, as JSON


@frozen()
class FillRow:
    """A fill. Unique per venue trade id and order."""

    client_order_id: ClientOrderId
    trade_id: str
    uid: BotUid
    canonical: CanonicalFill


@frozen()
class VenueRequestRow:
    """A numbered request to the venue; open until the venue's report settles it."""

    request: VenueRequest
    client_order_id: str  # the order's id, or the deposit's reference


@frozen()
class GatewayCommit:
    """Everything that one batch of inputs did to an account. `blobs` are the machine's own state rows, by key.

    A blob of None is deleted. `settled` are request numbers that the venue has answered. Venue requests continue the
    account's numbers; only a `VoidRequest` may take the place of an older unsettled one.
    """

    lease: Lease
    account: AccountId
    version: int
    positions: Mapping[StreamName, int]  # merged into the row's: a stream that did not move may be left out
    orders: Sequence[OrderRow] = ()
    fills: Sequence[FillRow] = ()
    entries: Sequence[LedgerEntry] = ()
    uids: Mapping[BotKey, BotUid] = field(default_factory=dict)  # of the bots in entries and statistics
    executions: Sequence[OutboxMessage] = ()
    venue_requests: Sequence[VenueRequestRow] = ()
    settled: Sequence[int] = ()
    blobs: Mapping[str, bytes | None] = field(default_factory=dict)
    statistics: Sequence[BotStatistics] = ()
    dead_letters: Sequence[DeadLetter] = ()
    progress: Progress | None = None
    run: RunId | None = None


@frozen()
class GatewayRecord:
    """All that a gateway needs to be the one that wrote it: open orders, state rows, unsettled requests."""

    version: int
    positions: Mapping[StreamName, int]
    open_orders: Sequence[OrderRow]
    blobs: Mapping[str, bytes]
    unsettled: Sequence[VenueRequestRow]  # in the order of their numbers


class GatewayTransaction(Protocol):
    """One open transaction of a gateway."""

    def requests(
        self, after: Mapping[StreamName, int], *, limit: int, sharing: Sequence[BotKey] = ()
    ) -> list[OutboxMessage]:
        """Return committed requests above the given positions: stream by stream in name order, gapless in each.

        When there are more than `limit`, every stream gets as many as any other, as far as it has them. The switches
        of the bots `sharing` are locked along with it, so that `halts` of some of them takes no time.
        """

    def halts(self, bots: Sequence[BotKey]) -> list[Halt]:
        """Return the switches that are on for the account or the bots, and lock the switches FOR SHARE till the end."""

    def write(self, commit: GatewayCommit) -> None:
        """Check fence and version, write everything; at most once in a transaction. Nothing is durable before its end.

        Raises Fenced, StreamGap, LedgerImbalance, and Permanent for a fill, ledger entry or order that exists already
        with another content. Any of them may come as late as the end of the block, and then nothing was written.
        """


@frozen()
class Absences:
    """The bots that no process holds at `wall_us`, on the database's clock."""

    wall_us: int
    bots: frozenset[BotUid]


class GatewayStore(LeaseStore, StreamStore, Protocol):
    """What a gateway's edge needs."""

    def absences(self, bots: Sequence[BotUid]) -> Absences:
        """Return which of these bots no process holds: the lease was never taken, given back, or is expired."""

    def load_gateway(self, account: AccountId) -> GatewayRecord | None:
        """Return what was committed, None for a new account."""

    def gateway_transaction(self, account: AccountId) -> AbstractContextManager[GatewayTransaction]:
        """Open a transaction; it commits at the end of the block and rolls back on an error in it."""

    def sending(self, account: AccountId, bots: Sequence[BotKey]) -> AbstractContextManager[list[Halt]]:
        """Hold the halt switches FOR SHARE while orders are sent, so that `halt` returns only after the send ended."""
