"""Comparing the books with the venue (design §5): open orders, and the money of all bots together.

A statement of the venue holds for one moment, the one after its report of a certain number, so what it says can be
compared exactly with books that have applied the reports up to there. One difference may be the fault of an adapter
whose answers come in another order than its reports; one that stays halts new risk of the account, until it is gone.

What this does not see: on a live account that holds more than its bots' wallets, a loss that the surplus covers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradefleet.domain.bots import Closure
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.money import from_atoms
from tradefleet.domain.orders import Reason
from tradefleet.domain.venue import VenueOrder
from workloads.exchange.gateway.order import AMEND, SUBMIT, ManagedOrder
from workloads.exchange.gateway.state import GatewayState

LOOKS_MAX = 3  # looks in a row that find a difference, until it counts
SHOWN_MAX = 5  # differences that are named, orders of others that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueStatement:
    """How the account stood at the venue right after its report `report_no`.

    `answers` are about open orders of ours that were not among the venue's; None: it does not know that order.
    `balances` are free and locked atoms per asset. `taken_us` is the wall's time, to be shown and nothing else.
    """

    report_no: int
    open_orders: tuple[VenueOrder, ...]
    answers: Mapping[ClientOrderId, VenueOrder | None]
    balances: Mapping[str, tuple[int, int]]
    taken_us: int


class Reconciliation:
    """Compares, and draws the conclusions: halt or heal, reopen what only a doubt had closed."""

    __slots__ = ("_state",)

    def __init__(self, state: GatewayState) -> None:
        self._state = state

    def apply(self, statement: VenueStatement) -> bool:
        """Take a statement; False for one that says nothing about these books: another moment, or money under way."""
        state = self._state
        if statement.report_no != state.report_no or state.deposits:
            return False
        others = [order for order in statement.open_orders if state.owner(order.client_order_id) is None]
        state.external = {order.client_order_id: _shown(order) for order in others[:SHOWN_MAX]}
        state.external_orders = len(others)
        found = [*self._orders(statement), *self._money(statement)]
        if found:
            self._differ(found)
        else:
            self._agree(statement.taken_us)
        return True

    def _differ(self, found: list[str]) -> None:
        state = self._state
        state.doubts += 1
        if state.doubts < LOOKS_MAX and not state.mismatch:
            return
        more = f" and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
        why = "; ".join(found[:SHOWN_MAX]) + more
        if not state.mismatch:
            state.event(None, Reason.UNRECONCILED, why)
        state.mismatch = why

    def _agree(self, taken_us: int) -> None:
        state = self._state
        if state.mismatch:
            state.event(None, Reason.NONE, f"books and venue agree again: {state.mismatch}")
        state.doubts, state.mismatch, state.reconciled_us = 0, "", taken_us
        for account in state.accounts.values():
            state.reopen(account, [Closure.REPORT])

    # --- what differs ---------------------------------------------------------------------------------------------

    def _orders(self, statement: VenueStatement) -> list[str]:
        """Return how our open orders differ from the venue's. What it was asked and did not answer is no difference."""
        state = self._state
        theirs = {order.client_order_id: order for order in statement.open_orders}
        found = [
            f"order {order_id} is open at the venue, in the books it is not"
            for order_id in sorted(theirs.keys() - state.orders.keys())
            if state.owner(order_id) is not None
        ]
        for order_id, order in state.orders.items():
            if SUBMIT in order.open_requests:
                continue
            other = theirs.get(order_id) or statement.answers.get(order_id)
            if other is None:
                found.append(f"order {order_id} is open in the books, the venue does not know it")
            elif not other.is_open:
                found.append(f"order {order_id} is open in the books, at the venue it has ended")
            elif not _is_same(order, other):
                found.append(
                    f"order {order_id}: {order.filled_lots} of {order.terms.lots} lots at {order.terms.price_ticks} "
                    f"ticks in the books, {other.filled_lots} of {other.lots} at {other.price_ticks} at the venue"
                )
        return found

    def _money(self, statement: VenueStatement) -> list[str]:
        """Return how the money differs: on a paper account in any way, on a live one where there is less than ours.

        A difference that a person has vouched for is set aside, once.
        """
        state, found = self._state, []
        ours = Counter(state.beside)
        for account in state.accounts.values():
            ours.update(account.wallet.free)
            ours.update(account.wallet.locked)
        there = {asset: sum(parts) for asset, parts in statement.balances.items()}
        for asset in sorted(ours.keys() | there.keys()):
            difference = there.get(asset, 0) - ours[asset]
            if not difference or (difference > 0 and not state.config.paper):
                continue
            if state.is_vouched:
                state.beside[asset] = state.beside.get(asset, 0) + difference
                continue
            held, found_there = (self._amount(asset, atoms.get(asset, 0)) for atoms in (ours, there))
            found.append(f"{asset}: {held} in the books, the venue has {found_there}")
        state.is_vouched = False
        return found

    def _amount(self, asset: str, atoms: int) -> str:
        scales: dict[str, int] = {}
        for each in self._state.config.instruments.values():
            scales[each.base], scales[each.quote] = each.base_scale, each.quote_scale
        return f"{from_atoms(atoms, scales.get(asset, 0)):f}"


def _is_same(order: ManagedOrder, other: VenueOrder) -> bool:
    """Return whether an open order is what the venue says; its terms may differ while a change of it is under way."""
    terms = order.terms
    if (terms.symbol, terms.side, order.filled_lots) != (other.symbol, other.side, other.filled_lots):
        return False
    if AMEND in order.open_requests:
        return True
    return terms.lots == other.lots and terms.price_ticks in (None, other.price_ticks)


def _shown(order: VenueOrder) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "lots": order.lots,
        "filled_lots": order.filled_lots,
        "price_ticks": order.price_ticks,
    }
