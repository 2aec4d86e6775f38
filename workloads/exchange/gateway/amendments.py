"""Changing an open limit order: the same gate, for the difference."""

from collections.abc import Mapping
from dataclasses import replace

from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import AmendRequest, OrderStatus, OrderTerms, OrderType, Reason, Side
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.risk import RiskGate

_AMENDABLE = frozenset({OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


def amended_terms(terms: OrderTerms, lots: int | None, price_ticks: int | None) -> OrderTerms:
    """Return the terms with new total lots and price; None leaves as it is."""
    return replace(
        terms,
        lots=terms.lots if lots is None else lots,
        price_ticks=terms.price_ticks if price_ticks is None else price_ticks,
    )


def open_part(order: ManagedOrder, lots: int | None, price_ticks: int | None) -> OrderTerms:
    """Return the terms of what would still be open after the amendment: what has to stay reserved."""
    total = order.terms.lots if lots is None else lots
    return amended_terms(order.terms, total - order.filled_lots, price_ticks)


def check_amendment(
    order: ManagedOrder,
    request: AmendRequest,
    account: BotAccount,
    gate: RiskGate,
    config: GatewayConfig,
    marks: Mapping[Symbol, int],
    *,
    halted: bool,
) -> Reason:
    """Return why the amendment is refused, NONE when it may be sent.

    What makes a buy larger or dearer raises risk and is stopped by a halt, a pause and the size limits of the bot;
    everything has to be payable.
    """
    terms = order.terms
    if terms.type is not OrderType.LIMIT or order.status not in _AMENDABLE:
        return Reason.UNKNOWN_ORDER
    lots = terms.lots if request.lots is None else request.lots
    price = terms.price_ticks if request.price_ticks is None else request.price_ticks
    if lots <= order.filled_lots or price is None or price <= 0:
        return Reason.ORDER_SIZE
    instrument = config.instruments[order.symbol]
    notional = instrument.notional_atoms(lots - order.filled_lots, price)
    if notional < instrument.min_notional_atoms:
        return Reason.MIN_NOTIONAL
    mark = marks.get(order.symbol, 0)
    needed = gate.reservation(account, open_part(order, lots, price), mark)
    if needed.atoms - order.reserved_atoms > account.wallet.free.get(needed.asset, 0):
        return Reason.INSUFFICIENT_FUNDS
    limits = account.config.limits
    if terms.side is Side.BUY:
        if halted and notional > instrument.notional_atoms(order.open_lots, terms.price_ticks or 0):
            return Reason.HALTED
        if price > mark and (price - mark) * 1_000_000 > limits.price_collar_ppm * mark:
            return Reason.PRICE_COLLAR
    for most_atoms in (limits.max_order_atoms, config.limits.max_order_atoms):
        if most_atoms is not None and notional > most_atoms:
            return Reason.ORDER_SIZE
    return Reason.NONE
