"""What a strategy reads of its books: positions, open orders, fills. Sizes are in base, prices and costs in quote."""

from typing import NamedTuple

from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import divide_half_even
from tradefleet.domain.orders import OrderStatus, OrderTerms, Side
from tradefleet.domain.venue import Liquidity


class Position:
    """What the bot holds of one instrument. False when it holds nothing. Never negative: accounts are spot."""

    __slots__ = ("_instrument", "cost_atoms", "lots", "symbol")

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self.lots = 0
        self.cost_atoms = 0
        self._instrument = instrument

    def __bool__(self) -> bool:
        return self.lots > 0

    @property
    def size(self) -> float:
        """What is held, in base."""
        return float(self._instrument.size(self.lots))

    @property
    def cost(self) -> float:
        """What it cost, in quote, fees not included."""
        return float(self._instrument.quote_amount(self.cost_atoms))

    @property
    def average_price(self) -> float:
        """The average price paid; NaN when nothing is held."""
        return self.cost / self.size if self.lots else float("nan")

    def add(self, lots: int, notional_atoms: int) -> None:
        """Book a purchase."""
        self.lots += lots
        self.cost_atoms += notional_atoms

    def remove(self, lots: int) -> int:
        """Book a sale at average cost; return the cost of what was sold, in quote atoms."""
        cost = divide_half_even(self.cost_atoms * lots, self.lots) if self.lots > 0 else 0
        self.lots -= lots
        self.cost_atoms -= cost
        return cost


class OpenOrder:
    """An order of the bot that is not final, from the moment it is asked for. Sizes are in base, prices in quote."""

    __slots__ = (
        "_instrument",
        "client_order_id",
        "filled_lots",
        "market_us",
        "origin",
        "reserve_ticks",
        "reserved_atoms",
        "status",
        "terms",
    )

    def __init__(
        self,
        instrument: Instrument,
        client_order_id: ClientOrderId,
        terms: OrderTerms,
        market_us: int,
        reserve_ticks: int,
        origin: Origin = Origin.BOT,
    ) -> None:
        self._instrument = instrument
        self.client_order_id = client_order_id
        self.terms = terms
        self.market_us = market_us  # when it was asked for
        self.origin = origin
        self.status = OrderStatus.INITIALIZED
        self.filled_lots = 0
        self.reserve_ticks = reserve_ticks  # the price at which a buy without a limit reserves
        self.reserved_atoms = 0

    @property
    def symbol(self) -> Symbol:
        """The instrument."""
        return self.terms.symbol

    @property
    def side(self) -> Side:
        """Buy or sell."""
        return self.terms.side

    @property
    def size(self) -> float:
        """The total size, filled part included."""
        return float(self._instrument.size(self.terms.lots))

    @property
    def filled(self) -> float:
        """The filled part."""
        return float(self._instrument.size(self.filled_lots))

    @property
    def remaining(self) -> float:
        """The part that still waits."""
        return float(self._instrument.size(self.remaining_lots))

    @property
    def remaining_lots(self) -> int:
        """The part that still waits, in lots."""
        return max(0, self.terms.lots - self.filled_lots)

    @property
    def price(self) -> float | None:
        """The limit price; None for market and stop orders."""
        ticks = self.terms.price_ticks
        return None if ticks is None else float(self._instrument.price(ticks))


class FillView(NamedTuple):
    """One trade of the bot, in base and quote."""

    market_us: int
    client_order_id: ClientOrderId
    symbol: Symbol
    side: Side
    size: float
    price: float
    fee: float
    fee_asset: str
    liquidity: Liquidity
