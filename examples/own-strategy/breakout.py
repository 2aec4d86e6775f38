"""A strategy of one's own: in when the price breaks out above its highest close, out below its average."""

from workloads.strategy.api import Bar, Strategy, param, state
from workloads.strategy.indicators import SMA, RollingMax


class Breakout(Strategy):
    """Buys a breakout, and leaves when the price is back below its average."""

    length: int = param(20, ge=2, le=500, doc="bars whose highest close must be passed")
    average: int = param(50, ge=2, le=500, doc="bars of the average that must hold")

    last_high: float = state(0.0)

    def on_start(self) -> None:
        self.highest = self.indicator(RollingMax(self.length))
        self.mean = self.indicator(SMA(self.average))

    def on_bar(self, bar: Bar) -> None:
        broke_out = self.last_high > 0 and bar.close > self.last_high
        if self.highest.ready:
            self.last_high = self.highest.value
        if self.position() and bar.close < self.mean.value:
            self.sell()
        elif broke_out and not self.position():
            self.buy()
