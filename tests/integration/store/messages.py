"""Messages as bots and gateways write them, for the orders of the samples."""

from decimal import Decimal

from tests.contracts.store.samples import START_US, SYMBOL, UID, order
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import BotUid, StreamName, executions_stream, orders_stream
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.venue import Liquidity
from tradefleet.messages.codec import encode
from tradefleet.messages.fields import Message
from tradefleet.messages.trading import CancelRequested, OrderExecuted, OrderFill, OrderRequested
from tradefleet.store.ports import OutboxMessage


def asked(seq: int, *, uid: BotUid = UID, bot: str = "ns/alpha", payload: bytes | None = None) -> OutboxMessage:
    """A bot's request number `seq`, for the order of that number."""
    stream = orders_stream(uid)
    request = OrderRequested(
        stream=stream,
        stream_seq=seq,
        event_time_us=START_US,
        bot=bot,
        client_order_id=order(seq, uid=uid).client_order_id,
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        size=Decimal(1),
        limit_price=Decimal(7_000),
    )
    return _row(stream, seq, "trading.orders", payload or encode(request))


def canceled(seq: int, target: int) -> OutboxMessage:
    """A bot's request number `seq`, to cancel its order number `target`."""
    stream = orders_stream(UID)
    request: Message = CancelRequested(
        stream=stream,
        stream_seq=seq,
        event_time_us=START_US,
        bot="ns/alpha",
        client_order_id=order(target).client_order_id,
    )
    return _row(stream, seq, "trading.orders", encode(request))


def told(
    seq: int, about: int, status: OrderStatus, *, trade_id: str = "", reason: Reason = Reason.NONE
) -> OutboxMessage:
    """The gateway's execution number `seq`, about order number `about`, with a trade when `trade_id` names one."""
    stream = executions_stream(UID)
    fill = OrderFill(
        trade_id=trade_id,
        size=Decimal(1),
        price=Decimal(7_000),
        notional=Decimal(7_000),
        fee=Decimal(0),
        fee_asset="USD",
        liquidity=Liquidity.TAKER,
        realized=Decimal(0),
    )
    execution = OrderExecuted(
        stream=stream,
        stream_seq=seq,
        event_time_us=START_US,
        bot="ns/alpha",
        client_order_id=order(about).client_order_id,
        origin=Origin.BOT,
        status=status,
        reason=reason,
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        size=Decimal(1),
        filled_size=Decimal(0),
        fill=fill if trade_id else None,
    )
    return _row(stream, seq, "trading.executions", encode(execution))


def _row(stream: StreamName, seq: int, topic: str, payload: bytes) -> OutboxMessage:
    return OutboxMessage(stream=stream, seq=seq, topic=topic, key="key", market_us=START_US, payload=payload)
