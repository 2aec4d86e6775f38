"""A grid of resting limit orders."""

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.api import Bar, Execution, OrderStatus, Origin, Side, Strategy, Symbol, param, state

RETRY_BARS = 60  # after a refused order a level rests this long


class Grid(Strategy):
    """Buy one step lower, sell one step higher, again and again.

    Idea: a market that goes up and down inside a range pays one step for each turn.
    Rules: the first close on which it may trade is the centre. Level k is a buy at centre x (1 - spacing)^k for an
    equal part of the money; what a level has bought waits in a sell at the level above; what that sells is bought
    again at its level. What is held at the start belongs to the first level. When the price leaves the grid upwards
    and nothing is held, the centre moves to the price.
    Source: practitioners' folklore; the payoff is that of a short straddle, see R. L. McDonald, "Derivatives Markets".
    It does not follow a fall: below the last level it holds what it has bought, until a stop-loss sells it; then the
    grid begins anew at the next close.
    """

    name = "grid"

    levels: int = param(5, ge=1, le=50, doc="buys below the centre")
    spacing: float = param(0.005, ge=0.0001, le=0.5, doc="distance from one level to the next, as part of the price")
    part: float = param(0.95, ge=0.01, le=1.0, doc="part of the equity that the whole grid may use")

    centre: dict[str, float] = state({})
    budget: dict[str, float] = state({})  # quote per level
    held: dict[str, list[int]] = state({})  # lots per level
    placed: dict[str, list[str]] = state({})  # open order per level, empty for none
    rest: dict[str, list[int]] = state({})  # bars until a level tries again

    def check_parameters(self) -> None:
        """Refuse a grid that would reach down to nothing."""
        if (1 - self.spacing) ** self.levels < 0.05:
            raise InvalidValue(f"strategy grid: {self.levels} levels of {self.spacing} reach below 5 % of the price")

    def on_bar(self, bar: Bar) -> None:
        """Give each level without an open order its next one."""
        if not self.can_trade():
            return
        symbol = bar.symbol
        if symbol not in self.centre:
            self.cancel_all(symbol)
            self.budget[symbol] = self.equity * self.part / self.levels / len(self.symbols)
            self.held[symbol] = [self.position(symbol).lots] + [0] * (self.levels - 1)
            self.placed[symbol] = [""] * self.levels
            self.rest[symbol] = [0] * self.levels
            self.centre[symbol] = bar.close
        elif bar.close > self.centre[symbol] / (1 - self.spacing) and not any(self.held[symbol]):
            self.centre[symbol] = bar.close
            self.cancel_all(symbol)  # their levels get new orders once the cancels are through
        for level in range(self.levels):
            if self.rest[symbol][level]:
                self.rest[symbol][level] -= 1
            elif not self.placed[symbol][level]:
                self.placed[symbol][level] = self._place(symbol, level) or ""

    def on_execution(self, execution: Execution) -> None:
        """Follow the lots of each level, and free the level when its order is done."""
        symbol = execution.terms.symbol
        if execution.origin is Origin.GATEWAY and execution.fill is not None:
            self.centre.pop(symbol, None)  # the protection has sold what the levels held: begin anew at the next close
            return
        if execution.client_order_id not in self.placed.get(symbol, ()):
            return
        level = self.placed[symbol].index(execution.client_order_id)
        if execution.fill is not None:
            self.held[symbol][level] += execution.terms.side.sign * execution.fill.lots
        if execution.status.is_final:
            self.placed[symbol][level] = ""
            if execution.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
                self.rest[symbol][level] = RETRY_BARS

    def _place(self, symbol: Symbol, level: int) -> str | None:
        instrument = self.instrument(symbol)
        low = self.centre[symbol] * (1 - self.spacing) ** (level + 1)
        high = low / (1 - self.spacing)
        held = float(instrument.size(self.held[symbol][level]))
        if held * high >= max(float(instrument.min_notional), 1e-12):
            size = min(held, self.sellable(symbol))
            return self.limit(Side.SELL, size, high, symbol) if size > 0 else None
        size = min(self.budget[symbol] / low - held, self.payable(symbol, price=low))
        if size * low < float(instrument.min_notional) or size <= 0:
            return None
        return self.limit(Side.BUY, size, low, symbol)
