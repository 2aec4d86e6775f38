"""Values that the tests of the store commit."""

from collections.abc import Mapping, Sequence
from typing import Any

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.ids import (
    AccountId,
    BotKey,
    BotUid,
    StreamName,
    Symbol,
    bars_stream,
    bot_order_id,
    executions_stream,
    orders_stream,
    uid_hash,
)
from tradefleet.domain.ledger import Book, EntryKind, LedgerEntry, Posting
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side
from tradefleet.domain.statistics import BotStatistics
from tradefleet.store.ports import (
    BotCommit,
    BotRecord,
    BotStore,
    FillRow,
    GatewayCommit,
    GatewayStore,
    Lease,
    OrderRow,
    OutboxMessage,
    bot_lease,
    gateway_lease,
)

BOT = BotKey("ns/alpha")
UID = BotUid("uid-alpha")
OTHER_BOT = BotKey("ns/beta")
OTHER_UID = BotUid("uid-beta")
EXCHANGE = "ns/venue"
ACCOUNT = AccountId("ns/venue:main")
OTHER_ACCOUNT = AccountId("ns/venue:second")
SYMBOL = Symbol("BTC-USD")
BARS = bars_stream(EXCHANGE, SYMBOL, MINUTE_US)
START_US = 1_522_800_000_000_000
TTL_US = 30_000_000


def bar(index: int, close: float = 7_000.25) -> Bar:
    return Bar(SYMBOL, MINUTE_US, START_US + index * MINUTE_US, 7_000.5, 7_010.0, 6_990.0, close, 1.5)


def message(stream: StreamName, seq: int, payload: bytes = b"payload") -> OutboxMessage:
    return OutboxMessage(
        stream=stream,
        seq=seq,
        topic="trading.orders",
        key="key",
        market_us=START_US + seq,
        payload=payload + str(seq).encode(),
    )


def take_bot(
    store: BotStore,
    *,
    bot: BotKey = BOT,
    uid: BotUid = UID,
    holder: str = "slot-1",
    generation: int = 1,
    start: Mapping[StreamName, int] | None = None,
) -> tuple[Lease, BotRecord]:
    lease = store.acquire(bot_lease(bot, uid), holder=holder, generation=generation, ttl_us=TTL_US)
    return lease, store.open_generation(lease, bot=bot, uid=uid, start=start or {})


def bot_commit(
    lease: Lease,
    version: int,
    *,
    bot: BotKey = BOT,
    uid: BotUid = UID,
    first_ordinal: int = 0,
    sources: bytes = b"\x02",
    requests: Sequence[int | OutboxMessage] = (),
    **more: Any,
) -> BotCommit:
    values: dict[str, Any] = {
        "bot": bot,
        "uid": uid,
        "epoch": lease.epoch,
        "version": version,
        "generation": lease.generation,
        "positions": {BARS: first_ordinal + len(sources)},
        "first_ordinal": first_ordinal,
        "sources": sources,
        "requests": [
            each if isinstance(each, OutboxMessage) else message(orders_stream(uid), each) for each in requests
        ],
        "request_count": len(requests),
        "request_hash": "hash",
    }
    return BotCommit(**(values | more))


def order(
    seq: int = 1,
    *,
    bot: BotKey = BOT,
    uid: BotUid = UID,
    status: OrderStatus = OrderStatus.SUBMITTED,
    lots: int = 100,
    **more: Any,
) -> OrderRow:
    terms = OrderTerms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, lots=lots, price_ticks=700_000)
    values: dict[str, Any] = {
        "client_order_id": bot_order_id(uid_hash(uid), seq),
        "bot": bot,
        "uid": uid,
        "request_seq": seq,
        "terms": terms,
        "status": status,
        "reason": Reason.NONE,
        "filled_lots": 0,
        "reserved_asset": "USD",
        "reserved_atoms": 70_000_000_000,
        "created_us": START_US,
        "updated_us": START_US,
        "state": b'{"a":1}',
    }
    return OrderRow(**(values | more))


def fill(seq: int = 1, trade_id: str = "t1", *, lots: int = 40, uid: BotUid = UID, bot: BotKey = BOT) -> FillRow:
    return FillRow(
        client_order_id=bot_order_id(uid_hash(uid), seq),
        trade_id=trade_id,
        uid=uid,
        canonical=CanonicalFill(START_US, bot, str(seq), SYMBOL, Side.BUY, 700_000, lots, 12_345, "USD"),
    )


def entry(
    seq: int, *postings: tuple[Book, str, int], bot: BotKey = BOT, kind: EntryKind = EntryKind.DEPOSIT
) -> LedgerEntry:
    return LedgerEntry(
        bot=bot,
        seq=seq,
        kind=kind,
        reference=f"reference-{seq}",
        market_us=START_US,
        postings=tuple(Posting(*posting) for posting in postings),
    )


def statistics(index: int, equity_atoms: int = 10**14, *, bot: BotKey = BOT) -> BotStatistics:
    return BotStatistics(
        bot=bot,
        market_us=START_US + index * MINUTE_US,
        quote="USD",
        equity_atoms=equity_atoms,
        hold_atoms=None,
        peak_equity_atoms=equity_atoms,
        realized_atoms=-5,
        fees_atoms=7,
        orders=1,
        fills=2,
        open_orders=0,
        positions=((SYMBOL, 40),),
    )


def take_gateway(store: GatewayStore, *, holder: str = "gateway-1", generation: int = 1) -> Lease:
    return store.acquire(gateway_lease(ACCOUNT), holder=holder, generation=generation, ttl_us=TTL_US)


def gateway_commit(lease: Lease, version: int = 0, **more: Any) -> GatewayCommit:
    values: dict[str, Any] = {
        "lease": lease,
        "account": ACCOUNT,
        "version": version,
        "positions": {},
        "uids": {BOT: UID, OTHER_BOT: OTHER_UID},
    }
    return GatewayCommit(**(values | more))


def write(store: GatewayStore, commit: GatewayCommit) -> None:
    with store.gateway_transaction(commit.account) as transaction:
        transaction.write(commit)


def executions(seqs: Sequence[int], uid: BotUid = UID) -> list[OutboxMessage]:
    return [message(executions_stream(uid), seq) for seq in seqs]
