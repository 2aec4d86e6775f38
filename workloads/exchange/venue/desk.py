"""The order desk: applies an account's requests, and refuses what the venue's filters or the funds do not allow."""

from dataclasses import replace
from typing import assert_never

from tradefleet.domain.ids import CLIENT_ORDER_ID_LENGTH_MAX, ClientOrderId
from tradefleet.domain.orders import OrderStatus, Reason
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    ReportKind,
    SubmitOrder,
    VenueRequest,
    VoidRequest,
)
from workloads.exchange.venue.accounts import Account
from workloads.exchange.venue.clearing import Clearing
from workloads.exchange.venue.market import MarketPlace
from workloads.exchange.venue.orders import OpenOrder


class OrderDesk:
    """Stands between the numbered requests and the market."""

    __slots__ = ("_clearing", "_instruments", "_market")

    def __init__(self, clearing: Clearing, market: MarketPlace) -> None:
        self._clearing = clearing
        self._market = market
        self._instruments = {instrument.symbol: instrument for instrument in clearing.config.instruments}

    def apply(self, account: Account, request: VenueRequest) -> None:
        """Apply one request, whose number is the account's next."""
        match request:
            case SubmitOrder():
                self._submit(account, request)
            case CancelOrder():
                self._cancel(account, request)
            case AmendOrder():
                self._amend(account, request)
            case DepositFunds():
                self._deposit(account, request)
            case VoidRequest():
                pass  # it only uses up its number
            case _:
                assert_never(request)

    def _submit(self, account: Account, request: SubmitOrder) -> None:
        """Take an order. The same id and terms once more is no second order: the reports of the first one answer."""
        terms, client_order_id = request.terms, request.client_order_id
        known = account.orders.get(client_order_id) or account.finished.get(client_order_id)
        if known is not None:
            if known.terms != terms:
                self._clearing.report(account, ReportKind.REJECTED, client_order_id, reason=Reason.DUPLICATE)
            return
        instrument = self._instruments.get(terms.symbol)
        if instrument is None:
            self._clearing.reject(account, client_order_id, terms, Reason.UNKNOWN_INSTRUMENT)
            return
        order = OpenOrder(
            account=account,
            client_order_id=client_order_id,
            instrument=instrument,
            terms=terms,
            lots=terms.lots,
            price_ticks=terms.price_ticks,
            protection_ticks=request.protection_ticks,
            fee_ppm=self._clearing.config.fee_ppm_max,
            decided_us=request.decided_us,
        )
        reason = self._refusal(order)
        if reason is not Reason.NONE:
            self._clearing.reject(account, client_order_id, terms, reason)
            return
        account.lock(*self._clearing.locks(order))
        account.orders[client_order_id] = order
        order.arrival = self._clearing.next_arrival()
        self._clearing.report(account, ReportKind.ACCEPTED, client_order_id)
        self._market.enter(order)

    def _cancel(self, account: Account, request: CancelOrder) -> None:
        order = account.orders.get(request.client_order_id)
        if order is None:
            self._clearing.report(
                account, ReportKind.CANCEL_REJECTED, request.client_order_id, reason=Reason.UNKNOWN_ORDER
            )
            return
        self._market.remove(order)
        self._clearing.end(order, OrderStatus.CANCELED, Reason.USER_CANCEL)

    def _amend(self, account: Account, request: AmendOrder) -> None:
        """Change lots or limit of an order. It keeps its priority only when all that changes is that it gets smaller.

        Otherwise it enters anew, behind all others, and may trade at once.
        """
        order = account.orders.get(request.client_order_id)
        if order is None:
            self._refuse_amend(account, request, Reason.UNKNOWN_ORDER)
            return
        lots = order.lots if request.lots is None else request.lots
        price_ticks = order.price_ticks if request.price_ticks is None else request.price_ticks
        if order.price_ticks is None or price_ticks is None or price_ticks <= 0 or lots <= order.filled_lots:
            self._refuse_amend(account, request, Reason.VENUE_REJECTED)
            return
        changed = replace(order, lots=lots, price_ticks=price_ticks, fee_ppm=self._clearing.config.fee_ppm_max)
        asset, locked_atoms = self._clearing.locks(order)
        _, atoms = self._clearing.locks(changed)
        reason = self._filter(changed, new_price=price_ticks != order.price_ticks)
        if reason is Reason.NONE and not self._clearing.can_lock(changed, locked_atoms=locked_atoms):
            reason = Reason.INSUFFICIENT_FUNDS
        if reason is not Reason.NONE:
            self._refuse_amend(account, request, reason)
            return
        account.lock(asset, atoms - locked_atoms)
        keeps_priority = price_ticks == order.price_ticks and lots <= order.lots
        if not keeps_priority:
            self._market.remove(order)
            order.arrival = self._clearing.next_arrival()
            order.decided_us = max(order.decided_us, request.decided_us)
        order.lots, order.price_ticks, order.fee_ppm = lots, price_ticks, changed.fee_ppm
        self._clearing.report(account, ReportKind.AMENDED, request.client_order_id, lots=lots, price_ticks=price_ticks)
        if not keeps_priority:
            self._market.enter(order)

    def _deposit(self, account: Account, request: DepositFunds) -> None:
        """Credit a deposit. The same reference once more changes nothing; with another content it is refused."""
        reference = ClientOrderId(request.reference)
        known = account.deposits.get(request.reference)
        if known is not None:
            if known != (request.asset, request.atoms):
                self._clearing.report(account, ReportKind.REJECTED, reference, reason=Reason.DUPLICATE)
            return
        if request.atoms <= 0:
            self._clearing.report(account, ReportKind.REJECTED, reference, reason=Reason.VENUE_REJECTED)
            return
        self._clearing.accounts.deposit(account, request.reference, request.asset, request.atoms)
        self._clearing.report(account, ReportKind.DEPOSITED, reference)

    def _refusal(self, order: OpenOrder) -> Reason:
        """Return why a new order cannot be accepted, NONE if it can."""
        client_order_id = order.client_order_id
        too_long = len(client_order_id) > CLIENT_ORDER_ID_LENGTH_MAX
        if too_long or not (client_order_id.isascii() and client_order_id.isalnum()):
            return Reason.VENUE_REJECTED
        if order.terms.reduce_only and order.is_buy:
            return Reason.VENUE_REJECTED  # a spot account has no short position that a buy could reduce
        reason = self._filter(order, new_price=True)
        if reason is Reason.NONE and not self._clearing.can_lock(order):
            return Reason.INSUFFICIENT_FUNDS
        return reason

    def _filter(self, order: OpenOrder, *, new_price: bool) -> Reason:
        """Return which filter a limit order does not pass, NONE for the others: their price is not known yet."""
        if order.price_ticks is None:
            return Reason.NONE
        instrument = order.instrument
        if instrument.notional_atoms(order.lots, order.price_ticks) < instrument.min_notional_atoms:
            return Reason.MIN_NOTIONAL
        rests = order.terms.post_only and new_price and not order.waits_for_trigger
        return Reason.WOULD_TAKE if rests and self._market.would_take(order) else Reason.NONE

    def _refuse_amend(self, account: Account, request: AmendOrder, reason: Reason) -> None:
        self._clearing.report(account, ReportKind.AMEND_REJECTED, request.client_order_id, reason=reason)
