"""Orders: their terms, the requests that ask for them, and the one state machine all of them follow."""

from enum import StrEnum

from tradefleet.domain.errors import InvalidOrder, InvalidTransition
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.money import LOTS_MAX, TICKS_MAX


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what one filled lot does to the position."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order finds its price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"  # becomes a market order once the trigger is touched
    STOP_LIMIT = "STOP_LIMIT"  # becomes a limit order once the trigger is touched


class TimeInForce(StrEnum):
    """How long an order waits."""

    GTC = "GTC"  # good till canceled
    IOC = "IOC"  # immediate or cancel: what does not fill at once expires
    FOK = "FOK"  # fill or kill: all at once, or nothing


class OrderStatus(StrEnum):
    """Where an order is in its life (design §5)."""

    INITIALIZED = "INITIALIZED"  # decided by the bot, not seen by the gateway
    DENIED = "DENIED"  # refused by our own risk gate: it never reached the venue
    SUBMITTED = "SUBMITTED"  # accepted by the gateway, its answer from the venue is open
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"  # refused by the venue
    TRIGGERED = "TRIGGERED"
    PENDING_UPDATE = "PENDING_UPDATE"
    PENDING_CANCEL = "PENDING_CANCEL"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_final(self) -> bool:
        """True when nothing can happen to the order any more."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset(
    {OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}
)

_PENDING = frozenset({OrderStatus.PENDING_UPDATE, OrderStatus.PENDING_CANCEL})
_ENDS_AT_VENUE = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED})
_REFUSED = frozenset({OrderStatus.REJECTED, OrderStatus.DENIED})
# Where an order may be, or go to, while a change of it is asked for. A refused change leads back to where it was.
_OPEN = frozenset({OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED})

# A venue may report a fill before the acknowledgement, and a fill or a refusal while a change is under way. DENIED
# after SUBMITTED: the halt switch stopped the order between commit and send.
_NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.INITIALIZED: frozenset({OrderStatus.DENIED, OrderStatus.SUBMITTED}),
    OrderStatus.SUBMITTED: (_OPEN - {OrderStatus.SUBMITTED}) | _PENDING | _ENDS_AT_VENUE | _REFUSED,
    OrderStatus.ACCEPTED: _PENDING | _ENDS_AT_VENUE | {OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED},
    OrderStatus.TRIGGERED: _PENDING | _ENDS_AT_VENUE | {OrderStatus.PARTIALLY_FILLED},
    OrderStatus.PARTIALLY_FILLED: _PENDING | _ENDS_AT_VENUE | {OrderStatus.PARTIALLY_FILLED},
    OrderStatus.PENDING_UPDATE: _OPEN | _ENDS_AT_VENUE | _REFUSED | {OrderStatus.PENDING_CANCEL},
    OrderStatus.PENDING_CANCEL: _OPEN | _ENDS_AT_VENUE | _REFUSED | {OrderStatus.PENDING_UPDATE},
    **{status: frozenset() for status in FINAL_STATUSES},
}


def check_transition(client_order_id: ClientOrderId, before: OrderStatus, after: OrderStatus) -> None:
    """Raise InvalidTransition when an order cannot go from `before` to `after`."""
    if after not in _NEXT[before]:
        raise InvalidTransition(f"order {client_order_id}: cannot go from {before} to {after}")


class Reason(StrEnum):
    """Why an order was denied, rejected, canceled, resized or expired. The codes are part of the messages."""

    NONE = "NONE"
    # our own risk gate, in the order in which it asks
    HALTED = "HALTED"
    UNRECONCILED = "UNRECONCILED"  # the account's books and its venue do not agree
    NOT_TRADING = "NOT_TRADING"  # the bot is paused, stopped or unknown, or its stream is closed
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    STALE_DATA = "STALE_DATA"
    DUPLICATE = "DUPLICATE"
    PRICE_COLLAR = "PRICE_COLLAR"
    ORDER_SIZE = "ORDER_SIZE"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    POSITION_LIMIT = "POSITION_LIMIT"
    EXPOSURE_LIMIT = "EXPOSURE_LIMIT"
    OPEN_ORDERS = "OPEN_ORDERS"
    ORDER_RATE = "ORDER_RATE"
    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    TOO_MANY_ROUNDS = "TOO_MANY_ROUNDS"
    UNREADABLE = "UNREADABLE"  # the request could not be read and was left out: nothing is known of its terms
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    # the venue
    VENUE_REJECTED = "VENUE_REJECTED"
    WOULD_TAKE = "WOULD_TAKE"  # post-only would have traded at once
    NO_LIQUIDITY = "NO_LIQUIDITY"  # IOC or FOK that could not fill
    SELF_TRADE = "SELF_TRADE"
    # who asked
    USER_CANCEL = "USER_CANCEL"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    FLATTEN = "FLATTEN"
    DEAD_MAN = "DEAD_MAN"


@frozen()
class OrderTerms:
    """What an order asks for, in ticks and lots.

    Raises InvalidOrder when the terms contradict each other, or are larger than anything that keeps them holds.
    """

    symbol: Symbol
    side: Side
    type: OrderType
    lots: int
    price_ticks: int | None = None  # limit price; None for market and stop orders
    trigger_ticks: int | None = None  # None but for stop orders
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False

    def __post_init__(self) -> None:
        if self.lots <= 0:
            raise InvalidOrder(f"order for {self.symbol}: lots must be > 0, was {self.lots}")
        limited = self.type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        if limited != (self.price_ticks is not None):
            raise InvalidOrder(f"order for {self.symbol}: a price belongs to limit orders only, type is {self.type}")
        stopped = self.type in (OrderType.STOP, OrderType.STOP_LIMIT)
        if stopped != (self.trigger_ticks is not None):
            raise InvalidOrder(f"order for {self.symbol}: a trigger belongs to stop orders only, type is {self.type}")
        if self.price_ticks is not None and self.price_ticks <= 0:
            raise InvalidOrder(f"order for {self.symbol}: price_ticks must be > 0, was {self.price_ticks}")
        if self.trigger_ticks is not None and self.trigger_ticks <= 0:
            raise InvalidOrder(f"order for {self.symbol}: trigger_ticks must be > 0, was {self.trigger_ticks}")
        _check_counts("order for", self.symbol, self.lots, self.price_ticks, self.trigger_ticks)
        if self.post_only and (not limited or self.time_in_force is not TimeInForce.GTC):
            raise InvalidOrder(f"order for {self.symbol}: post_only needs a GTC limit order")


def _check_counts(
    what: str, name: str, lots: int | None, price_ticks: int | None, trigger_ticks: int | None = None
) -> None:
    """Raise InvalidOrder for a count that no column and no message holds: it would end whoever has to keep it."""
    if lots is not None and lots > LOTS_MAX:
        raise InvalidOrder(f"{what} {name}: lots must be at most {LOTS_MAX}, was {lots}")
    if price_ticks is not None and price_ticks > TICKS_MAX:
        raise InvalidOrder(f"{what} {name}: price_ticks must be at most {TICKS_MAX}, was {price_ticks}")
    if trigger_ticks is not None and trigger_ticks > TICKS_MAX:
        raise InvalidOrder(f"{what} {name}: trigger_ticks must be at most {TICKS_MAX}, was {trigger_ticks}")


@frozen()
class OrderRequest:
    """A bot's wish for a new order. `seq` is its number in the bot's request stream; the id follows from it."""

    bot: BotKey
    seq: int
    client_order_id: ClientOrderId
    terms: OrderTerms
    market_us: int  # the market time of the input that made the bot decide


@frozen()
class CancelRequest:
    """A bot's wish to cancel one of its orders. `client_order_id` is the order's."""

    bot: BotKey
    seq: int
    client_order_id: ClientOrderId
    market_us: int


@frozen()
class AmendRequest:
    """A bot's wish to change lots or price of one of its open limit orders; None leaves as it is.

    `lots` is the order's new total size, filled lots included. Raises InvalidOrder for more than an order may have.
    """

    bot: BotKey
    seq: int
    client_order_id: ClientOrderId
    symbol: Symbol
    market_us: int
    lots: int | None = None
    price_ticks: int | None = None

    def __post_init__(self) -> None:
        _check_counts("amendment of order", self.client_order_id, self.lots, self.price_ticks)


BotRequest = OrderRequest | CancelRequest | AmendRequest
