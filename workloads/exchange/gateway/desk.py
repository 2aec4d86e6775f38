"""The order desk: what the gateway itself does with an order: send it, cancel it, take it back, end it."""

from dataclasses import replace

from tradefleet.domain.errors import InvalidOrder
from tradefleet.domain.executions import Fill
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.venue import AmendOrder, CancelOrder, SubmitOrder, VoidRequest
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.bookkeeping import release, reserve
from workloads.exchange.gateway.order import AMEND, CANCEL, SUBMIT, ManagedOrder
from workloads.exchange.gateway.risk import amendment_atoms, reservation
from workloads.exchange.gateway.state import GatewayState


class OrderDesk:
    """Moves reservations, numbers requests and writes down what changed. The commit comes before any send (rule 13)."""

    __slots__ = ("_state",)

    def __init__(self, state: GatewayState) -> None:
        self._state = state

    def send(self, account: BotAccount, order: ManagedOrder, decided_us: int = 0) -> None:
        """Reserve for an order, and queue it for the venue. `decided_us`: what its bot had seen, here and below."""
        state = self._state
        needed = reservation(account, order.terms, state.marks.get(order.symbol, 0), state.config)
        order.protection_ticks = needed.protection_ticks
        reserve(account, order, state.effects, asset=needed.asset, atoms=needed.atoms, market_us=state.now_us)
        order.advance(OrderStatus.SUBMITTED, state.now_us)
        account.orders[order.client_order_id] = order
        state.orders[order.client_order_id] = order
        number = order.venue_no = order.open_requests[SUBMIT] = state.next_request_no()
        state.effects.orders[order.client_order_id] = order
        state.effects.venue_requests.append(
            SubmitOrder(
                no=number,
                client_order_id=order.client_order_id,
                terms=order.terms,
                market_us=state.now_us,
                protection_ticks=order.protection_ticks,
                decided_us=max(decided_us, state.now_us),
            )
        )

    def deny(self, account: BotAccount, order: ManagedOrder, reason: Reason) -> None:
        """Refuse a new order: the venue never hears of it."""
        state = self._state
        order.reason = reason
        order.advance(OrderStatus.DENIED, state.now_us)
        state.effects.orders[order.client_order_id] = order
        state.event(account.key, reason, f"order {order.client_order_id} denied", order.client_order_id)
        state.tell(account, order)

    def cancel(self, order: ManagedOrder, reason: Reason, decided_us: int = 0) -> None:
        """Ask the venue to cancel an open order, unless that is asked already."""
        if CANCEL in order.open_requests:
            return
        state = self._state
        order.cancel_reason = reason
        number = order.open_requests[CANCEL] = state.next_request_no()
        order.follow(state.now_us)
        state.effects.orders[order.client_order_id] = order
        state.effects.venue_requests.append(
            CancelOrder(
                no=number,
                client_order_id=order.client_order_id,
                market_us=state.now_us,
                decided_us=max(decided_us, state.now_us),
            )
        )

    def amend(
        self,
        account: BotAccount,
        order: ManagedOrder,
        *,
        lots: int | None,
        price_ticks: int | None,
        decided_us: int = 0,
    ) -> None:
        """Ask the venue to change an order. What it may need more is reserved now, what it needs less stays so far."""
        state = self._state
        wanted = open_part(order, lots, price_ticks)
        needed = amendment_atoms(account, order, wanted, state.marks.get(order.symbol, 0), state.config)
        if needed > order.reserved_atoms:
            more = needed - order.reserved_atoms
            reserve(account, order, state.effects, asset=order.reserved_asset, atoms=more, market_us=state.now_us)
        order.amend = (lots, price_ticks)
        number = order.open_requests[AMEND] = state.next_request_no()
        order.follow(state.now_us)
        state.effects.orders[order.client_order_id] = order
        state.effects.venue_requests.append(
            AmendOrder(
                no=number,
                client_order_id=order.client_order_id,
                market_us=state.now_us,
                lots=lots,
                price_ticks=price_ticks,
                decided_us=max(decided_us, state.now_us),
            )
        )

    def end_amendment(self, account: BotAccount, order: ManagedOrder) -> None:
        """Forget the change that was asked for, made or not, and give back what the order does not need."""
        state = self._state
        order.amend = None
        still_open = open_part(order, None, None)
        needed = reservation(account, still_open, state.marks.get(order.symbol, 0), state.config)
        spare = order.reserved_atoms - needed.atoms
        if spare > 0:
            release(account, order, state.effects, market_us=state.now_us, atoms=spare)
        order.follow(state.now_us)
        state.effects.orders[order.client_order_id] = order

    def settle(self, order: ManagedOrder, request: str) -> None:
        """Note that the venue has answered one of the order's requests."""
        number = order.open_requests.pop(request, None)
        if number is not None:
            self._state.settle(number)

    def void(self, order: ManagedOrder, request: str) -> None:
        """Let a request that was not sent stand for nothing; its number is still sent, so that there is no gap."""
        number = order.open_requests.pop(request)
        self._state.voids.append(number)
        queued = self._state.effects.venue_requests
        for place, waiting in enumerate(queued):
            if waiting.no == number:  # it has not even been committed
                queued[place] = VoidRequest(no=number)
                return
        queued.append(VoidRequest(no=number))

    def finish(
        self, account: BotAccount, order: ManagedOrder, status: OrderStatus, reason: Reason, fill: Fill | None = None
    ) -> None:
        """End an order: everything asked of it is answered, and what it has reserved is free again."""
        state = self._state
        order.advance(status, state.now_us)
        order.reason = reason
        for request in list(order.open_requests):
            self.settle(order, request)
        release(account, order, state.effects, market_us=state.now_us)
        state.effects.orders[order.client_order_id] = order
        del account.orders[order.client_order_id]
        del state.orders[order.client_order_id]
        state.tell(account, order, fill=fill)


def amended_terms(order: ManagedOrder, lots: int | None, price_ticks: int | None) -> OrderTerms:
    """Return the order's terms with new total lots and price; None leaves as it is.

    Raises InvalidOrder when nothing would be left open.
    """
    terms = order.terms
    total = terms.lots if lots is None else lots
    if total <= order.filled_lots:
        raise InvalidOrder(
            f"order {order.client_order_id}: an amendment to {total} lots leaves nothing, "
            f"{order.filled_lots} have filled"
        )
    return replace(terms, lots=total, price_ticks=terms.price_ticks if price_ticks is None else price_ticks)


def open_part(order: ManagedOrder, lots: int | None, price_ticks: int | None) -> OrderTerms:
    """Return the terms of what would still be open after an amendment: what has to stay reserved."""
    amended = amended_terms(order, lots, price_ticks)
    return replace(amended, lots=amended.lots - order.filled_lots)
