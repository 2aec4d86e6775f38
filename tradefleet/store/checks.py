"""Rules of a commit that need no database: checked by every implementation of the ports, before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import BarConflict, InvalidValue, Permanent, StreamGap
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName, bars_stream, bot_scopes
from tradefleet.domain.ledger import LedgerEntry, check_balanced
from tradefleet.domain.money import LOTS_MAX, TRADE_TICKS_MAX
from tradefleet.store.ports import (
    BotCommit,
    FeedCommit,
    FillRow,
    GatewayCommit,
    Lease,
    LeaseName,
    OrderRow,
    OutboxMessage,
    VenueRequestRow,
    bot_lease,
    gateway_lease,
    venue_lease,
)
from tradefleet.store.upkeep import Action

ATOMS_LIMIT = 10**38  # numeric(38, 0)
CHUNK_INPUTS = 256  # sources in one closed chunk of a bot's record

_LEASE_PARTS = {"bot": 4, "gateway": 3, "venue": 3, "feed": 3}


def lease_parts(name: LeaseName) -> tuple[str, str, str]:
    """Return kind, key and UID of a lease; the UID is empty but for a bot. Raises Permanent for a name of no kind."""
    kind, _, rest = name.partition("/")
    if len(name.split("/")) != _LEASE_PARTS.get(kind):
        raise Permanent(
            f"lease {name!r}: must be made by bot_lease (with the UID), gateway_lease, venue_lease or feed_lease"
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


def check_feed_commit(commit: FeedCommit) -> list[tuple[StreamName, int, Bar]]:
    """Return the commit's bars without repeats. Raises Permanent, BarConflict or StreamGap."""
    check_lease(commit.lease.name, "feed")
    if commit.progress and commit.run is None:
        raise Permanent(f"feed commit of {commit.lease.name}: progress and run belong together")
    distinct: dict[tuple[StreamName, int], tuple[StreamName, int, Bar]] = {}
    for stream, seq, bar in commit.bars:
        check_bar(commit.exchange, stream, bar)
        known = distinct.setdefault((stream, bar.open_us), (stream, seq, bar))
        check_same_bar(stream, known=(known[1], known[2]), fresh=(seq, bar))
    return list(distinct.values())


def check_same_bar(stream: StreamName, *, known: tuple[int, Bar], fresh: tuple[int, Bar]) -> None:
    """Raise BarConflict when a known bar comes again with other content, StreamGap when under another number."""
    if known[1] != fresh[1]:
        raise BarConflict(f"bar {fresh[1].open_us} us of {stream}: stored as {known[1]}, came as {fresh[1]}")
    if known[0] != fresh[0]:
        raise StreamGap(f"bar {fresh[1].open_us} us of {stream}: it is number {known[0]} already, not {fresh[0]}")


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
            if not 0 <= count <= LOTS_MAX:
                raise InvalidValue(f"order {order.client_order_id}: {name} must be 0 to {LOTS_MAX}, was {count}")
        if not 0 <= order.reserved_atoms < ATOMS_LIMIT:
            raise InvalidValue(
                f"order {order.client_order_id}: reserved_atoms must be >= 0 and have at most 38 digits, "
                f"was {order.reserved_atoms}"
            )


def check_fills(fills: Sequence[FillRow]) -> None:
    """Raise Permanent for a fill that is twice in one commit, InvalidValue for a number that no column holds."""
    if len({(fill.client_order_id, fill.trade_id) for fill in fills}) != len(fills):
        raise Permanent(f"fills {[fill.trade_id for fill in fills]}: each trade of an order at most once")
    for fill in fills:
        lots, price_ticks = fill.canonical.lots, fill.canonical.price_ticks
        if not 0 < lots <= LOTS_MAX:
            raise InvalidValue(f"fill {fill.trade_id}: lots must be 1 to {LOTS_MAX}, was {lots}")
        if not 0 <= price_ticks <= TRADE_TICKS_MAX:
            raise InvalidValue(f"fill {fill.trade_id}: price_ticks must be 0 to {TRADE_TICKS_MAX}, was {price_ticks}")


def check_gateway_commit(commit: GatewayCommit) -> None:
    """Raise what `GatewayTransaction.write` raises for values that contradict each other or their columns."""
    check_entries(commit.entries, commit.uids)
    check_orders(commit.orders)
    check_fills(commit.fills)
    for statistics in commit.statistics:
        uid_of(statistics.bot, commit.uids)
    if (commit.progress is None) != (commit.run is None):
        raise Permanent(f"gateway commit of {commit.account}: progress and run belong together")


def check_bot_lease(lease: Lease, bot: BotKey, uid: BotUid) -> None:
    """Raise Permanent unless `lease` is the bot's own."""
    if lease.name != bot_lease(bot, uid):
        raise Permanent(f"bot {bot}: its lease is {bot_lease(bot, uid)}, was {lease.name}")


def check_venue_lease(lease: Lease, exchange: str) -> None:
    """Raise Permanent unless `lease` is the exchange's own."""
    if lease.name != venue_lease(exchange):
        raise Permanent(f"exchange {exchange}: its lease is {venue_lease(exchange)}, was {lease.name}")


def check_gateway_lease(commit: GatewayCommit, account: AccountId) -> None:
    """Raise Permanent unless commit, lease and transaction are of one account."""
    if commit.account != account or commit.lease.name != gateway_lease(account):
        raise Permanent(f"gateway commit of {commit.account}: lease {commit.lease.name}, transaction of {account}")


def check_batch(commits: Sequence[BotCommit]) -> None:
    """Raise Permanent when a bot is twice in one transaction, or has a row of progress without its run."""
    if len({commit.uid for commit in commits}) != len(commits):
        raise Permanent(f"bot commits: each bot at most once, was {[commit.bot for commit in commits]}")
    for commit in commits:
        if (commit.progress is None) != (commit.run is None):
            raise Permanent(f"bot commit of {commit.bot}: progress and run belong together")


def check_scope(scope: str) -> None:
    """Raise InvalidValue for a halt scope of no kind."""
    if scope != "fleet" and scope.partition("/")[0] not in {"account", "bot", "policy"}:
        raise InvalidValue(
            f'halt {scope!r}: the scope must be "fleet", "account/…", "bot/namespace/name" or "policy/namespace/name"'
        )


def halt_scopes(account: AccountId, bots: Iterable[BotKey]) -> list[str]:
    """Return the scopes that stop orders of `bots` on `account`, sorted: the order in which they are locked."""
    return sorted({"fleet", f"account/{account}", *(scope for bot in bots for scope in bot_scopes(bot))})


def halt_action(scope: str, *, is_on: bool, reason: str, set_by: str) -> Action:
    """Return what the log of actions says of a switch."""
    if is_on:
        return Action(actor=set_by, action="halt", target=scope, detail={"reason": reason})
    return Action(actor=set_by, action="clear halt", target=scope)


def record_mismatch(commit: BotCommit, generation: int, input_count: int) -> Permanent:
    """Return the error for inputs that do not continue the record of a bot that is ours."""
    return Permanent(
        f"bot {commit.bot}: the commit continues generation {commit.generation} at input {commit.first_ordinal}, "
        f"the record is generation {generation} with {input_count} inputs"
    )


def order_identity(order: OrderRow) -> tuple[object, ...]:
    """Return what never changes in the life of an order; lots and price do, when it is resized or amended."""
    return (order.uid, order.bot, order.request_seq, order.terms.symbol, order.terms.side, order.terms.type)
