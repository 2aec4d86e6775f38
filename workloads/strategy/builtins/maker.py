"""A market maker."""

from tradefleet.domain.orders import Side
from workloads.strategy.client import CancelDescription, Context, OrderDescription
from workloads.strategy.parameters import param


class Maker:
    """Quote both sides of the market and earn the spread.

    Idea: whoever offers liquidity is paid for it by those in a hurry.
    Rules: after each bar one post-only bid and one post-only ask stand half a spread from the close, both moved
    against the inventory (down when more than half of the equity is held, up when less). A quote further from its
    place than the tolerance is canceled and set anew on the next bar.
    Source: the inventory effect is that of M. Avellaneda and S. Stoikov, "High-frequency trading in a limit order
    book", Quantitative Finance 8 (2008), made linear; volatility and arrival rates are not estimated.
    It does not hedge, and does not see the queue or the order flow that picks off stale quotes.
    """

    name = "maker"

    spread: float = param(0.002, ge=0.00001, le=0.5, doc="distance from bid to ask, as part of the price")
    part: float = param(0.1, ge=0.001, le=1.0, doc="size of each quote, as part of the equity")
    skew: float = param(0.5, ge=0.0, le=1.0, doc="how far a full inventory moves the quotes, in half spreads")
    tolerance: float = param(0.25, ge=0.0, le=1.0, doc="how far a quote may be off before it is replaced, in spreads")

    def next_order(self, context: Context) -> list[OrderDescription | CancelDescription]:
        """Return cancels of quotes that are off, and new quotes for the sides that have none."""
        equity = context.equity
        if equity <= 0:
            return []
        half = self.spread / 2
        load = min(1.0, context.position.size * context.last / equity)
        fair = context.last * (1 - (2 * load - 1) * self.skew * half)
        bid = min(fair * (1 - half), context.bid)
        ask = max(fair * (1 + half), context.ask)
        return self._quote(context, Side.BUY, bid, equity) + self._quote(context, Side.SELL, ask, equity)

    def _quote(
        self, context: Context, side: Side, price: float, equity: float
    ) -> list[OrderDescription | CancelDescription]:
        standing = [order for order in context.open_orders if order.side is side]
        if standing:
            slack = self.tolerance * self.spread * price
            return [
                CancelDescription(order.client_order_id)
                for order in standing
                if order.price is None or abs(order.price - price) > slack
            ]
        most = context.payable(price) if side is Side.BUY else context.sellable
        size = min(equity * self.part / price, most)
        if not context.is_worth_an_order(size, price):
            return []
        return [OrderDescription(side, size, price, post_only=True)]
