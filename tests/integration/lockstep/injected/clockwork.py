"""A user's own strategy: it trades between the bars, at times it asked for, and changes orders that rest."""

from tradefleet.domain.bar import MINUTE_US
from workloads.strategy.api import Bar, Side, Strategy, param, state


class Clockwork(Strategy):
    """Sell one minute, buy another, at half past: what it holds when a timer comes decides which."""

    name = "clockwork"

    every_bars: int = param(10, ge=1, le=1_000, doc="bars from one timer to the next")

    seen: int = state(0)
    resting: str = state("")

    def on_bar(self, bar: Bar) -> None:
        """Wind the clock, and let the order that rests follow the price."""
        self.seen += 1
        if self.seen % self.every_bars == 0:
            self.set_timer(self.now_us + MINUTE_US // 2)
        if self.order(self.resting) is not None:
            self.amend(self.resting, price=bar.close * 0.997)
        elif self.can_trade():
            self.resting = self.limit(Side.BUY, 100 / bar.close, bar.close * 0.997) or ""

    def on_timer(self, at_us: int) -> None:
        """Trade at the market, at a time at which no bar closes."""
        if not self.can_trade():
            return
        if self.sellable() > 0.1:
            self.market(Side.SELL, self.sellable() / 2)
        elif (bar := self.last_bar()) is not None:
            self.market(Side.BUY, self.equity * 0.2 / bar.close)
