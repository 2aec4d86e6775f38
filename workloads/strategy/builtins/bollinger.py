"""Mean reversion between Bollinger bands."""

from workloads.strategy.api import Bar, Strategy, param
from workloads.strategy.indicators import Bollinger


class BollingerReversion(Strategy):
    """Buy below the lower band, sell at the middle or the upper one.

    Idea: a price far from its mean, measured in its own deviation, comes back to it.
    Rules: a close below the lower band buys the full size; a close above the exit band sells everything.
    Source: J. Bollinger, "Bollinger on Bollinger Bands" (2001).
    It does not sell short, add to a losing position, or tell a range from a trend: give it a stop-loss.
    """

    name = "bollinger"

    period: int = param(20, ge=2, le=1000, doc="bars of mean and deviation")
    width: float = param(2.0, ge=0.1, le=10, doc="distance of the bands from the mean, in deviations")
    exit: str = param("middle", choices=("middle", "upper"), doc="the band above which it sells")

    @property
    def warmup(self) -> int:
        """The bars of the bands."""
        return self.period

    def on_start(self) -> None:
        """Set up the bands of each instrument."""
        self.bands = {symbol: self.indicator(Bollinger(self.period, self.width), symbol) for symbol in self.symbols}

    def on_bar(self, bar: Bar) -> None:
        """Compare the close with the bands; they are NaN, so never crossed, until they are known."""
        bands = self.bands[bar.symbol]
        if bar.close < bands.lower:
            self.buy()
        elif bar.close > (bands.value if self.exit == "middle" else bands.upper):
            self.sell()
