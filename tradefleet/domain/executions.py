"""Executions: what the gateway tells a bot about its orders, in a gapless stream per bot."""

from enum import StrEnum

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.venue import Liquidity


class Origin(StrEnum):
    """Who made an order."""

    BOT = "BOT"
    GATEWAY = "GATEWAY"  # stop-loss, take-profit, trailing stop, flatten


@frozen()
class Fill:
    """A trade of a bot's order, with what it did to the bot's books.

    `realized_atoms` is the profit, in quote atoms and before fees, that this fill realised against the average cost
    of the position; zero for a fill that opens or adds.
    """

    trade_id: str
    lots: int
    price_ticks: int
    notional_atoms: int
    fee_atoms: int
    fee_asset: str
    liquidity: Liquidity
    realized_atoms: int


@frozen()
class Execution:
    """The order's state after one event. `terms` are the accepted ones: a resized order shows its new lots (rule 15).

    `seq` numbers the bot's execution stream. A fill arrives with the status PARTIALLY_FILLED or FILLED (or
    PENDING_CANCEL when a cancel is under way); `fill` is None for everything else.
    """

    bot: BotKey
    seq: int
    client_order_id: ClientOrderId
    origin: Origin
    status: OrderStatus
    terms: OrderTerms
    filled_lots: int
    market_us: int
    reason: Reason = Reason.NONE
    fill: Fill | None = None


@frozen()
class PositionView:
    """A position in lots, with what it cost in quote atoms (fees not included). Never negative on a spot account."""

    symbol: Symbol
    lots: int
    cost_atoms: int


@frozen()
class Adoption:
    """The first input of a bot's generation: its books as the gateway has them (rule 19).

    For a new bot this is its start wallet and nothing else. `execution_seq` is the last execution that is already
    part of these figures; `orders` are the open orders, each as its latest execution.
    """

    bot: BotKey
    market_us: int
    execution_seq: int
    free: dict[str, int]
    locked: dict[str, int]
    positions: tuple[PositionView, ...] = ()
    orders: tuple[Execution, ...] = ()
