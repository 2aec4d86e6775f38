"""Order requests of bots and the executions that answer them. All prices, sizes and amounts are exact."""

from typing import Annotated

from msgspec import Meta

from tradefleet.domain.executions import Origin
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.venue import Liquidity
from tradefleet.messages.fields import ExactAmount, ExactPrice, ExactSize, Message, Part


class BotMessage(Message, frozen=True, kw_only=True, gc=False):
    """What every message of or to a bot says first."""

    bot: Annotated[str, Meta(description="Bot as namespace/name")]


class OrderMessage(BotMessage, frozen=True, kw_only=True, gc=False):
    """What every message about one order says first."""

    client_order_id: Annotated[str, Meta(description="The order's id, unique in the fleet, at most 32 characters")]


class OrderRequested(OrderMessage, frozen=True, kw_only=True, gc=False):
    """A bot asks for a new order."""

    symbol: Annotated[str, Meta(description="Instrument, such as BTC-USD")]
    side: Side
    order_type: OrderType
    size: ExactSize
    limit_price: Annotated[ExactPrice | None, Meta(description="Limit orders only; quote per base, exact")] = None
    trigger_price: Annotated[ExactPrice | None, Meta(description="Stop orders only; quote per base, exact")] = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: Annotated[bool, Meta(description="Refuse rather than take liquidity")] = False
    reduce_only: Annotated[bool, Meta(description="May only bring the position nearer to zero")] = False


class AmendRequested(OrderMessage, frozen=True, kw_only=True, gc=False):
    """A bot asks to change one of its open limit orders; null leaves as it is."""

    symbol: Annotated[str, Meta(description="Instrument of the order")]
    size: Annotated[ExactSize | None, Meta(description="New total size, filled part included; base, exact")] = None
    limit_price: Annotated[ExactPrice | None, Meta(description="New limit price; quote per base, exact")] = None


class CancelRequested(OrderMessage, frozen=True, kw_only=True, gc=False):
    """A bot asks to cancel what is left of one of its orders."""


class OrderFill(Part, frozen=True, kw_only=True, gc=False):
    """One trade of an order, with what it did to the bot's books."""

    trade_id: Annotated[str, Meta(description="The venue's id of the trade, unique per venue")]
    size: ExactSize
    price: ExactPrice
    notional: Annotated[ExactAmount, Meta(description="Size times price in quote, rounded to the quote's atom")]
    fee: Annotated[ExactAmount, Meta(description="Paid when > 0, a rebate when < 0; in units of `fee_asset`")]
    fee_asset: Annotated[str, Meta(description="Asset of the fee, such as USD")]
    liquidity: Liquidity
    realized: Annotated[ExactAmount, Meta(description="Profit this fill realised, in quote, before fees")]


class OrderExecuted(OrderMessage, frozen=True, kw_only=True, gc=False):
    """The state of an order after one event. A denial, an acknowledgement, a fill, a cancel: `status` says which.

    The terms are the accepted ones: a resized order shows its new size.
    """

    origin: Annotated[Origin, Meta(description="Who made the order: the bot, or the gateway to protect it")]
    status: OrderStatus
    reason: Annotated[Reason, Meta(description="Why it was denied, rejected, canceled, resized or expired")]
    symbol: Annotated[str, Meta(description="Instrument, such as BTC-USD")]
    side: Side
    order_type: OrderType
    size: Annotated[ExactSize, Meta(description="Accepted total size of base, exact")]
    filled_size: Annotated[ExactSize, Meta(description="Filled so far, base, exact")]
    limit_price: Annotated[ExactPrice | None, Meta(description="Limit orders only; quote per base, exact")] = None
    trigger_price: Annotated[ExactPrice | None, Meta(description="Stop orders only; quote per base, exact")] = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    fill: Annotated[OrderFill | None, Meta(description="The trade, when the event was one")] = None
