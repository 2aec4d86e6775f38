"""Clients that are asked: a class, or a function, that only has `next_order(context)`.

Once per closed bar it is asked what to do next, and answers with one order, with a cancel, with a list of them, or
with None. This is the smallest shape a trader can have; maker, taker and random are built in it. Parameters and state
are declared as in a Strategy.
"""

import inspect
import random
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeAlias

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import Side, TimeInForce
from workloads.strategy import declared
from workloads.strategy.api import Number, Strategy
from workloads.strategy.holdings import OpenOrder, Position
from workloads.strategy.parameters import StrategyDescription, description_of
from workloads.strategy.snapshot_values import JsonValue


@frozen(kw_only=False)
class OrderDescription:
    """The order a client wants: a market order, a limit order with `price`, a stop with `trigger`, or both."""

    side: Side
    size: Number
    price: Number | None = None
    trigger: Number | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False


@frozen(kw_only=False)
class CancelDescription:
    """The open order a client wants to be rid of."""

    order_id: ClientOrderId


Answer: TypeAlias = "OrderDescription | CancelDescription | list[OrderDescription | CancelDescription] | None"


class Context:
    """What a client sees when it is asked: one instrument, whose bar has just closed, and the bot's books."""

    __slots__ = ("_strategy", "bar")

    def __init__(self, strategy: Strategy, bar: Bar) -> None:
        self._strategy = strategy
        self.bar = bar

    @property
    def symbol(self) -> Symbol:
        """The instrument."""
        return self.bar.symbol

    @property
    def instrument(self) -> Instrument:
        """Its tick, lot and minimum notional."""
        return self._strategy.instrument(self.bar.symbol)

    @property
    def last(self) -> float:
        """The close of the bar."""
        return self.bar.close

    @property
    def bid(self) -> float:
        """The best bid: the quote's when there is one since the bar, else one tick below the close."""
        tick = self._strategy.last_tick(self.bar.symbol)
        if tick is not None and tick.market_us >= self.bar.close_us:
            return tick.bid
        return max(self.instrument.tick_float, self.bar.close - self.instrument.tick_float)

    @property
    def ask(self) -> float:
        """The best ask: the quote's when there is one since the bar, else one tick above the close."""
        tick = self._strategy.last_tick(self.bar.symbol)
        if tick is not None and tick.market_us >= self.bar.close_us:
            return tick.ask
        return self.bar.close + self.instrument.tick_float

    @property
    def now_us(self) -> int:
        """The market time, in UTC microseconds."""
        return self._strategy.now_us

    @property
    def random(self) -> random.Random:
        """Random numbers that a replay repeats."""
        return self._strategy.random

    @property
    def position(self) -> Position:
        """What is held of the instrument."""
        return self._strategy.position(self.bar.symbol)

    @property
    def open_orders(self) -> list[OpenOrder]:
        """The instrument's orders that are not final, oldest first."""
        return self._strategy.open_orders(self.bar.symbol)

    @property
    def equity(self) -> float:
        """Quote plus all positions at their last closes, in quote."""
        return self._strategy.equity

    def free(self, asset: str | None = None) -> float:
        """Return what can be spent of an asset (the quote, when none is named)."""
        return self._strategy.free(asset)

    def locked(self, asset: str | None = None) -> float:
        """Return what open orders tie up of an asset (the quote, when none is named)."""
        return self._strategy.locked(asset)

    def payable(self, price: Number | None = None) -> float:
        """Return the most base that free quote buys, at a limit `price` or at market."""
        return self._strategy.payable(self.bar.symbol, price=price)

    @property
    def sellable(self) -> float:
        """The base that is held and not promised to an open order."""
        return self._strategy.sellable(self.bar.symbol)

    def is_worth_an_order(self, size: float, price: float) -> bool:
        """Return whether an order of this size makes a lot and the minimum notional."""
        instrument = self.instrument
        return size >= instrument.lot_float and size * price >= float(instrument.min_notional)


class NextOrder(Protocol):
    """The shape of a client."""

    def next_order(self, context: Context) -> Answer:
        """Return what to do next."""
        ...


class ClientStrategy(Strategy):
    """Drives one client as a Strategy; `client_strategy` makes a subclass for each class of client.

    The client is an object of its own, not a base class: its attributes cannot collide with the API's.
    """

    client_class: ClassVar[type]

    def __init__(self, **parameters: ParameterValue) -> None:
        super().__init__()
        client: Any = object.__new__(self.client_class)  # its parameters must be there before its own __init__ runs
        declared.prepare(client, self.title(), parameters)
        client.__init__()
        check = getattr(client, "check_parameters", None)
        if check is not None:
            check()
        self._client: NextOrder = client

    @property
    def warmup(self) -> int:
        """What the client says, or the first bar."""
        return int(getattr(self._client, "warmup", 1))

    def on_bar(self, bar: Bar) -> None:
        """Ask the client, and do what it answers."""
        if not self.can_trade():
            return
        answer = self._client.next_order(Context(self, bar))
        if answer is None:
            return
        for item in answer if isinstance(answer, list | tuple) else (answer,):
            self._act(item)

    def _act(self, item: object) -> None:
        match item:
            case CancelDescription():
                self.cancel(item.order_id)
            case OrderDescription(price=None, trigger=None):
                self.market(item.side, item.size)
            case OrderDescription(price=None, trigger=trigger) if trigger is not None:
                self.stop(item.side, item.size, trigger, reduce_only=item.reduce_only)
            case OrderDescription(price=price, trigger=None) if price is not None:
                self.limit(
                    item.side,
                    item.size,
                    price,
                    time_in_force=item.time_in_force,
                    post_only=item.post_only,
                    reduce_only=item.reduce_only,
                )
            case OrderDescription(price=price, trigger=trigger) if price is not None and trigger is not None:
                self.stop_limit(
                    item.side,
                    item.size,
                    trigger,
                    price,
                    time_in_force=item.time_in_force,
                    reduce_only=item.reduce_only,
                )
            case _:
                raise InvalidValue(
                    f"strategy {self.title()}: next_order must return an OrderDescription, a CancelDescription, a list "
                    f"of them or None, was {item!r}"
                )

    @classmethod
    def describe(cls) -> StrategyDescription:
        """Return name, documentation and parameters of the client."""
        return description_of(cls.client_class, cls.title())

    def obstacles(self) -> list[str]:
        """Return why the client cannot be snapshotted."""
        return declared.obstacles(self._client, ())

    def save_state(self) -> dict[str, JsonValue]:
        """Return the client's declared state for JSON."""
        return declared.save_state(self._client, ())

    def load_state(self, saved: dict[str, JsonValue]) -> None:
        """Take back what `save_state` wrote."""
        declared.load_state(self._client, (), saved)


def is_client(found: object) -> bool:
    """Return whether `found` is a class with `next_order`, or a function that can be called in its place."""
    if inspect.isclass(found):
        return callable(getattr(found, "next_order", None))
    return inspect.isfunction(found) and len(inspect.signature(found).parameters) == 1


def client_strategy(client: type | Callable[[Context], Answer]) -> type[ClientStrategy]:
    """Return the Strategy class that drives `client`, a class with `next_order` or a function of that shape."""
    cls = client if inspect.isclass(client) else _class_of(client)
    name = cls.__dict__.get("name") or cls.__name__
    return type(f"{cls.__name__}Strategy", (ClientStrategy,), {"client_class": cls, "name": name})


def _class_of(function: Callable[[Context], Answer]) -> type:
    body = {"next_order": staticmethod(function), "__doc__": function.__doc__, "__module__": function.__module__}
    return type(function.__name__, (), body)
