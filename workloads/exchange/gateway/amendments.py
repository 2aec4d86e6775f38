"""Changing an open limit order: the same gate as for a new one, but nothing is made smaller than was asked for."""

from tradefleet.domain.orders import AmendRequest, OrderStatus, OrderType, Reason, Side
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.desk import open_part
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.risk import RiskGate, amendment_atoms
from workloads.exchange.gateway.state import GatewayState

_AMENDABLE = frozenset({OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


def raises_risk(order: ManagedOrder, lots: int | None, price_ticks: int | None) -> bool:
    """Return whether an amendment makes a buy larger or dearer."""
    is_larger = lots is not None and lots > order.terms.lots
    return order.terms.side is Side.BUY and (is_larger or _is_bolder(order, price_ticks))


def _is_bolder(order: ManagedOrder, price_ticks: int | None) -> bool:
    """Return whether a new price is further on the expensive side: higher for a buy, lower for a sell."""
    terms = order.terms
    if price_ticks is None or terms.price_ticks is None:
        return False
    return (price_ticks - terms.price_ticks) * terms.side.sign > 0


def check_amendment(
    order: ManagedOrder, request: AmendRequest, account: BotAccount, gate: RiskGate, state: GatewayState
) -> Reason:
    """Return why the amendment is refused, NONE when it may be sent.

    Making a buy larger or dearer raises risk: a halt, a pause, a limit on size and a loss stop it as they stop a new
    order. Everything has to be payable.
    """
    if order.terms.type is not OrderType.LIMIT or order.status not in _AMENDABLE:
        return Reason.UNKNOWN_ORDER
    lots = order.terms.lots if request.lots is None else request.lots
    price = order.terms.price_ticks if request.price_ticks is None else request.price_ticks
    if lots <= order.filled_lots or price is None or price <= 0:
        return Reason.ORDER_SIZE
    raising = raises_risk(order, lots, price)
    wanted = open_part(order, lots, price)
    reason = gate.refusal(account, wanted, request.market_us, raises_risk=raising)
    if reason is Reason.NONE and _is_bolder(order, price):
        reason = gate.collar_refusal(account, wanted)
    if reason is not Reason.NONE:
        return reason
    if raising or lots > order.terms.lots:
        allowed, why = gate.allowed_lots(account, wanted, without=order)
        if allowed < wanted.lots:
            return why
    instrument = state.config.instruments[order.symbol]
    if instrument.notional_atoms(wanted.lots, price) < instrument.min_notional_atoms:
        return Reason.MIN_NOTIONAL
    reason = gate.rate_refusal(account)
    if reason is Reason.NONE and raising:
        reason = gate.loss_refusal(account)
    if reason is not Reason.NONE:
        return reason
    needed = amendment_atoms(account, order, wanted, state.marks[order.symbol], state.config)
    if needed - order.reserved_atoms > account.wallet.free.get(order.reserved_asset, 0):
        return Reason.INSUFFICIENT_FUNDS
    return Reason.NONE
