"""The strategy API: what a strategy author writes against (docs/strategies.md teaches it).

A strategy decides; it does not know whether it runs live, in a replay or in a simulation, and has no clock and no
randomness but `now_us` and `random`. Prices are in quote per base and sizes in base, as float or Decimal; ticks and
lots, and what can be paid, are looked after behind the desk.
"""

import math
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, TypeVar

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Execution, Origin
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Side, TimeInForce
from workloads.strategy import declared
from workloads.strategy.declared import state
from workloads.strategy.desk import ENTER, LEAVE, Desk
from workloads.strategy.holdings import FillView, OpenOrder, Position
from workloads.strategy.indicators.base import Indicator
from workloads.strategy.market_data import Book, Tick
from workloads.strategy.parameters import StrategyDescription, description_of, param, parameters_of
from workloads.strategy.rounding import price_ticks, size_lots
from workloads.strategy.sizer import Wish
from workloads.strategy.snapshot_values import JsonValue

__all__ = [
    "Bar",
    "Book",
    "Execution",
    "FillView",
    "Indicator",
    "OpenOrder",
    "OrderStatus",
    "Origin",
    "Position",
    "Side",
    "Strategy",
    "StrategyDescription",
    "Symbol",
    "Tick",
    "TimeInForce",
    "param",
    "state",
]

I = TypeVar("I", bound=Indicator)  # noqa: E741 - one letter is what type variables are called
Number = float | Decimal

_DESK = "_desk"


class _NoDesk:
    """Stands where the desk will be until a bot runs the strategy, and says so."""

    def __init__(self, strategy: str) -> None:
        self.__dict__["strategy"] = strategy

    def __getattr__(self, name: str) -> object:
        raise InvalidValue(f"strategy {self.strategy}: is not run by a bot yet: act and read from on_start on")


class Strategy:
    """A trading strategy: parameters and state declared in the class body, and the hooks it overrides.

    Built with its parameters by name, as in `SmaCross(fast=5, slow=20)`. Raises InvalidValue for a parameter that is
    unknown or breaks its rule.
    """

    name: ClassVar[str] = ""  # what a resource calls it; empty is the class's own name

    def __init__(self, **parameters: ParameterValue) -> None:
        vars(self)[_DESK] = _NoDesk(self.title())
        declared.prepare(self, self.title(), parameters)
        self.check_parameters()

    _desk: Desk

    def __init_subclass__(cls) -> None:
        """Refuse a parameter or a state attribute that would hide a part of the API."""
        super().__init_subclass__()
        for name in (*parameters_of(cls), *declared.state_fields(cls)):
            if hasattr(Strategy, name):
                raise InvalidValue(f"strategy {cls.__qualname__}: {name} is a name of the strategy API: take another")

    # What a subclass may override.

    def check_parameters(self) -> None:
        """Raise InvalidValue when the parameters do not go together (`fast` not below `slow`)."""

    @property
    def warmup(self) -> int:
        """The number of bars of each instrument to see before the first decision; follows from the parameters."""
        return 1

    def on_start(self) -> None:
        """Set up indicators. Runs once the books are known, and again when a snapshot is restored (then muted)."""

    def on_bar(self, bar: Bar) -> None:
        """Decide on a closed bar. Registered indicators have seen it."""

    def on_tick(self, tick: Tick) -> None:
        """Decide on a quote."""

    def on_book(self, book: Book) -> None:
        """Decide on a book."""

    def on_execution(self, execution: Execution) -> None:
        """Learn what became of an order. The position and the open orders have changed already."""

    def on_timer(self, at_us: int) -> None:
        """Decide at a time that was asked for with `set_timer`."""

    def on_stop(self) -> None:
        """Learn that the bot is stopped. Nothing can be asked any more: the deletion policy looks after orders."""

    # Acting by wish: the sizer turns it into market orders that can be paid.

    def buy(self, symbol: str | None = None, *, quote: Number | None = None) -> bool:
        """Enter: go to full size if out, do nothing if in. With `quote`, buy for that much more.

        Returns False when nothing can come of it: warming up, paused, or the amount is too small for an order.
        """
        track = self._desk.track(symbol)
        if quote is not None:
            return self._desk.trade_amount(track, Side.BUY, float(quote))
        return self._desk.wish(track, ENTER)

    def sell(self, symbol: str | None = None, *, quote: Number | None = None) -> bool:
        """Leave: sell the whole position. With `quote`, sell for that much. Returns as `buy` does."""
        track = self._desk.track(symbol)
        if quote is not None:
            return self._desk.trade_amount(track, Side.SELL, float(quote))
        return self._desk.wish(track, LEAVE)

    def hold(self) -> None:
        """Do nothing. For strategies that say on every bar what they want."""

    def target(self, exposure: Number, symbol: str | None = None) -> bool:
        """Go to `exposure`: 1 is the instrument's full size by the bot's sizing, 0 is out; beyond is cut to 0 and 1.

        Followed up on later bars until it is reached within the rebalance threshold, then left alone until the next
        call. Returns False when the bot may not trade now.
        """
        wanted = float(exposure)
        if math.isnan(wanted):
            raise InvalidValue(f"strategy {self.title()}: target exposure must be a number, was NaN")
        ppm = round(min(1.0, max(0.0, wanted)) * PPM)
        return self._desk.wish(self._desk.track(symbol), Wish(ppm, may_buy=True, may_sell=True))

    def is_settled(self, symbol: str | None = None) -> bool:
        """Return whether all wishes for an instrument are met or given up, and no order for them is open."""
        return self._desk.is_settled(self._desk.track(symbol))

    # Acting by explicit orders: sent as they are, checked by the risk gate alone.

    def market(self, side: Side, size: Number, symbol: str | None = None) -> ClientOrderId | None:
        """Ask for a market order; return its id.

        This and the other orders return None when nothing was asked: warming up, paused, or less than a lot.
        """
        return self._order(side, OrderType.MARKET, size, symbol)

    def limit(
        self,
        side: Side,
        size: Number,
        price: Number,
        symbol: str | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> ClientOrderId | None:
        """Ask for a limit order; return its id. The price is rounded to the tick on its safe side."""
        return self._order(
            side,
            OrderType.LIMIT,
            size,
            symbol,
            price=price,
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
        )

    def stop(
        self, side: Side, size: Number, trigger: Number, symbol: str | None = None, *, reduce_only: bool = False
    ) -> ClientOrderId | None:
        """Ask for an order that becomes a market order when the price touches `trigger`; return its id."""
        return self._order(side, OrderType.STOP, size, symbol, trigger=trigger, reduce_only=reduce_only)

    def stop_limit(
        self,
        side: Side,
        size: Number,
        trigger: Number,
        price: Number,
        symbol: str | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reduce_only: bool = False,
    ) -> ClientOrderId | None:
        """Ask for an order that becomes a limit order when the price touches `trigger`; return its id."""
        return self._order(
            side,
            OrderType.STOP_LIMIT,
            size,
            symbol,
            price=price,
            trigger=trigger,
            time_in_force=time_in_force,
            reduce_only=reduce_only,
        )

    def cancel(self, order_id: str) -> bool:
        """Ask to cancel an order; return False when it is not open any more. Works while paused, too."""
        return self._desk.cancel(ClientOrderId(order_id))

    def cancel_all(self, symbol: str | None = None) -> int:
        """Ask to cancel all open orders, of one instrument or of all; return how many."""
        return sum(self._desk.cancel(order.client_order_id) for order in self.open_orders(symbol))

    def amend(self, order_id: str, *, size: Number | None = None, price: Number | None = None) -> bool:
        """Ask to change an open limit order; `size` is its new total. Returns False when nothing would change."""
        order = self._desk.portfolio.orders.get(ClientOrderId(order_id))
        lots = None
        if order is not None and size is not None:
            lots = size_lots(self.instrument(order.symbol), self._positive("size", size))
        return self._desk.amend(
            ClientOrderId(order_id), lots, None if price is None else self._positive("price", price)
        )

    def set_timer(self, at_us: int) -> None:
        """Ask for `on_timer` at a market time after now, in UTC microseconds."""
        self._desk.set_timer(at_us)

    # Reading.

    @property
    def now_us(self) -> int:
        """The market time of the input at hand, in UTC microseconds: a bar's is its close."""
        return self._desk.now_us

    @property
    def random(self) -> random.Random:
        """Random numbers that a replay repeats. The only ones a strategy may use."""
        return self._desk.random

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The bot's instruments."""
        return tuple(self._desk.tracks)

    def instrument(self, symbol: str | None = None) -> Instrument:
        """Return tick, lot and minimum notional of an instrument."""
        return self._desk.track(symbol).instrument

    def can_trade(self, symbol: str | None = None) -> bool:
        """Return whether an order would be sent: the bot runs, and the instrument has warmed up."""
        return self._desk.can_trade(self._desk.track(symbol))

    def position(self, symbol: str | None = None) -> Position:
        """Return what is held of an instrument. A live view: it changes with the next fill."""
        return self._desk.portfolio.positions[self._desk.track(symbol).symbol]

    def open_orders(self, symbol: str | None = None) -> list[OpenOrder]:
        """Return the orders that are not final, oldest first, of one instrument or of all."""
        orders = self._desk.portfolio.orders.values()
        return [order for order in orders if symbol is None or order.symbol == symbol]

    def order(self, order_id: str) -> OpenOrder | None:
        """Return an open order; None when it is final."""
        return self._desk.portfolio.orders.get(ClientOrderId(order_id))

    @property
    def fills(self) -> Sequence[FillView]:
        """The last 100 fills, the newest last."""
        return self._desk.portfolio.fills

    def free(self, asset: str | None = None) -> float:
        """Return what can be spent of an asset (the quote, when none is named)."""
        portfolio = self._desk.portfolio
        return portfolio.amount(asset or portfolio.quote, portfolio.free(asset or portfolio.quote))

    def locked(self, asset: str | None = None) -> float:
        """Return what open orders tie up of an asset (the quote, when none is named)."""
        portfolio = self._desk.portfolio
        return portfolio.amount(asset or portfolio.quote, portfolio.locked.get(asset or portfolio.quote, 0))

    @property
    def equity(self) -> float:
        """Quote plus all positions at their last closes, in quote."""
        return self._desk.portfolio.amount(self._desk.portfolio.quote, self._desk.equity_atoms())

    def payable(self, symbol: str | None = None, *, price: Number | None = None) -> float:
        """Return the most base that free quote buys: at a limit `price`, or at market with its reserve and fee."""
        return self._desk.payable_size(self._desk.track(symbol), None if price is None else float(price))

    def sellable(self, symbol: str | None = None) -> float:
        """Return the base that is held and not promised to an open order."""
        track = self._desk.track(symbol)
        return float(track.instrument.size(self._desk.portfolio.sellable_lots(track.symbol)))

    def last_bar(self, symbol: str | None = None) -> Bar | None:
        """Return the newest closed bar; None before the first."""
        return self._desk.track(symbol).last_bar

    def last_tick(self, symbol: str | None = None) -> Tick | None:
        """Return the newest quote; None before the first, and always on data without quotes."""
        return self._desk.track(symbol).tick

    def last_book(self, symbol: str | None = None) -> Book | None:
        """Return the newest book; None before the first, and always on data without books."""
        return self._desk.track(symbol).book

    def indicator(self, indicator: I, symbol: str | None = None) -> I:
        """Register an indicator in on_start and return it: it is fed each closed bar before on_bar is called."""
        self._desk.register(indicator, symbol)
        return indicator

    # For the Bot machine, the command line and the documentation.

    @classmethod
    def title(cls) -> str:
        """Return the name of the strategy: what a resource calls it, or the class's name."""
        return cls.__dict__.get("name") or cls.__name__

    @classmethod
    def describe(cls) -> StrategyDescription:
        """Return name, documentation and parameters. Raises InvalidValue when a parameter has no usable type."""
        return description_of(cls, cls.title())

    def attach(self, desk: Desk) -> None:
        """Give the strategy its desk. A strategy serves one bot: raises InvalidValue when it has one."""
        if isinstance(vars(self)[_DESK], Desk):
            raise InvalidValue(f"strategy {self.title()}: this object runs in a bot already: build one for each bot")
        vars(self)[_DESK] = desk

    def obstacles(self) -> list[str]:
        """Return why this strategy cannot be snapshotted, one line an attribute; empty when it can."""
        return declared.obstacles(self, self._desk.indicators, known=(_DESK,))

    def save_state(self) -> dict[str, JsonValue]:
        """Return the declared state for JSON; without obstacles that is all there is."""
        return declared.save_state(self, self._desk.indicators, known=(_DESK,))

    def load_state(self, saved: dict[str, JsonValue]) -> None:
        """Take back what `save_state` wrote."""
        declared.load_state(self, self._desk.indicators, saved)

    def _order(
        self,
        side: Side,
        kind: OrderType,
        size: Number,
        symbol: str | None,
        *,
        price: Number | None = None,
        trigger: Number | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> ClientOrderId | None:
        track = self._desk.track(symbol)
        instrument = track.instrument
        is_buy = side is Side.BUY
        lots = size_lots(instrument, self._positive("size", size))
        if lots == 0:
            return None
        # A stop that buys triggers above, one that sells below: the safe side is the other one than a limit's.
        terms = OrderTerms(
            symbol=track.symbol,
            side=side,
            type=kind,
            lots=lots,
            price_ticks=None if price is None else price_ticks(instrument, self._positive("price", price), buy=is_buy),
            trigger_ticks=None
            if trigger is None
            else price_ticks(instrument, self._positive("trigger", trigger), buy=not is_buy),
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
        )
        return self._desk.submit(track, terms)

    def _positive(self, what: str, number: Number) -> float:
        value = float(number)
        if not (math.isfinite(value) and value > 0):
            raise InvalidValue(f"strategy {self.title()}: {what} of an order must be a number > 0, was {number}")
        return value


def overrides(strategy: Strategy, hook: str) -> bool:
    """Return whether `strategy` has its own version of a hook; one that does not costs nothing."""
    return getattr(type(strategy), hook) is not getattr(Strategy, hook)
