"""An order as the gateway manages it."""

from typing import Any

from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.orders import (
    OrderStatus,
    OrderTerms,
    OrderType,
    Reason,
    Side,
    TimeInForce,
    check_transition,
)

SUBMIT, CANCEL, AMEND = "submit", "cancel", "amend"  # the requests of an order that the venue may owe an answer


class ManagedOrder:
    """Terms as accepted, status, what is filled and what is still reserved. Mutable: it lives inside one machine.

    `reason` says why the order is smaller than asked for, or why the gateway made it; once it is final, why it ended.
    """

    __slots__ = (
        "amend",
        "bot",
        "cancel_reason",
        "client_order_id",
        "created_us",
        "filled_lots",
        "is_triggered",
        "open_requests",
        "protection_ticks",
        "reason",
        "request_seq",
        "reserved_asset",
        "reserved_atoms",
        "status",
        "terms",
        "trade_ids",
        "updated_us",
        "venue_no",
    )

    def __init__(
        self,
        *,
        bot: BotKey,
        client_order_id: ClientOrderId,
        terms: OrderTerms,
        request_seq: int | None,
        reason: Reason,
        market_us: int,
    ) -> None:
        self.bot = bot
        self.client_order_id = client_order_id
        self.terms = terms
        self.request_seq = request_seq
        self.reason = reason
        self.status = OrderStatus.INITIALIZED
        self.filled_lots = 0
        self.is_triggered = False
        self.reserved_asset = ""
        self.reserved_atoms = 0
        self.protection_ticks: int | None = None
        self.created_us = market_us
        self.updated_us = market_us
        self.venue_no = 0  # number of the request that submitted it: the order of orders
        self.open_requests: dict[str, int] = {}  # SUBMIT, CANCEL, AMEND: numbers the venue has not answered
        self.cancel_reason = Reason.NONE  # why its cancel was last asked for
        self.amend: tuple[int | None, int | None] | None = None  # lots, price_ticks asked for
        self.trade_ids: list[str] = []

    @property
    def symbol(self) -> Symbol:
        """The instrument."""
        return self.terms.symbol

    @property
    def origin(self) -> Origin:
        """Who made it."""
        return Origin.GATEWAY if self.request_seq is None else Origin.BOT

    @property
    def open_lots(self) -> int:
        """Lots that may still fill."""
        return self.terms.lots - self.filled_lots

    @property
    def open_lots_max(self) -> int:
        """Lots that may still fill, whatever the venue answers to a change that is under way."""
        asked = None if self.amend is None else self.amend[0]
        return max(self.terms.lots, asked or 0) - self.filled_lots

    @property
    def asked_ticks(self) -> int | None:
        """The limit price that a change under way asks for; None when none is, or it leaves the price."""
        return None if self.amend is None else self.amend[1]

    @property
    def live_status(self) -> OrderStatus:
        """Where an open order is, by what has happened to it and what is asked of it."""
        if CANCEL in self.open_requests:
            return OrderStatus.PENDING_CANCEL
        if AMEND in self.open_requests:
            return OrderStatus.PENDING_UPDATE
        if self.filled_lots:
            return OrderStatus.PARTIALLY_FILLED
        if self.is_triggered:
            return OrderStatus.TRIGGERED
        return OrderStatus.SUBMITTED if SUBMIT in self.open_requests else OrderStatus.ACCEPTED

    def advance(self, status: OrderStatus, market_us: int) -> None:
        """Go to `status`. Raises InvalidTransition."""
        check_transition(self.client_order_id, self.status, status)
        self.status = status
        self.updated_us = market_us

    def follow(self, market_us: int) -> bool:
        """Go to the live status; False when the order is there already."""
        status = self.live_status
        if status is self.status:
            return False
        self.advance(status, market_us)
        return True

    def snapshot(self) -> dict[str, Any]:
        """Return the order as JSON values."""
        terms = self.terms
        return {
            "bot": self.bot,
            "id": self.client_order_id,
            "terms": [
                terms.symbol,
                terms.side,
                terms.type,
                terms.lots,
                terms.price_ticks,
                terms.trigger_ticks,
                terms.time_in_force,
                terms.post_only,
                terms.reduce_only,
            ],
            "request_seq": self.request_seq,
            "reason": self.reason,
            "status": self.status,
            "filled_lots": self.filled_lots,
            "is_triggered": self.is_triggered,
            "reserved": [self.reserved_asset, self.reserved_atoms],
            "protection_ticks": self.protection_ticks,
            "created_us": self.created_us,
            "updated_us": self.updated_us,
            "venue_no": self.venue_no,
            "open_requests": dict(self.open_requests),
            "cancel_reason": self.cancel_reason,
            "amend": list(self.amend) if self.amend else None,
            "trade_ids": list(self.trade_ids),
        }


def restore_order(state: dict[str, Any]) -> ManagedOrder:
    """Return the order that `ManagedOrder.snapshot` described."""
    symbol, side, kind, lots, price_ticks, trigger_ticks, time_in_force, post_only, reduce_only = state["terms"]
    order = ManagedOrder(
        bot=state["bot"],
        client_order_id=state["id"],
        terms=OrderTerms(
            symbol=symbol,
            side=Side(side),
            type=OrderType(kind),
            lots=lots,
            price_ticks=price_ticks,
            trigger_ticks=trigger_ticks,
            time_in_force=TimeInForce(time_in_force),
            post_only=post_only,
            reduce_only=reduce_only,
        ),
        request_seq=state["request_seq"],
        reason=Reason(state["reason"]),
        market_us=state["created_us"],
    )
    order.status = OrderStatus(state["status"])
    order.filled_lots = state["filled_lots"]
    order.is_triggered = state["is_triggered"]
    order.reserved_asset, order.reserved_atoms = state["reserved"]
    order.protection_ticks = state["protection_ticks"]
    order.updated_us = state["updated_us"]
    order.venue_no = state["venue_no"]
    order.open_requests = dict(state["open_requests"])
    order.cancel_reason = Reason(state["cancel_reason"])
    order.amend = (state["amend"][0], state["amend"][1]) if state["amend"] else None
    order.trade_ids = list(state["trade_ids"])
    return order
