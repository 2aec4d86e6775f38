"""A client in a hurry."""

from tradefleet.domain.orders import Side
from workloads.strategy.client import Context, OrderDescription
from workloads.strategy.parameters import param


class Taker:
    """Trade at the market in the direction of the last bar.

    Idea: a large move goes on for a while; and a market needs somebody who takes liquidity.
    Rules: a bar that rose by at least the threshold buys a part of the equity at the market, one that fell by as much
    sells a part; while an order is open nothing is added.
    Source: N. Jegadeesh and S. Titman, "Returns to Buying Winners and Selling Losers", Journal of Finance 48 (1993),
    here on the shortest horizon, where costs eat it.
    It does not look at costs or at more than one bar.
    """

    name = "taker"

    threshold: float = param(0.001, ge=0.0, le=0.5, doc="the least move of a bar, as part of its open")
    part: float = param(0.1, ge=0.001, le=1.0, doc="size of each order, as part of the equity")

    def next_order(self, context: Context) -> OrderDescription | None:
        """Return a market order after a large move, else None."""
        bar = context.bar
        move = bar.close / bar.open - 1
        if abs(move) < self.threshold or move == 0 or context.open_orders:
            return None
        side = Side.BUY if move > 0 else Side.SELL
        most = context.payable() if side is Side.BUY else context.sellable
        size = min(context.equity * self.part / bar.close, most)
        return OrderDescription(side, size) if context.is_worth_an_order(size, bar.close) else None
