"""Crossing of two simple moving averages."""

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.api import Bar, Strategy, param, state
from workloads.strategy.indicators import SMA


class SmaCross(Strategy):
    """Be in while the fast average is above the slow one.

    Idea: prices trend; the crossing of two averages says when a trend has turned.
    Rules: when both averages are known, and then each time their order changes: fast above slow buys the full size,
    fast at or below slow sells everything. Between crossings it does nothing.
    Source: W. Brock, J. Lakonishok, B. LeBaron, "Simple Technical Trading Rules and the Stochastic Properties of
    Stock Returns", Journal of Finance 47 (1992).
    It does not sell short, and does not enter again after a stop-loss until the next crossing.
    """

    name = "sma-cross"

    fast: int = param(10, ge=2, le=5000, doc="bars of the fast average")
    slow: int = param(50, ge=3, le=10000, doc="bars of the slow average")

    was_above: dict[str, bool] = state({})

    def check_parameters(self) -> None:
        """Refuse a fast average that is not faster."""
        if self.fast >= self.slow:
            raise InvalidValue(f"strategy sma-cross: fast must be below slow, were {self.fast} and {self.slow}")

    @property
    def warmup(self) -> int:
        """The bars of the slow average."""
        return self.slow

    def on_start(self) -> None:
        """Set up both averages of each instrument."""
        self.fast_average = {symbol: self.indicator(SMA(self.fast), symbol) for symbol in self.symbols}
        self.slow_average = {symbol: self.indicator(SMA(self.slow), symbol) for symbol in self.symbols}

    def on_bar(self, bar: Bar) -> None:
        """Act when the order of the averages has changed."""
        slow = self.slow_average[bar.symbol]
        if not slow.ready:
            return
        is_above = self.fast_average[bar.symbol].value > slow.value
        if is_above is not self.was_above.get(bar.symbol) and (self.buy() if is_above else self.sell()):
            self.was_above[bar.symbol] = is_above
