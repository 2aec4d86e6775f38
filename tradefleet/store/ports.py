"""What the workers need of the database: values that commit together, and the transactions that take them.

Two things stand behind these protocols and pass one contract suite: Postgres (`tradefleet.store.postgres`) and the
twin in memory that the simulation crashes (`tests/fakes`). A commit is a plain value, so both check the same rules:

- the fence: a commit whose epoch is not the row's newest changes nothing and raises `Fenced` (rule 2);
- compare-and-set: a commit whose `version` is not the row's changes nothing and raises `Fenced` (rule 7);
- streams: the numbers of outgoing messages continue the stream without a gap, or nothing is written (rule 5).

An error while committing is `OutcomeUnknown`: the caller throws its machine away and loads again (rule 8).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import NewType, Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, BotKey, BotUid, ClientOrderId, StreamName
from tradefleet.domain.ledger import LedgerEntry
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.progress import VENUE_REQUESTS_STREAM, Participant, Phase, Progress
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import VenueRequest

LeaseName = NewType(
    "LeaseName", str
)  # "bot/ns/name", "gateway/ns/exchange:account", "venue/ns/exchange", "feed/ns/name"
RunId = NewType("RunId", str)

ADOPTION_AND_COMMANDS = 0  # input sources of a bot's record: payload kept in the record itself
EXECUTIONS = 1
FIRST_BARS = 2  # and one source per bar stream, in the sorted order of the bot's streams


def bot_lease(bot: BotKey, uid: BotUid) -> LeaseName:
    """Return the lease of one bot. The UID is part of it: a deleted bot's last process must not win its namesake's."""
    return LeaseName(f"bot/{bot}/{uid}")


def gateway_lease(account: AccountId) -> LeaseName:
    """Return the lease of an account's gateway."""
    return LeaseName(f"gateway/{account}")


def venue_lease(exchange: str) -> LeaseName:
    """Return the lease of a simulator's journal writer; `exchange` is "namespace/name"."""
    return LeaseName(f"venue/{exchange}")


def feed_lease(feed: str) -> LeaseName:
    """Return the lease of a feed; `feed` is "namespace/name"."""
    return LeaseName(f"feed/{feed}")


@frozen()
class Lease:
    """Our right to write as `name`. `deadline_us` is on the caller's monotonic clock, taken before the call.

    `took_over`: another holder had it and has not given it back, so what it sent may still be under way (rule 3).
    """

    name: LeaseName
    epoch: int
    holder: str
    generation: int
    deadline_us: int
    took_over: bool = False


class LeaseStore(Protocol):
    """Epochs and leases (rule 3). Raises LeaseHeld, StaleGeneration, Fenced."""

    def acquire(self, name: LeaseName, *, holder: str, generation: int, ttl_us: int, owner: str = "") -> Lease:
        """Take the next epoch: the lease must be the holder's own, released or expired, and generation >= the row's.

        `owner` is the UID of the resource that a gateway, venue or feed works for; a bot's is in the name of its lease.
        A generation counts against those of its owner only: a resource that was made again begins anew. A retired bot
        or owner (deleted resource) raises StaleGeneration.
        """

    def renew(self, lease: Lease, *, ttl_us: int) -> Lease:
        """Return the lease with a later deadline; raises Fenced when a newer epoch exists or it was released."""

    def release(self, lease: Lease) -> None:
        """Give the lease back; harmless when it is not ours any more."""


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


# --- feed ---------------------------------------------------------------------------------------------------------


@frozen()
class FeedCommit:
    """Closed bars, each with the next number of its stream, and the steps they make."""

    lease: Lease
    bars: Sequence[tuple[StreamName, int, Bar]]
    exchange: str
    run: RunId | None = None
    progress: Sequence[Progress] = ()


class FeedStore(LeaseStore, StreamStore, Protocol):
    """What a feed needs."""

    def commit_feed(self, commit: FeedCommit) -> None:
        """Write bars and progress in one transaction. The same bar again is skipped; other content: `BarConflict`.

        A bar that already has another number, and a number that does not follow the stream's last: `StreamGap`.
        """


# --- bot ----------------------------------------------------------------------------------------------------------


@frozen()
class BotCommit:
    """Everything that one batch of inputs did to a bot.

    `sources` is the record: one byte an input (`ADOPTION_AND_COMMANDS`, `EXECUTIONS`, or the bar stream's number);
    since every stream is gapless, the order of sources says which inputs they were. `payloads` holds, by ordinal of
    the input in its generation, what no stream keeps: adoption, commands, timers.
    """

    bot: BotKey
    uid: BotUid
    epoch: int
    version: int  # the row's version before this commit; it becomes version + 1
    generation: int
    positions: Mapping[StreamName, int]  # merged into the row's: a stream that did not move may be left out
    first_ordinal: int
    sources: bytes
    payloads: Mapping[int, bytes] = field(default_factory=dict)
    requests: Sequence[OutboxMessage] = ()
    request_count: int
    request_hash: str
    snapshot: bytes | None = None  # the bot's state after the last input; kept: the newest
    progress: Progress | None = None
    run: RunId | None = None
    turn_size: int = 1  # how many rows end the progress's turn: the last of them wakes who is next


@frozen()
class BotRecord:
    """What is known of a bot's generation: enough to fold it again.

    `request_count` and `request_hash` are of this generation. `snapshot` stands after `snapshot_ordinal` inputs; the
    other `snapshot_*` fields are the positions, count and hash at that place.
    """

    version: int
    generation: int
    positions: Mapping[StreamName, int]
    start_positions: Mapping[StreamName, int]  # stream positions before the first input of the generation
    input_count: int
    request_seq: int  # last number of the bot's request stream
    first_request_seq: int  # the number before the first request of this generation
    request_count: int
    request_hash: str
    snapshot: bytes | None = None
    snapshot_ordinal: int = 0
    snapshot_positions: Mapping[StreamName, int] = field(default_factory=dict)
    snapshot_request_count: int = 0
    snapshot_request_hash: str = ""


class BotStore(LeaseStore, StreamStore, Protocol):
    """What a bot's edge needs."""

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        """Return the newest generation's record, None for a bot that never committed."""

    def open_generation(self, lease: Lease, *, bot: BotKey, uid: BotUid, start: Mapping[StreamName, int]) -> BotRecord:
        """Close the record of the generation before, if any, and open the lease's generation. Fenced by epoch.

        When the lease's generation is open already, its record is returned as it is and `start` is ignored.
        """

    def read_record(self, uid: BotUid, generation: int, *, after: int, limit: int) -> tuple[bytes, dict[int, bytes]]:
        """Return up to `limit` sources from ordinal `after` on (ordinals start at 0), with the payloads among them."""

    def commit_bots(self, commits: Sequence[BotCommit]) -> frozenset[BotKey]:
        """Commit many bots in one transaction; return those that were still ours (rule 27). The others changed nothing.

        Raises StreamGap for request numbers that do not continue the stream, Permanent for inputs that do not continue
        the record: our own bugs, so nothing of the whole transaction is written.
        """


# --- gateway ------------------------------------------------------------------------------------------------------


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
class DeadLetter:
    """A message that could not be read or applied (rule 9), with the reason. `seq` is 0 outside numbered streams."""

    topic: str
    stream: StreamName
    seq: int
    key: str
    reason: str
    payload: bytes


class DeadLetterStore(Protocol):
    """What a reader of market data needs to put aside what it cannot use."""

    def put_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters."""


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


@frozen()
class Halt:
    """A halt switch that is on (rule 11). `scope` is "fleet", "account/…" or "bot/ns/name"."""

    scope: str
    reason: str
    set_by: str


class GatewayTransaction(Protocol):
    """One open transaction of a gateway."""

    def requests(self, after: Mapping[StreamName, int], *, limit: int) -> list[OutboxMessage]:
        """Return committed requests above the given positions: stream by stream in name order, gapless in each.

        When there are more than `limit`, every stream gets as many as any other, as far as it has them.
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


# --- venue --------------------------------------------------------------------------------------------------------


@frozen()
class VenueSnapshot:
    """State of a simulator after the journal record at `offset`. Topic and cluster say of which journal."""

    exchange: str
    offset: int
    cluster_id: str
    topic_id: str
    state_hash: str
    state: bytes


class VenueStore(LeaseStore, StreamStore, Protocol):
    """What a simulator's edge needs."""

    def load_venue_snapshot(self, exchange: str) -> VenueSnapshot | None:
        """Return the newest snapshot, None when there is none."""

    def save_venue_snapshot(self, lease: Lease, snapshot: VenueSnapshot) -> None:
        """Replace the snapshot. Fenced by epoch."""

    def commit_venue_progress(self, lease: Lease, run: RunId, progress: Progress) -> None:
        """Write a lockstep row; the same row again is accepted (rule 21). Fenced by epoch."""


# --- lockstep -----------------------------------------------------------------------------------------------------


VENUE_ROLE = "venue"  # whom a row of progress wakes
GATEWAY_ROLE = "gateway"
BOTS_ROLE = "bots"  # all of them; one bot alone by the name of its stream of executions


def woken_by(progress: Progress) -> tuple[str, ...]:
    """Return the roles whose turn may come after a row, and who are woken by it.

    A phase without input is left out, and a step may end: then whoever comes next is woken too, the gateway because a
    timer may make a step of its own. The last row before a turn of some bots must name the executions of all of them.
    """
    produced = progress.produced
    executions = tuple(stream for stream in produced if stream != VENUE_REQUESTS_STREAM)
    match progress.phase:
        case Phase.FEED:
            return (VENUE_ROLE, GATEWAY_ROLE)
        case Phase.VENUE_BARS:
            return (GATEWAY_ROLE,)
        case Phase.GATEWAY_REPORTS:
            return (BOTS_ROLE,) if progress.round == 0 else executions or (VENUE_ROLE,)
        case Phase.BOTS:
            return (GATEWAY_ROLE,) if produced else (GATEWAY_ROLE, VENUE_ROLE)
        case Phase.GATEWAY_REQUESTS:
            return (VENUE_ROLE,) if VENUE_REQUESTS_STREAM in produced else (VENUE_ROLE, *executions)
        case Phase.VENUE_REQUESTS:
            return (GATEWAY_ROLE,) if produced else (GATEWAY_ROLE, BOTS_ROLE)


class RunStore(Protocol):
    """Progress rows of lockstep runs (rule 21). The rows of a step sort by (market_us, round, phase, participant)."""

    def create_run(
        self, run: RunId, feed: str, participants: Sequence[Participant], terms: Mapping[str, object]
    ) -> None:
        """Fix what a run begins with; `terms` is what its exchange is then, as JSON values.

        The same call again is accepted, and the first terms stay; another feed or participants: Permanent.
        """

    def participants(self, run: RunId) -> frozenset[Participant]:
        """Return who takes part."""

    def terms_of_runs(self) -> dict[str, dict[str, object]]:
        """Return the terms of every run, by its name."""

    def progress_from(
        self, run: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        """Return rows at or after that place in the order of steps, sorted; none of a step after `until_us`."""

    def wait_progress(self, run: RunId, roles: Collection[str], *, timeout_us: int) -> bool:
        """Wait for the hint that somebody wrote a row that wakes one of `roles`; False after the timeout. Only a hint.

        Hints that came since the last call count as one. The first call starts listening and returns True at once:
        look, then wait.
        """


# --- commands -----------------------------------------------------------------------------------------------------


class CommandStore(Protocol):
    """The desired state of every bot, written by the Governor alone (rule 11)."""

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        """Write a bot's whole desired state; the newest replaces the one before."""

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        """Return the desired state of an account's bots, sorted by key; deleted ones too, until `forget_command`."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return one bot's desired state."""

    def forget_command(self, uid: BotUid) -> None:
        """Remove a deleted bot that has been wound down."""

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        """Return the gateway's state row of a bot and its open orders, oldest first: what a new generation adopts."""


# --- halt ---------------------------------------------------------------------------------------------------------


class HaltStore(Protocol):
    """The halt switch (rule 11)."""

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        """Switch on and return after the commit: from then on no order that raises risk is accepted or sent."""

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        """Switch off."""

    def active_halts(self) -> list[Halt]:
        """Return every switch that is on."""
