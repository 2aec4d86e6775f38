"""An arena for the backtest's tests: bots with small strategies on the real gateway and the real venue."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.unit.exchange.gateway.auditor import Auditor
from tests.unit.exchange.gateway.scenes import BTC, LTC, bot_config, gateway_config, tick_bar
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import OrderStatus, Side, TimeInForce
from workloads.backtest.engine import Engine
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.venue import Venue
from workloads.strategy.api import Strategy
from workloads.strategy.bot import Bot

START_US = 20_000 * 24 * 60 * MINUTE_US
TAKER_PPM = 1_000


class Noise(Strategy):
    """Does everything a strategy can do, at random: what it does shows every difference between two runs."""

    def on_bar(self, bar: Bar) -> None:
        dice = self.random
        for _ in range(dice.randrange(3)):
            self._act(bar.symbol, bar.close)
        if dice.random() < 0.3:
            self.set_timer(self.now_us + dice.randrange(1, 3 * MINUTE_US))

    def on_timer(self, at_us: int) -> None:
        for symbol in self.symbols:
            last = self.last_bar(symbol)
            if last is not None:
                self._act(symbol, last.close)

    def on_execution(self, execution: Execution) -> None:
        last = self.last_bar(execution.terms.symbol)
        if last is not None and self.random.random() < 0.4:
            self._act(execution.terms.symbol, last.close)

    def _act(self, symbol: Symbol, price: float) -> None:
        dice = self.random
        side = dice.choice((Side.BUY, Side.SELL))
        size = dice.choice((0.01, 0.05, 0.2))
        near = price * (1 + dice.randrange(-6, 7) / 100)
        match dice.choice(("market", "limit", "limit", "stop", "stop_limit", "cancel", "amend")):
            case "market":
                self.market(side, size, symbol)
            case "limit":
                self.limit(side, size, near, symbol, time_in_force=dice.choice(tuple(TimeInForce)))
            case "stop":
                self.stop(side, size, near, symbol)
            case "stop_limit":
                self.stop_limit(side, size, near, near, symbol)
            case "cancel":
                for order in self.open_orders(symbol)[:1]:
                    self.cancel(order.client_order_id)
            case _:
                for order in self.open_orders(symbol)[-1:]:
                    if order.terms.price_ticks is not None and order.terms.trigger_ticks is None:
                        self.amend(order.client_order_id, price=near)


class Restless(Strategy):
    """Answers whatever becomes of an order with another order: no step of it would ever come to rest."""

    def on_bar(self, bar: Bar) -> None:
        self.limit(Side.BUY, 0.01, bar.close * 0.5)

    def on_execution(self, execution: Execution) -> None:
        if execution.status in (OrderStatus.ACCEPTED, OrderStatus.DENIED) and execution.fill is None:
            self.limit(Side.BUY, 0.01, execution.terms.price_ticks * 0.01)


class Scripted(Strategy):
    """Follows a script: per bar number, what to call. `heard` keeps what it was told, in its order."""

    def __init__(self, script: Mapping[int, Any]) -> None:
        super().__init__()
        self.script = script
        self.heard: list[tuple[Any, ...]] = []
        self.bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        self.heard.append(("bar", self.now_us, bar.symbol))
        act = self.script.get(self.bars)
        if act is not None:
            act(self)

    def on_timer(self, at_us: int) -> None:
        self.heard.append(("timer", self.now_us, at_us))
        act = self.script.get(-at_us)
        if act is not None:
            act(self)

    def on_execution(self, execution: Execution) -> None:
        self.heard.append((execution.status, self.now_us, execution.filled_lots))


def machines(
    *bots: tuple[BotConfig, Strategy], maker_ppm: int = 0, taker_ppm: int = TAKER_PPM, **venue: Any
) -> tuple[Venue, Gateway, list[Bot]]:
    """Return the machines of a run."""
    config = gateway_config(maker_ppm=maker_ppm, taker_ppm=taker_ppm)
    venue_config = VenueConfig(
        instruments=tuple(config.instruments.values()),
        maker_ppm=maker_ppm,
        taker_ppm=taker_ppm,
        intervals_us={BTC: (MINUTE_US,), LTC: (MINUTE_US,)},
        **venue,
    )
    made = [Bot(bot, config.instruments, strategy, taker_ppm=taker_ppm) for bot, strategy in bots]
    return Venue(venue_config), Gateway(config), made


def engine(*bots: tuple[BotConfig, Strategy], **terms: Any) -> Engine:
    """Return an engine over them."""
    venue, gateway, made = machines(*bots, **terms)
    return Engine(venue=venue, gateway=gateway, bots=made)


def audited(*bots: tuple[BotConfig, Strategy], **terms: Any) -> Engine:
    """Return an engine whose every turn is checked for every invariant of design §5."""
    venue, gateway, made = machines(*bots, **terms)
    auditor = Auditor()
    collected: list[Engine] = []

    def record(effects: GatewayEffects) -> None:
        assert effects.dead_letters == []
        auditor.check(gateway, effects)
        collected[0].statistics.extend(effects.statistics)
        collected[0].fills.extend([fill.canonical for fill in effects.fills])

    made_engine = Engine(venue=venue, gateway=gateway, bots=made, record=record)
    collected.append(made_engine)
    return made_engine


def script(*prices: tuple[int, int, int, int] | int, symbol: Symbol = BTC, first_minute: int = 0) -> list[Bar]:
    """Return bars of consecutive minutes from ticks; one number is a bar that stands still."""
    bars = []
    for number, price in enumerate(prices):
        opened, high, low, close = (price,) * 4 if isinstance(price, int) else price
        open_us = START_US + (first_minute + number) * MINUTE_US
        bars.append(tick_bar(opened, high, low, close, open_us=open_us, symbol=symbol))
    return bars


def walk(seed: int, minutes: int, symbols: Sequence[Symbol] = (BTC, LTC)) -> list[Bar]:
    """Return a random walk of each symbol, with gaps, sorted by close time."""
    dice = random.Random(seed)
    bars = []
    for symbol in symbols:
        price = 100
        for minute in range(minutes):
            opened = max(20, price + dice.randrange(-2, 3))
            close = max(20, opened + dice.randrange(-4, 5))
            high, low = max(opened, close) + dice.randrange(3), min(opened, close) - dice.randrange(3)
            price = close
            if dice.random() < 0.9:
                bars.append(tick_bar(opened, high, low, close, open_us=START_US + minute * MINUTE_US, symbol=symbol))
    return sorted(bars, key=lambda bar: (bar.open_us, bar.symbol))


def minute_us(number: int) -> int:
    """Return the close of bar `number`, counted from 1."""
    return START_US + number * MINUTE_US


__all__ = ["BTC", "LTC", "Noise", "Restless", "Scripted", "audited", "bot_config", "engine", "machines", "minute_us"]
