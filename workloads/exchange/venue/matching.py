"""The venue's own market: price-time matching of orders with each other, on integer ticks and lots.

An incoming order trades with the best price first and, at a price, with the order that has waited longest, always at
the price of the one that waited. Then:

- what remains of a limit order rests; what remains of a market, IOC or FOK order expires (NO_LIQUIDITY);
- FOK is weighed before the first trade, against the book and the free funds of that moment: all of it or nothing;
- an order that meets one of its own bot's expires there (SELF_TRADE): of the two, the newer gives way;
- a stop enters when a trade's price reaches its trigger, at once if the last one already has. What one trade triggers
  enters after the order that traded, in the order of arrival; a triggered stop is an incoming order like any other;
- a triggered post-only stop-limit that would trade at once expires (WOULD_TAKE).
"""

from collections import deque
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.orders import OrderStatus, Reason, TimeInForce
from tradefleet.domain.venue import Liquidity, ReportKind
from workloads.exchange.venue.book import OrderBook
from workloads.exchange.venue.clearing import Clearing
from workloads.exchange.venue.orders import OpenOrder


class BookMarket:
    """A market made of the venue's own orders, one book per symbol. Bars of feeds mean nothing here."""

    __slots__ = ("_books", "_clearing")

    def __init__(self, clearing: Clearing) -> None:
        self._clearing = clearing
        self._books = {
            str(instrument.symbol): OrderBook(instrument.symbol) for instrument in clearing.config.instruments
        }

    def on_bars(self, bars: list[Bar]) -> None:
        """Do nothing: prices are made here."""

    def would_take(self, order: OpenOrder) -> bool:
        """Return whether the order's limit reaches the best order of the other side."""
        best = self._books[order.terms.symbol].opposite(order).best()
        return best is not None and _meets(order, best)

    def enter(self, order: OpenOrder) -> None:
        """Match an order, then the stops that its trades trigger, until nothing follows. Each stop triggers once."""
        book = self._books[order.terms.symbol]
        if order.waits_for_trigger and (book.last_ticks is None or not order.is_triggered_by(book.last_ticks)):
            book.add(order)
            return
        incoming = deque([order])
        while incoming:
            self._match(book, incoming.popleft(), incoming)

    def remove(self, order: OpenOrder) -> None:
        """Take an order out."""
        self._books[order.terms.symbol].remove(order)

    def snapshot(self) -> dict[str, Any]:
        """Return the last trade price of each symbol."""
        return {symbol: book.last_ticks for symbol, book in self._books.items()}

    def restore(self, state: dict[str, Any], orders: list[OpenOrder]) -> None:
        """Take up a snapshot: in the order of arrival every order finds its place in its queue again."""
        for symbol, last_ticks in state.items():
            if symbol in self._books:  # else it is no longer listed
                self._books[symbol].last_ticks = last_ticks
        for order in orders:
            self._books[order.terms.symbol].add(order)

    def _match(self, book: OrderBook, order: OpenOrder, followers: deque[OpenOrder]) -> None:
        if order.waits_for_trigger:
            order.triggered = True
            order.arrival = self._clearing.next_arrival()  # its time in the queue starts now
            self._clearing.report(order.account, ReportKind.TRIGGERED, order.client_order_id)
            if order.terms.post_only and self.would_take(order):
                self._clearing.end(order, OrderStatus.EXPIRED, Reason.WOULD_TAKE)
                return
        obstacle = Reason.NONE
        if order.terms.time_in_force is TimeInForce.FOK:
            obstacle = self._obstacle(book, order)
        if obstacle is Reason.NONE:
            obstacle = self._trade(book, order, followers)
        if order.status is not None:
            return
        if obstacle is not Reason.NONE:
            self._clearing.end(order, OrderStatus.EXPIRED, obstacle)
        elif order.price_ticks is None or order.is_immediate:
            self._clearing.end(order, OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
        else:
            book.add(order)

    def _trade(self, book: OrderBook, order: OpenOrder, followers: deque[OpenOrder]) -> Reason:
        """Trade as far as prices meet. Returns why it must not go on, NONE when it is done or finds nobody."""
        clearing, others = self._clearing, book.opposite(order)
        while order.remaining_lots:
            maker = others.best()
            if maker is None or not _meets(order, maker):
                return Reason.NONE
            if maker.same_owner(order):
                return Reason.SELF_TRADE
            price_ticks = _price(maker)
            wanted = min(order.remaining_lots, maker.remaining_lots)
            lots = clearing.payable_lots(order, wanted, price_ticks, Liquidity.TAKER)
            if lots:
                clearing.fill(order, lots, price_ticks, Liquidity.TAKER)
                clearing.fill(maker, lots, price_ticks, Liquidity.MAKER)
                if maker.status is not None:
                    others.remove(maker)
                book.last_ticks = price_ticks
                followers.extend(book.take_triggered(price_ticks))
            if lots < wanted:
                return Reason.INSUFFICIENT_FUNDS
        return Reason.NONE

    def _obstacle(self, book: OrderBook, order: OpenOrder) -> Reason:
        """Return why `order` cannot fill whole now, NONE if it can."""
        missing, cost = order.remaining_lots, 0
        for maker in book.opposite(order):
            if not _meets(order, maker):
                break
            if maker.same_owner(order):
                return Reason.SELF_TRADE
            if order.is_beyond_protection(_price(maker)):
                return Reason.INSUFFICIENT_FUNDS
            lots = min(missing, maker.remaining_lots)
            cost += self._clearing.cost_atoms(order, lots, _price(maker), Liquidity.TAKER)
            missing -= lots
            if not missing:
                break
        if missing:
            return Reason.NO_LIQUIDITY
        pays_on_fill = order.is_buy and order.price_ticks is None
        if pays_on_fill and cost > order.account.free.get(order.instrument.quote, 0):
            return Reason.INSUFFICIENT_FUNDS
        return Reason.NONE


def _price(maker: OpenOrder) -> int:
    assert maker.price_ticks is not None
    return maker.price_ticks


def _meets(order: OpenOrder, maker: OpenOrder) -> bool:
    return order.accepts_price(_price(maker))
