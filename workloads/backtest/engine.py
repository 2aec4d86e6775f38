"""The replay in one process: the very machines of the fleet, joined by function calls under the Step machine."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import BotKey
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.progress import Phase
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import VenueReport, VenueRequest
from workloads.backtest.step import Step, Turn
from workloads.exchange.gateway.effects import GatewayEffects, RiskEvent
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.venue.clearing import Output
from workloads.exchange.venue.venue import Venue
from workloads.strategy.bot import Bot


class Engine:
    """Runs steps. `fills`, `statistics` and `events` collect what came out, in the order it did.

    With `record` they stay empty: it gets the effects in their place. A long run is more than lists can hold.
    """

    def __init__(
        self,
        *,
        venue: Venue,
        gateway: Gateway,
        bots: Iterable[Bot],
        record: Callable[[GatewayEffects], None] | None = None,
    ) -> None:
        self.venue = venue
        self.gateway = gateway
        self.bots = sorted(bots, key=lambda bot: bot.config.key)
        self.fills: list[CanonicalFill] = []
        self.statistics: list[BotStatistics] = []
        self.events: list[RiskEvent] = []
        self.market_us = 0  # of the last step
        self._record = record or self._keep
        self._step = Step()
        self._commands = [BotCommand(config=bot.config) for bot in self.bots]
        self._reports: list[VenueReport] = []
        self._venue_requests: list[VenueRequest] = []
        self._requests: list[BotRequest] = []
        self._executions: dict[BotKey, list[Execution]] = {bot.config.key: [] for bot in self.bots}
        self._is_adopted = False

    def command(self, command: BotCommand) -> None:
        """Let a bot's desired state take effect at the next step, in the gateway and in the bot."""
        self._commands.append(command)

    def run(self, bars: Iterable[Bar]) -> None:
        """Run all steps of `bars`, which are sorted by close time, and of the timers between them."""
        for market_us, step_bars in steps(bars):
            self.run_until_timer(market_us)
            self.run_step(market_us, step_bars)

    def run_until_timer(self, market_us: int) -> None:
        """Run the steps that timers due before `market_us` make of their own."""
        while True:
            due = [bot.next_due_us for bot in self.bots if bot.next_due_us is not None]
            timer_us = min((due_us for due_us in due if due_us > self.market_us), default=market_us)
            if timer_us >= market_us:
                return
            self.run_step(timer_us, [])

    def run_step(self, market_us: int, bars: list[Bar]) -> None:
        """Run one step; `bars` are sorted by (symbol, interval), none for a timer's own step.

        Raises InvalidValue when market time does not go on.
        """
        if market_us <= self.market_us:
            raise InvalidValue(f"replay: market time must go on, after {self.market_us} us came {market_us} us")
        self.market_us = market_us
        step = self._step
        turn: Turn | None = step.begin(has_bars=bool(bars))
        while turn is not None:
            phase, number = turn
            if phase is Phase.VENUE_BARS:
                self._take_reports(self.venue.on_bars(market_us, bars))
            elif phase is Phase.GATEWAY_REPORTS:
                self._gateway_reports(bars, is_first=number == 0)
            elif phase is Phase.BOTS:
                self._bots(bars, is_first=number == 0)
            elif phase is Phase.GATEWAY_REQUESTS:
                refuse = Reason.TOO_MANY_ROUNDS if turn.is_last_round else Reason.NONE
                requests, self._requests = self._requests, []
                self.gateway.on_requests(requests, market_us, refuse=refuse)
                self._take_effects()
            else:
                venue_requests, self._venue_requests = self._venue_requests, []
                account = self.gateway.config.account
                self._take_reports(self.venue.on_requests(account, market_us, venue_requests))
            turn = step.advance()
        if self._commands:
            self._commands = []

    def _take_reports(self, reports: list[Output]) -> None:
        if reports:
            self._reports.extend([report for _, report in reports])
            self._step.reports = True

    def _gateway_reports(self, bars: list[Bar], *, is_first: bool) -> None:
        gateway = self.gateway
        if is_first:
            for command in self._commands:
                gateway.on_command(command, self.market_us)
        if self._reports:
            reports, self._reports = self._reports, []
            gateway.on_reports(reports)
        if is_first and bars:
            gateway.on_bars(self.market_us, bars)
        self._take_effects()

    def _take_effects(self) -> None:
        effects = self.gateway.take()
        if effects.executions:
            self._step.executions = True
            for execution in effects.executions:
                self._executions[execution.bot].append(execution)
        if effects.venue_requests:
            self._step.venue_requests = True
            self._venue_requests.extend(effects.venue_requests)
        self._record(effects)

    def _keep(self, effects: GatewayEffects) -> None:
        if effects.statistics:
            self.statistics.extend(effects.statistics)
        if effects.fills:
            self.fills.extend([fill.canonical for fill in effects.fills])
        if effects.events:
            self.events.extend(effects.events)

    def _bots(self, bars: list[Bar], *, is_first: bool) -> None:
        market_us = self.market_us
        if is_first:
            self._command_bots()
        for bot in self.bots:
            config = bot.config
            pending = self._executions[config.key]
            if pending:
                self._executions[config.key] = []
                for execution in pending:
                    bot.on_execution(execution)
            if is_first:
                due_us = bot.next_due_us
                if due_us is not None and due_us <= market_us:
                    bot.on_timer(market_us)
                for bar in bars:
                    if bar.interval_us == config.interval_us and bar.symbol in config.symbols:
                        bot.on_bar(bar)
            requests = bot.take_requests()
            if requests:
                self._step.requests = True
                self._requests.extend(requests)

    def _command_bots(self) -> None:
        """Give the bots what their owner wants; in the first step, their books."""
        if not self._is_adopted:
            self._is_adopted = True
            for bot in self.bots:
                bot.adopt(self.gateway.adoption(bot.config.key))
        for command in self._commands:
            for bot in self.bots:
                if bot.config.key == command.config.key and bot.run_state is not command.state:
                    bot.on_command(command.state, self.market_us)

    def canonical_equity(self) -> list[CanonicalEquity]:
        """Return each bot's equity per step, for the canonical ledger."""
        return [CanonicalEquity(point.market_us, point.bot, point.equity_atoms) for point in self.statistics]


def steps(bars: Iterable[Bar]) -> Iterator[tuple[int, list[Bar]]]:
    """Yield (market_us, bars) per distinct close time; `bars` must come sorted by close time."""
    for market_us, group in groupby(bars, key=_close_us):
        step_bars = list(group)
        if len(step_bars) > 1:
            step_bars.sort(key=_place)
        yield market_us, step_bars


_close_us = attrgetter("close_us")


def _place(bar: Bar) -> tuple[str, int]:
    return (bar.symbol, bar.interval_us)
