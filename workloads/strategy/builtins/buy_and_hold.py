"""Buy and hold: the yardstick."""

from workloads.strategy.api import Bar, Strategy, state


class BuyAndHold(Strategy):
    """Buy every instrument once and keep it.

    Idea: the market's own return, which every other strategy has to beat after costs.
    Rules: on the first bar on which it may trade, each instrument gets its full size; what the reserve of the first
    order left over is bought on the next bars, until less than the rebalance threshold is left.
    Source: the null hypothesis; W. F. Sharpe, "The Arithmetic of Active Management" (1991).
    It does not rebalance between instruments, sell, or buy again what a stop-loss has sold.
    """

    name = "buy-and-hold"

    bought: dict[str, bool] = state({})

    def on_bar(self, bar: Bar) -> None:
        """Buy once."""
        if bar.symbol not in self.bought and self.buy():
            self.bought[bar.symbol] = True
