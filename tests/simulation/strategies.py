"""Strategies that use what the built-in ones leave alone: timers, amendments, cancels; with and without snapshots."""

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.executions import Execution
from tradefleet.domain.orders import OrderType, Side
from workloads.exchange.gateway_requests import REQUESTS_MAX
from workloads.strategy.api import Strategy
from workloads.strategy.declared import state


class Restless(Strategy):
    """Does something on every bar and at times of its own; what it does depends on all that it has seen."""

    name = "restless"

    seen: int = state(0)

    def on_bar(self, bar: Bar) -> None:
        """Quote, amend, cancel, or ask to be woken between two bars."""
        self.seen += 1
        if self.random.random() < 0.4:
            self.set_timer(self.now_us + self.random.randrange(1, 3 * MINUTE_US // 2))
        if not self.can_trade(bar.symbol):
            return
        orders = [each for each in self.open_orders(bar.symbol) if each.terms.type is OrderType.LIMIT]
        if orders and self.random.random() < 0.5:
            self._change(orders[-1].client_order_id, bar.close)
        elif self.random.random() < 0.6:
            size = self.equity * 0.1 / bar.close
            self._bid(size, bar)
        elif self.sellable(bar.symbol) > 0.001:
            self.limit(Side.SELL, self.sellable(bar.symbol) * 0.7, bar.close * 1.004, bar.symbol)

    def _bid(self, size: float, bar: Bar) -> None:
        """Bid near the price, or far from it and think better of it: then both requests may get lost together."""
        if self.random.random() < 0.7:
            self.limit(Side.BUY, size, bar.close * (1 - self.random.random() * 0.01), bar.symbol)
            return
        order_id = self.limit(Side.BUY, size, bar.close * 0.9, bar.symbol)
        if order_id is not None:
            self.cancel(order_id)

    def _change(self, order_id: str, close: float) -> None:
        order = self.order(order_id)
        if self.random.random() < 0.4 or order is None:
            self.cancel(order_id)
            return
        worse = 0.99 if order.terms.side is Side.BUY else 1.01
        size = float(self.instrument(order.symbol).size(order.terms.lots)) * self.random.uniform(0.6, 1.5)
        self.amend(order_id, size=max(size, 0.002), price=close * (worse + self.random.uniform(-0.005, 0.005)))

    def on_timer(self, at_us: int) -> None:
        """Trade a little at the market; the count makes a missing timer visible in every later order."""
        self.seen += 1
        symbol = self.symbols[at_us % len(self.symbols)]
        if not self.can_trade(symbol):
            return
        if self.seen % 3 == 0 and self.sellable(symbol) > 0.002:
            self.market(Side.SELL, self.sellable(symbol) / 2, symbol)
        else:
            bar = self.last_bar(symbol)
            if bar is not None:
                self.market(Side.BUY, min(self.payable(symbol), self.equity * 0.05 / bar.close) + 0.001, symbol)


class Undeclared(Restless):
    """Keeps something that no snapshot can hold, so it is always folded from the beginning."""

    name = "undeclared"

    def on_start(self) -> None:
        """Begin to remember."""
        self.heard: set[str] = set()

    def on_execution(self, execution: Execution) -> None:
        """Remember, and let it show in the next decision."""
        self.heard.add(execution.client_order_id)
        self.seen += len(self.heard) % 2


class Burst(Strategy):
    """Asks for more orders at once than a gateway reads at a time."""

    name = "burst"

    seen: int = state(0)

    def on_bar(self, bar: Bar) -> None:
        """Bid very often, once."""
        self.seen += 1
        if self.seen == 2:
            for _ in range(REQUESTS_MAX + 20):
                self.limit(Side.BUY, 0.001, bar.close * 1.02, bar.symbol)
