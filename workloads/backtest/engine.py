"""The replay in one process: the very machines of the fleet, joined by function calls under the Step machine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, BotConfig, RunState
from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill
from tradefleet.domain.executions import Adoption, Execution
from tradefleet.domain.ids import AccountId, BotKey
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.progress import Phase
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import VenueReport, VenueRequest
from workloads.backtest.step import Step, Turn
from workloads.exchange.gateway.effects import GatewayEffects, RiskEvent
from workloads.exchange.gateway.machine import Gateway


class BotMachine(Protocol):
    """What the engine asks of a bot; `workloads.strategy.bot.Bot` is one."""

    config: BotConfig

    def adopt(self, adoption: Adoption) -> None: ...
    def on_execution(self, execution: Execution) -> None: ...
    def on_timer(self, market_us: int) -> None: ...
    def on_bar(self, bar: Bar) -> None: ...
    def on_command(self, state: RunState, market_us: int) -> None: ...
    def take_requests(self) -> list[BotRequest]: ...
    @property
    def next_due_us(self) -> int | None: ...


class VenueMachine(Protocol):
    """What the engine asks of a venue; `workloads.exchange.venue.venue.Venue` is one."""

    def on_bars(self, market_us: int, bars: Sequence[Bar]) -> Sequence[tuple[AccountId, VenueReport]]: ...
    def on_requests(
        self, account: AccountId, market_us: int, requests: Sequence[VenueRequest]
    ) -> Sequence[tuple[AccountId, VenueReport]]: ...


class Engine:
    """Runs steps. `fills`, `statistics` and `events` collect what came out, in the order it did.

    With `record` they stay empty: it gets the effects in their place. A long run is more than lists can hold.
    """

    def __init__(
        self,
        *,
        venue: VenueMachine,
        gateway: Gateway,
        bots: Iterable[BotMachine],
        record: Callable[[GatewayEffects], None] | None = None,
    ) -> None:
        self.venue = venue
        self.gateway = gateway
        self.bots = sorted(bots, key=lambda bot: bot.config.key)
        self.fills: list[CanonicalFill] = []
        self.statistics: list[BotStatistics] = []
        self.events: list[RiskEvent] = []
        self._step = Step()
        self._commands: list[BotCommand] = []
        self._reports: list[VenueReport] = []
        self._venue_requests: list[VenueRequest] = []
        self._requests: list[BotRequest] = []
        self._executions: dict[BotKey, list[Execution]] = {bot.config.key: [] for bot in self.bots}
        self._adopted = False
        self._record = record or self._keep
        for bot in self.bots:
            self._commands.append(BotCommand(config=bot.config))

    def command(self, command: BotCommand) -> None:
        """Let a bot's desired state take effect at the next step."""
        self._commands.append(command)

    def run(self, bars: Iterable[Bar]) -> None:
        """Run all steps of `bars`, which are sorted by close time."""
        for market_us, step_bars in steps(bars):
            self.run_until_timer(market_us)
            self.run_step(market_us, step_bars)

    def run_until_timer(self, market_us: int) -> None:
        """Run the steps that timers due before `market_us` make of their own."""
        if not self._adopted:
            return  # no bot has seen anything yet, so no timer can be set
        while True:
            due = [bot.next_due_us for bot in self.bots if bot.next_due_us is not None]
            timer_us = min(due, default=market_us)
            if timer_us >= market_us:
                return
            self.run_step(timer_us, ())

    def run_step(self, market_us: int, bars: Sequence[Bar]) -> None:
        """Run one step; `bars` are sorted by (symbol, interval), none for a timer's own step."""
        step = self._step
        turn: Turn | None = step.begin(has_bars=bool(bars))
        while turn is not None:
            phase = turn.phase
            if phase is Phase.VENUE_BARS:
                self._take_reports(self.venue.on_bars(market_us, bars))
            elif phase is Phase.GATEWAY_REPORTS:
                self._gateway_reports(market_us, bars, first=turn.round == 0)
            elif phase is Phase.BOTS:
                self._bots(market_us, bars, first=turn.round == 0)
            elif phase is Phase.GATEWAY_REQUESTS:
                refuse = Reason.TOO_MANY_ROUNDS if turn.is_last_round else Reason.NONE
                requests, self._requests = self._requests, []
                self.gateway.on_requests(requests, market_us, refuse=refuse)
                self._take_effects()
            else:
                requests_out, self._venue_requests = self._venue_requests, []
                account = self.gateway.config.account
                self._take_reports(self.venue.on_requests(account, market_us, requests_out))
            turn = step.advance()

    def _take_reports(self, reports: Sequence[tuple[AccountId, VenueReport]]) -> None:
        if reports:
            self._reports.extend([report for _, report in reports])
            self._step.reports = True

    def _gateway_reports(self, market_us: int, bars: Sequence[Bar], *, first: bool) -> None:
        gateway = self.gateway
        if first and self._commands:
            commands, self._commands = self._commands, []
            for command in commands:
                gateway.on_command(command, market_us)
        if self._reports:
            reports, self._reports = self._reports, []
            gateway.on_reports(reports)
        if first and bars:
            gateway.on_bars(market_us, bars)
        self._take_effects()

    def _take_effects(self) -> None:
        effects = self.gateway.take()
        self._record(effects)
        if effects.executions:
            self._step.executions = True
            for execution in effects.executions:
                self._executions[execution.bot].append(execution)
        if effects.venue_requests:
            self._step.venue_requests = True
            self._venue_requests.extend(effects.venue_requests)

    def _keep(self, effects: GatewayEffects) -> None:
        self.statistics.extend(effects.statistics)
        self.events.extend(effects.events)
        self.fills.extend([fill.canonical for fill in effects.fills])

    def _bots(self, market_us: int, bars: Sequence[Bar], *, first: bool) -> None:
        if not self._adopted:
            self._adopt(market_us)
        for bot in self.bots:
            pending = self._executions[bot.config.key]
            if pending:
                self._executions[bot.config.key] = []
                for execution in pending:
                    bot.on_execution(execution)
            if first:
                if bot.next_due_us is not None and bot.next_due_us <= market_us:
                    bot.on_timer(market_us)
                config = bot.config
                for bar in bars:
                    if bar.interval_us == config.interval_us and bar.symbol in config.symbols:
                        bot.on_bar(bar)
            requests = bot.take_requests()
            if requests:
                self._step.requests = True
                self._requests.extend(requests)

    def _adopt(self, market_us: int) -> None:
        self._adopted = True
        for bot in self.bots:
            bot.adopt(
                Adoption(
                    bot=bot.config.key, market_us=market_us, execution_seq=0, free=dict(bot.config.wallet), locked={}
                )
            )

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


def merge_bars(sources: Iterable[Iterable[Bar]]) -> Iterator[Bar]:
    """Merge sources, each sorted by close time, into one sorted by (close time, symbol, interval)."""
    return merge(*sources, key=lambda bar: (bar.open_us + bar.interval_us, bar.symbol, bar.interval_us))


_close_us = attrgetter("close_us")


def _place(bar: Bar) -> tuple[str, int]:
    return (bar.symbol, bar.interval_us)
