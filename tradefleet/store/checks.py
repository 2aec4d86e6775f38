"""Rules of a commit that need no database: checked by every implementation of the ports, before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue, Permanent, StreamGap
from tradefleet.domain.ids import BotKey, BotUid, StreamName, bars_stream
from tradefleet.domain.ledger import LedgerEntry, check_balanced
from tradefleet.store.ports import GatewayCommit, LeaseName, OrderRow, OutboxMessage, VenueRequestRow

ATOMS_LIMIT = 10**38  # numeric(38, 0)
COUNT_LIMIT = 2**63  # bigint: ticks, lots, numbers and times
CHUNK_INPUTS = 256  # sources in one closed chunk of a bot's record

_LEASE_PARTS = {"bot": 4, "gateway": 3, "venue": 3, "feed": 3}


def lease_parts(name: LeaseName) -> tuple[str, str, str]:
    """Return kind, key and UID of a lease; the UID is empty but for a bot. Raises Permanent for a name of no kind."""
    kind, _, rest = name.partition("/")
    if len(name.split("/")) != _LEASE_PARTS.get(kind):
        raise Permanent(
            f"lease {name!r}: must be made by bot_lease (namespace, name and UID), gateway_lease, venue_lease or feed_lease"
        )
    if kind != "bot":
        return kind, rest, ""
    key, _, uid = rest.rpartition("/")
    return kind, key, uid


def check_lease(name: LeaseName, kind: str) -> str:
    """Return the key of a lease that must be of `kind`. Raises Permanent for a lease of another kind."""
    found, key, _ = lease_parts(name)
    if found != kind:
        raise Permanent(f"lease {name!r}: a {kind} lease is needed here")
    return key


def check_ttl(name: LeaseName, ttl_us: int) -> None:
    """Raise InvalidValue unless a lease would last for some time."""
    if ttl_us <= 0:
        raise InvalidValue(f"lease {name}: ttl_us must be > 0, was {ttl_us}")


def stream_advances(messages: Sequence[OutboxMessage]) -> dict[StreamName, tuple[int, int]]:
    """Return, per stream, the number before the first message and the last one. Raises StreamGap for a hole."""
    advances: dict[StreamName, tuple[int, int]] = {}
    for message in messages:
        advance = advances.get(message.stream)
        if advance is None:
            advances[message.stream] = (message.seq - 1, message.seq)
        elif message.seq != advance[1] + 1:
            raise StreamGap(f"stream {message.stream}: message {message.seq} follows {advance[1]} in one commit")
        else:
            advances[message.stream] = (advance[0], message.seq)
    return advances


def request_numbers(rows: Sequence[VenueRequestRow]) -> list[int]:
    """Return the numbers of venue requests, sorted. Raises StreamGap when a number occurs twice."""
    numbers = sorted(row.request.no for row in rows)
    for before, number in pairwise(numbers):
        if before == number:
            raise StreamGap(f"venue request {number} occurs twice in one commit")
    return numbers


def check_bar(exchange: str, stream: StreamName, bar: Bar) -> None:
    """Raise Permanent when a bar is committed to a stream that is not its own."""
    wanted = bars_stream(exchange, bar.symbol, bar.interval_us)
    if stream != wanted:
        raise Permanent(f"bar {bar.symbol} at {bar.open_us} us of {exchange}: its stream is {wanted}, was {stream}")


def check_entries(entries: Iterable[LedgerEntry], uids: Mapping[BotKey, BotUid]) -> None:
    """Raise LedgerImbalance, or InvalidValue for an amount that no column holds, or Permanent for an unknown bot."""
    for entry in entries:
        uid_of(entry.bot, uids)
        check_balanced(entry.reference, entry.postings)
        for posting in entry.postings:
            if not -ATOMS_LIMIT < posting.atoms < ATOMS_LIMIT:
                raise InvalidValue(
                    f"ledger transaction {entry.reference}: {posting.asset} atoms must have at most 38 digits, "
                    f"was {posting.atoms}"
                )


def uid_of(bot: BotKey, uids: Mapping[BotKey, BotUid]) -> BotUid:
    """Return the UID that a gateway commit names for `bot`. Raises Permanent when it names none."""
    uid = uids.get(bot)
    if uid is None:
        raise Permanent(f"gateway commit: uids must name the UID of bot {bot}")
    return uid


def check_orders(orders: Iterable[OrderRow]) -> None:
    """Raise InvalidValue for a number that no column holds."""
    for order in orders:
        for name, count in (("lots", order.terms.lots), ("filled_lots", order.filled_lots)):
            if not 0 <= count < COUNT_LIMIT:
                raise InvalidValue(f"order {order.client_order_id}: {name} must be 0 to 2^63 - 1, was {count}")
        if not 0 <= order.reserved_atoms < ATOMS_LIMIT:
            raise InvalidValue(
                f"order {order.client_order_id}: reserved_atoms must be >= 0 and have at most 38 digits, "
                f"was {order.reserved_atoms}"
            )


def check_gateway_commit(commit: GatewayCommit) -> None:
    """Raise what `GatewayTransaction.write` raises for values that contradict each other or their columns."""
    check_entries(commit.entries, commit.uids)
    check_orders(commit.orders)
    for statistics in commit.statistics:
        uid_of(statistics.bot, commit.uids)
    if (commit.progress is None) != (commit.run is None):
        raise Permanent(f"gateway commit of {commit.account}: progress and run belong together")
