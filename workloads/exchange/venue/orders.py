"""Orders inside the venue: open ones, which change, and finished ones, which are only remembered."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradefleet.domain.ids import UID_HASH_LENGTH, ClientOrderId
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason, Side, TimeInForce
from tradefleet.domain.venue import VenueOrder

if TYPE_CHECKING:  # an account holds its orders and an order its account
    from workloads.exchange.venue.accounts import Account


@dataclass(slots=True, kw_only=True, eq=False)
class OpenOrder:
    """An accepted order. `terms` stay as submitted; `lots` and `price_ticks` follow amendments.

    `arrival` orders everything that is otherwise equal. It is given when the order is accepted, and anew when an
    amendment costs it its priority or a stop-limit enters the book. `entry_bar` is the number of the symbol's last
    bar at that time. `status` is None until the order is done. `protection_ticks` is the worst price at which a buy
    without a limit may fill: what its owner has set aside pays no more. `fee_ppm` is the highest fee that the order can
    be charged: the highest of the venue when its owner set that much aside. Fees that rise later concern later orders.
    `decided_us` is the market time at which its owner decided on it or on its price: what was known by then can not be
    traded on.
    """

    account: "Account"
    client_order_id: ClientOrderId
    instrument: Instrument
    terms: OrderTerms
    lots: int
    price_ticks: int | None
    protection_ticks: int | None = None
    fee_ppm: int
    decided_us: int = 0
    filled_lots: int = 0
    arrival: int = 0
    entry_bar: int = 0
    triggered: bool = False
    status: OrderStatus | None = None

    @property
    def remaining_lots(self) -> int:
        """Lots that have not traded yet."""
        return self.lots - self.filled_lots

    @property
    def worst_ticks(self) -> int | None:
        """The worst price it may trade at: its limit, else its protection; None when there is neither."""
        return self.protection_ticks if self.price_ticks is None else self.price_ticks

    @property
    def is_buy(self) -> bool:
        """True for a buy."""
        return self.terms.side is Side.BUY

    @property
    def waits_for_trigger(self) -> bool:
        """True for a stop order whose trigger has not been touched."""
        return self.terms.trigger_ticks is not None and not self.triggered

    @property
    def is_immediate(self) -> bool:
        """True when what does not fill at once expires."""
        return self.terms.time_in_force is not TimeInForce.GTC

    def accepts_price(self, price_ticks: int) -> bool:
        """Return whether the order may trade at `price_ticks`: at its limit or better; always without a limit."""
        if self.price_ticks is None:
            return True
        return price_ticks <= self.price_ticks if self.is_buy else price_ticks >= self.price_ticks

    def is_beyond_protection(self, price_ticks: int) -> bool:
        """Return whether `price_ticks` is more than the order may pay."""
        return self.protection_ticks is not None and price_ticks > self.protection_ticks

    def is_triggered_by(self, price_ticks: int) -> bool:
        """Return whether `price_ticks` is at the trigger or beyond it; False without a trigger."""
        trigger = self.terms.trigger_ticks
        if trigger is None:
            return False
        return price_ticks >= trigger if self.is_buy else price_ticks <= trigger

    def same_owner(self, other: "OpenOrder") -> bool:
        """Return whether both orders are of one bot: accounts are shared, the id's opening names the bot (rule 1)."""
        return (
            self.account is other.account
            and self.client_order_id[:UID_HASH_LENGTH] == other.client_order_id[:UID_HASH_LENGTH]
        )

    def view(self) -> VenueOrder:
        """Return the order as the answer to a query."""
        return VenueOrder(
            account=self.account.id,
            client_order_id=self.client_order_id,
            symbol=self.terms.symbol,
            side=self.terms.side,
            lots=self.lots,
            filled_lots=self.filled_lots,
            price_ticks=self.price_ticks,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedOrder:
    """How an order ended: FILLED, CANCELED, EXPIRED or REJECTED. `terms` are those it was submitted with."""

    order: VenueOrder
    terms: OrderTerms
    status: OrderStatus
    reason: Reason
