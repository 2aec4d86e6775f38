"""A slow exchange that is obviously right: one list of orders, searched from end to end each time. No money."""

from dataclasses import dataclass
from typing import Any

from tradefleet.domain.ids import UID_HASH_LENGTH, AccountId, ClientOrderId
from tradefleet.domain.orders import OrderTerms, Side, TimeInForce

Line = tuple[Any, ...]


@dataclass(eq=False)
class SlowOrder:
    owner: tuple[AccountId, str]
    id: ClientOrderId
    terms: OrderTerms
    left: int
    filled: int
    price: int | None
    time: int
    asleep: bool


class SlowBook:
    """Returns, for each operation, lines of (id, what happened)."""

    def __init__(self) -> None:
        self.orders: list[SlowOrder] = []
        self.time = 0
        self.last: int | None = None
        self.log: list[Line] = []

    def submit(self, account: AccountId, client_order_id: ClientOrderId, terms: OrderTerms) -> list[Line]:
        self.log = []
        owner = (account, client_order_id[:UID_HASH_LENGTH])
        asleep = terms.trigger_ticks is not None
        order = SlowOrder(owner, client_order_id, terms, terms.lots, 0, terms.price_ticks, self.now(), asleep)
        if terms.post_only and not asleep and self.partners(order):
            return [(client_order_id, "REJECTED", "WOULD_TAKE")]
        self.log.append((client_order_id, "ACCEPTED"))
        self.enter(order)
        return self.log

    def cancel(self, account: AccountId, client_order_id: ClientOrderId) -> list[Line]:
        order = self.find(account, client_order_id)
        if order is None:
            return [(client_order_id, "CANCEL_REJECTED", "UNKNOWN_ORDER")]
        self.orders.remove(order)
        return [(client_order_id, "CANCELED", "USER_CANCEL")]

    def amend(
        self, account: AccountId, client_order_id: ClientOrderId, lots: int | None, price: int | None
    ) -> list[Line]:
        self.log = []
        order = self.find(account, client_order_id)
        if order is None:
            return [(client_order_id, "AMEND_REJECTED", "UNKNOWN_ORDER")]
        total = order.left + order.filled
        new_total = total if lots is None else lots
        new_price = order.price if price is None else price
        if order.price is None or new_total <= order.filled:
            return [(client_order_id, "AMEND_REJECTED", "VENUE_REJECTED")]
        old_price, order.price = order.price, new_price
        if order.terms.post_only and not order.asleep and new_price != old_price and self.partners(order):
            order.price = old_price
            return [(client_order_id, "AMEND_REJECTED", "WOULD_TAKE")]
        order.left = new_total - order.filled
        self.log.append((client_order_id, "AMENDED"))
        if new_price != old_price or new_total > total:
            self.orders.remove(order)
            order.time = self.now()
            self.enter(order)
        return self.log

    def now(self) -> int:
        self.time += 1
        return self.time

    def find(self, account: AccountId, client_order_id: ClientOrderId) -> SlowOrder | None:
        for order in self.orders:
            if order.owner[0] == account and order.id == client_order_id:
                return order
        return None

    def enter(self, order: SlowOrder) -> None:
        queue = [order]
        if order.asleep and not self.wakes(order, self.last):
            self.orders.append(order)
            return
        while queue:
            self.match(queue.pop(0), queue)

    def wakes(self, order: SlowOrder, price: int | None) -> bool:
        trigger = order.terms.trigger_ticks
        if price is None or trigger is None:
            return False
        return price >= trigger if order.terms.side is Side.BUY else price <= trigger

    def partners(self, order: SlowOrder) -> list[SlowOrder]:
        """All orders that `order` could trade with, best price first, then who waited longest."""
        buying = order.terms.side is Side.BUY
        found = []
        for other in self.orders:
            if other.asleep or other.terms.side is order.terms.side:
                continue
            assert other.price is not None
            if order.price is None or (other.price <= order.price if buying else other.price >= order.price):
                found.append(other)
        return sorted(found, key=lambda other: ((other.price or 0) * (1 if buying else -1), other.time))

    def match(self, order: SlowOrder, queue: list[SlowOrder]) -> None:
        if order.asleep:
            order.asleep = False
            order.time = self.now()
            self.log.append((order.id, "TRIGGERED"))
            if order.terms.post_only and self.partners(order):
                self.log.append((order.id, "EXPIRED", "WOULD_TAKE"))
                return
        if order.terms.time_in_force is TimeInForce.FOK:
            reachable = 0
            for other in self.partners(order):
                if other.owner == order.owner and reachable < order.left:
                    self.log.append((order.id, "EXPIRED", "SELF_TRADE"))
                    return
                reachable += other.left
            if reachable < order.left:
                self.log.append((order.id, "EXPIRED", "NO_LIQUIDITY"))
                return
        while order.left and self.partners(order):
            other = self.partners(order)[0]
            if other.owner == order.owner:
                self.log.append((order.id, "EXPIRED", "SELF_TRADE"))
                return
            lots = min(order.left, other.left)
            for side, liquidity in ((order, "TAKER"), (other, "MAKER")):
                side.left -= lots
                side.filled += lots
                self.log.append((side.id, "FILLED", lots, other.price, liquidity))
            if other.left == 0:
                self.orders.remove(other)
            self.last = other.price
            woken = sorted((o for o in self.orders if o.asleep and self.wakes(o, self.last)), key=lambda o: o.time)
            for sleeper in woken:
                self.orders.remove(sleeper)
            queue += woken
        if order.left == 0:
            return
        if order.price is None or order.terms.time_in_force is not TimeInForce.GTC:
            self.log.append((order.id, "EXPIRED", "NO_LIQUIDITY"))
        else:
            self.orders.append(order)
