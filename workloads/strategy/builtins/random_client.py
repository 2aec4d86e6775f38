"""A client without an idea."""

from tradefleet.domain.orders import Side
from workloads.strategy.client import CancelDescription, Context, OrderDescription
from workloads.strategy.parameters import param


class RandomClient:
    """Trade at random: the null hypothesis of every strategy that claims to know something.

    Idea: none; what it loses is the cost of trading, and a strategy that does not beat it has no edge.
    Rules: with the given probability a bar makes it act: it cancels what is open, or else buys or sells, with equal
    chances, a random size at the market or at a random limit near the close.
    Source: the zero-intelligence traders of D. K. Gode and S. Sunder, Journal of Political Economy 101 (1993).
    Its random numbers come from the bot's name and seed: a replay repeats them.
    """

    name = "random"

    probability: float = param(0.1, ge=0.0, le=1.0, doc="chance that a bar makes it act")
    part: float = param(0.2, ge=0.001, le=1.0, doc="largest size of an order, as part of the equity")
    distance: float = param(0.002, ge=0.0, le=0.1, doc="largest distance of a limit from the close, as part of it")

    def next_order(self, context: Context) -> OrderDescription | list[CancelDescription] | None:
        """Return a random order, the cancels of the last one, or None."""
        dice = context.random
        if dice.random() >= self.probability:
            return None
        if context.open_orders:
            return [CancelDescription(order.client_order_id) for order in context.open_orders]
        side = dice.choice((Side.BUY, Side.SELL))
        price = None
        if dice.random() < 0.5:
            price = context.last * (1 - side.sign * dice.random() * self.distance)
        most = context.payable(price) if side is Side.BUY else context.sellable
        size = min(context.equity * self.part * dice.random() / context.last, most)
        return OrderDescription(side, size, price) if context.is_worth_an_order(size, price or context.last) else None
