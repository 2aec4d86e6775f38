"""Mean reversion by the relative strength index."""

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.api import Bar, Strategy, param
from workloads.strategy.indicators import RSI


class RsiReversion(Strategy):
    """Buy when the market has fallen too fast, sell when it has recovered.

    Idea: short excesses are taken back.
    Rules: RSI below `oversold` buys the full size, RSI above `exit` sells everything.
    Source: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); the early exit follows L. Connors and
    C. Alvarez, "Short Term Trading Strategies That Work" (2009).
    It does not sell short, add to a losing position, or limit the loss of a fall that goes on: give it a stop-loss.
    """

    name = "rsi-reversion"

    period: int = param(14, ge=2, le=1000, doc="bars of the RSI")
    oversold: float = param(30.0, ge=1, le=99, doc="buy below this")
    exit: float = param(55.0, ge=1, le=99, doc="sell above this")

    def check_parameters(self) -> None:
        """Refuse an exit that is not above the entry."""
        if self.oversold >= self.exit:
            raise InvalidValue(
                f"strategy rsi-reversion: oversold must be below exit, were {self.oversold} and {self.exit}"
            )

    @property
    def warmup(self) -> int:
        """The bars of the RSI."""
        return self.period + 1

    def on_start(self) -> None:
        """Set up the RSI of each instrument."""
        self.rsi = {symbol: self.indicator(RSI(self.period), symbol) for symbol in self.symbols}

    def on_bar(self, bar: Bar) -> None:
        """Compare the RSI with both limits; it is NaN, so neither, until it is known."""
        rsi = self.rsi[bar.symbol].value
        if rsi < self.oversold:
            self.buy()
        elif rsi > self.exit:
            self.sell()
