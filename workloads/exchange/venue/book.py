"""The order book of one symbol: price levels with time priority, and the stop orders that wait beside them."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from tradefleet.domain.ids import Symbol
from workloads.exchange.venue.orders import OpenOrder


class BookSide:
    """Resting orders of one side, best price first and, within a price, in the order of arrival.

    A level is an OrderedDict by arrival number: first in, first out, and a cancel anywhere in it is O(1) (a plain
    dict would walk over the gaps that fills leave at its front). A new level is found by bisection in a sorted list
    of ranks, whose best one is last, where lists are quick.
    """

    __slots__ = ("_levels", "_ranks", "_sign")

    def __init__(self, *, buy: bool) -> None:
        self._sign = 1 if buy else -1
        self._ranks: list[int] = []  # the sign times the price: the higher, the better
        self._levels: dict[int, OrderedDict[int, OpenOrder]] = {}

    def add(self, order: OpenOrder) -> None:
        """Put an order behind all others of its price."""
        rank = self._rank(order)
        level = self._levels.get(rank)
        if level is None:
            level = self._levels[rank] = OrderedDict()
            insort(self._ranks, rank)
        level[order.arrival] = order

    def remove(self, order: OpenOrder) -> None:
        """Take an order out."""
        rank = self._rank(order)
        level = self._levels[rank]
        del level[order.arrival]
        if not level:
            del self._levels[rank]
            del self._ranks[bisect_left(self._ranks, rank)]

    def best(self) -> OpenOrder | None:
        """Return the order that trades next, or None."""
        if not self._ranks:
            return None
        return next(iter(self._levels[self._ranks[-1]].values()))

    def __iter__(self) -> Iterator[OpenOrder]:
        for rank in reversed(self._ranks):
            yield from self._levels[rank].values()

    def _rank(self, order: OpenOrder) -> int:
        assert order.price_ticks is not None
        return self._sign * order.price_ticks


class StopSide:
    """Stop orders of one side that wait for the last trade price to reach their trigger, the nearest one first."""

    __slots__ = ("_keys", "_orders", "_sign")

    def __init__(self, *, buy: bool) -> None:
        self._sign = 1 if buy else -1
        self._keys: list[tuple[int, int]] = []  # the sign times the trigger, arrival
        self._orders: dict[int, OpenOrder] = {}

    def add(self, order: OpenOrder) -> None:
        """Have an order wait."""
        insort(self._keys, self._key(order))
        self._orders[order.arrival] = order

    def remove(self, order: OpenOrder) -> None:
        """Take an order out."""
        del self._keys[bisect_left(self._keys, self._key(order))]
        del self._orders[order.arrival]

    def take_triggered(self, price_ticks: int) -> list[OpenOrder]:
        """Take out and return the orders whose trigger `price_ticks` has reached."""
        count = bisect_left(self._keys, (self._sign * price_ticks + 1, 0))  # arrivals are > 0
        if not count:
            return []
        triggered = [self._orders.pop(arrival) for _, arrival in self._keys[:count]]
        del self._keys[:count]
        return triggered

    def _key(self, order: OpenOrder) -> tuple[int, int]:
        assert order.terms.trigger_ticks is not None
        return self._sign * order.terms.trigger_ticks, order.arrival


class OrderBook:
    """One symbol's book. `last_ticks` is the price of the last trade, None before the first."""

    __slots__ = ("_resting", "_stops", "last_ticks", "symbol")

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.last_ticks: int | None = None
        self._resting = {buy: BookSide(buy=buy) for buy in (True, False)}
        self._stops = {buy: StopSide(buy=buy) for buy in (True, False)}

    def opposite(self, order: OpenOrder) -> BookSide:
        """Return the resting orders that `order` can trade with."""
        return self._resting[not order.is_buy]

    def add(self, order: OpenOrder) -> None:
        """Put an order where it waits: at its price, or for its trigger."""
        (self._stops if order.waits_for_trigger else self._resting)[order.is_buy].add(order)

    def remove(self, order: OpenOrder) -> None:
        """Take an order out from where it waits."""
        (self._stops if order.waits_for_trigger else self._resting)[order.is_buy].remove(order)

    def take_triggered(self, price_ticks: int) -> list[OpenOrder]:
        """Take out and return the stop orders that a trade at `price_ticks` triggers, in the order of arrival."""
        triggered = self._stops[True].take_triggered(price_ticks) + self._stops[False].take_triggered(price_ticks)
        return sorted(triggered, key=lambda order: order.arrival)
