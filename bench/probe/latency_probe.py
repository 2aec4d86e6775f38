"""The strategy of `bench.latency`: one market order on every bar, in and out by turns."""

from tradefleet.domain.orders import Side
from workloads.strategy.api import Bar, Strategy


class Probe(Strategy):
    """Orders at once, so that what is measured is the way and not the thinking."""

    def on_bar(self, bar: Bar) -> None:
        """Buy a little, or sell it again."""
        self.market(Side.SELL if self.position(bar.symbol).lots else Side.BUY, 0.01)
