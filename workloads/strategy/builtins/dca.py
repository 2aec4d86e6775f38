"""Dollar-cost averaging: the same amount at fixed intervals."""

from workloads.strategy.api import Bar, Strategy, param, state


class DollarCostAveraging(Strategy):
    """Buy for the same amount of quote again and again, whatever the price.

    Idea: spreading purchases over time averages the price and needs no view of the market.
    Rules: the equity of the first bar on which it may trade is divided by the number of purchases, in equal parts
    over the instruments; every so many bars one part is spent at the market. A part too small for an order is added
    to the next one. When the money is spent it waits.
    Source: B. Graham, "The Intelligent Investor" (1949).
    It never sells, and does not look at prices.
    """

    name = "dca"

    every_bars: int = param(60, ge=1, le=1_000_000, doc="bars from one purchase to the next")
    purchases: int = param(24, ge=1, le=100_000, doc="the parts into which the money is divided")

    part: float = state(0.0)
    waiting: dict[str, int] = state({})
    owed: dict[str, float] = state({})

    def on_bar(self, bar: Bar) -> None:
        """Buy when the time has come."""
        if not self.can_trade():
            return
        if self.part == 0.0:
            self.part = self.equity / self.purchases / len(self.symbols)
        left = self.waiting.get(bar.symbol, 0)
        if left:
            self.waiting[bar.symbol] = left - 1
            return
        self.waiting[bar.symbol] = self.every_bars - 1
        self.owed[bar.symbol] = min(self.owed.get(bar.symbol, 0.0) + self.part, self.free())
        if self.owed[bar.symbol] > 0 and self.buy(quote=self.owed[bar.symbol]):
            self.owed[bar.symbol] = 0.0
