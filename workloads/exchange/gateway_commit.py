"""From the effects of a gateway to the rows and messages of one commit, and back to a machine."""

from collections.abc import Mapping, Sequence

import msgspec

from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName, executions_stream, orders_stream
from tradefleet.domain.orders import BotRequest
from tradefleet.domain.progress import Progress
from tradefleet.domain.venue import DepositFunds, VenueReport, VenueRequest, VoidRequest
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import execution_message
from tradefleet.store.ports import (
    DeadLetter,
    FillRow,
    GatewayCommit,
    GatewayRecord,
    Lease,
    OrderRow,
    OutboxMessage,
    RunId,
    VenueRequestRow,
)
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.order import ManagedOrder

OWN_BLOB = "gateway"
BOT_BLOB = "bot/"  # + UID


def build_commit(
    machine: Gateway,
    effects: GatewayEffects,
    *,
    lease: Lease,
    version: int,
    positions: Mapping[StreamName, int],
    executions_topic: str,
    reports_topic: str,
    dead_letters: Sequence[DeadLetter] = (),
    progress: Progress | None = None,
    run: RunId | None = None,
) -> GatewayCommit:
    """Return everything that `effects` makes durable, with the state rows of what changed."""
    uids = {account.key: account.config.uid for account in machine.accounts.values()}
    blobs: dict[str, bytes | None] = {OWN_BLOB: msgspec.json.encode(machine.own_snapshot())}
    for uid in effects.gone:
        blobs[BOT_BLOB + uid] = None
    for key in effects.accounts:
        blobs[BOT_BLOB + uids[key]] = msgspec.json.encode(machine.account_snapshot(key))
    return GatewayCommit(
        lease=lease,
        account=machine.config.account,
        version=version,
        positions=positions,
        orders=[_order_row(order, uids[order.bot]) for order in effects.orders.values()],
        fills=[
            FillRow(
                client_order_id=fill.client_order_id,
                trade_id=fill.trade_id,
                uid=uids[fill.canonical.bot],
                canonical=fill.canonical,
            )
            for fill in effects.fills
        ],
        entries=effects.entries,
        uids=uids,
        executions=[
            _message(machine, execution, uids[execution.bot], executions_topic) for execution in effects.executions
        ],
        venue_requests=[_request_row(request) for request in effects.venue_requests],
        settled=sorted(effects.settled),
        blobs=blobs,
        statistics=effects.statistics,
        dead_letters=[
            *dead_letters,
            *(
                _dead_letter(message, reason, uids, machine.config.account, reports_topic)
                for message, reason in effects.dead_letters
            ),
        ],
        progress=progress,
        run=run,
    )


def _order_row(order: ManagedOrder, uid: BotUid) -> OrderRow:
    return OrderRow(
        client_order_id=order.client_order_id,
        bot=order.bot,
        uid=uid,
        request_seq=order.request_seq,
        terms=order.terms,
        status=order.status,
        reason=order.reason,
        filled_lots=order.filled_lots,
        reserved_asset=order.reserved_asset,
        reserved_atoms=order.reserved_atoms,
        created_us=order.created_us,
        updated_us=order.updated_us,
        state=b"" if order.status.is_final else msgspec.json.encode(order.snapshot()),
    )


def _message(machine: Gateway, execution: Execution, uid: BotUid, topic: str) -> OutboxMessage:
    instrument = machine.config.instruments[execution.terms.symbol]
    return OutboxMessage(
        stream=executions_stream(uid),
        seq=execution.seq,
        topic=topic,
        key=execution.bot,
        market_us=execution.market_us,
        payload=encode(execution_message(execution, uid, instrument)),
    )


def _dead_letter(
    message: VenueReport | BotRequest,
    reason: str,
    uids: Mapping[BotKey, BotUid],
    account: AccountId,
    reports_topic: str,
) -> DeadLetter:
    """Return what could not be applied. A request was read from its stream in the store, not from a topic."""
    if isinstance(message, VenueReport):
        topic, stream, seq = reports_topic, StreamName("reports"), message.no
    else:
        stream = orders_stream(uids[message.bot])
        topic, seq = stream, message.seq
    payload = msgspec.json.encode(message)
    return DeadLetter(topic=topic, stream=stream, seq=seq, key=account, reason=reason, payload=payload)


def _request_row(request: VenueRequest) -> VenueRequestRow:
    match request:
        case DepositFunds():
            return VenueRequestRow(request=request, client_order_id=request.reference)
        case VoidRequest():
            return VenueRequestRow(request=request, client_order_id="")
        case _:
            return VenueRequestRow(request=request, client_order_id=request.client_order_id)


def restore_machine(machine: Gateway, record: GatewayRecord) -> None:
    """Make `machine` the one that wrote `record`."""
    if OWN_BLOB not in record.blobs:
        return
    open_orders: Sequence[OrderRow] = sorted(record.open_orders, key=_age)
    machine.restore(
        msgspec.json.decode(record.blobs[OWN_BLOB]),
        [msgspec.json.decode(blob) for key, blob in sorted(record.blobs.items()) if key.startswith(BOT_BLOB)],
        [msgspec.json.decode(order.state) for order in open_orders],
    )


def _age(order: OrderRow) -> int:
    """Orders were numbered for the venue in the order in which they were made."""
    state = msgspec.json.decode(order.state)
    return int(state["venue_no"])
