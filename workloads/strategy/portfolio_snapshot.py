"""A bot's portfolio as JSON, and back."""

from typing import Any

from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Side, TimeInForce
from tradefleet.domain.venue import Liquidity
from workloads.strategy.holdings import FillView, OpenOrder
from workloads.strategy.portfolio import Portfolio
from workloads.strategy.snapshot_values import JsonValue, decode_value, encode_value


def save_portfolio(portfolio: Portfolio) -> dict[str, JsonValue]:
    """Return the whole portfolio for JSON."""
    return {
        "total": dict(portfolio.total),
        "locked": dict(portfolio.locked),
        "positions": {symbol: [one.lots, one.cost_atoms] for symbol, one in portfolio.positions.items()},
        "orders": [_save_order(order) for order in portfolio.orders.values()],
        "fills": [[encode_value(_plain(value)) for value in fill] for fill in portfolio.fills],
        "round_trips": portfolio.round_trips.snapshot(),
    }


def load_portfolio(portfolio: Portfolio, saved: dict[str, Any]) -> None:
    """Make `portfolio` the one that wrote `saved`."""
    portfolio.total = dict(saved["total"])
    portfolio.locked = dict(saved["locked"])
    for symbol, figures in saved["positions"].items():
        position = portfolio.positions[Symbol(symbol)]
        position.lots, position.cost_atoms = figures
    orders = [_load_order(portfolio.instruments, fields) for fields in saved["orders"]]
    portfolio.orders = {order.client_order_id: order for order in orders}
    portfolio.fills.clear()
    portfolio.fills.extend(_load_fill(values) for values in saved["fills"])
    portfolio.round_trips.restore(saved["round_trips"])


def _save_order(order: OpenOrder) -> JsonValue:
    terms = order.terms
    return {
        "id": order.client_order_id,
        "origin": order.origin.value,
        "status": order.status.value,
        "market_us": order.market_us,
        "filled_lots": order.filled_lots,
        "reserve_ticks": order.reserve_ticks,
        "reserved_atoms": order.reserved_atoms,
        "symbol": terms.symbol,
        "side": terms.side.value,
        "type": terms.type.value,
        "lots": terms.lots,
        "price_ticks": terms.price_ticks,
        "trigger_ticks": terms.trigger_ticks,
        "time_in_force": terms.time_in_force.value,
        "post_only": terms.post_only,
        "reduce_only": terms.reduce_only,
    }


def _load_order(instruments: dict[Symbol, Instrument], saved: dict[str, Any]) -> OpenOrder:
    symbol = Symbol(saved["symbol"])
    terms = OrderTerms(
        symbol=symbol,
        side=Side(saved["side"]),
        type=OrderType(saved["type"]),
        lots=saved["lots"],
        price_ticks=saved["price_ticks"],
        trigger_ticks=saved["trigger_ticks"],
        time_in_force=TimeInForce(saved["time_in_force"]),
        post_only=saved["post_only"],
        reduce_only=saved["reduce_only"],
    )
    order = OpenOrder(
        instruments[symbol],
        ClientOrderId(saved["id"]),
        terms,
        saved["market_us"],
        saved["reserve_ticks"],
        Origin(saved["origin"]),
    )
    order.status = OrderStatus(saved["status"])
    order.filled_lots = saved["filled_lots"]
    order.reserved_atoms = saved["reserved_atoms"]
    return order


def _plain(value: object) -> object:
    """Return an enum's value, and everything else as it is."""
    return value.value if isinstance(value, Side | Liquidity) else value


def _load_fill(values: list[JsonValue]) -> FillView:
    fill = FillView(*(decode_value(value) for value in values))  # type: ignore[arg-type]  # as we wrote them
    return fill._replace(side=Side(fill.side), liquidity=Liquidity(fill.liquidity))
