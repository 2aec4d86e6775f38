"""The engine and a lockstep run of the same machines give the same ledger, however the participants take turns."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backtest.arena import Noise, Restless, machines, walk
from tests.unit.exchange.gateway.scenes import ATOMS, BTC, LTC, bot_config, limits
from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill, canonical_lines
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import BotKey, StreamName, executions_stream, orders_stream
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.progress import (
    FEED,
    GATEWAY,
    REPORTS_STREAM,
    VENUE,
    VENUE_REQUESTS_STREAM,
    Participant,
    Phase,
    Progress,
    bot_participant,
)
from tradefleet.domain.venue import VenueReport, VenueRequest
from workloads.backtest.engine import Engine, steps
from workloads.backtest.lockstep import Due, RunView
from workloads.exchange.gateway.machine import Gateway
from workloads.strategy.bot import Bot

TURNS_MAX = 100_000


class Rig:
    """The machines of a run as participants: each reads the rows, and acts when its turn is due.

    What they send each other lies in numbered lists, as it lies in the store of a fleet; a row says how far they go.
    """

    def __init__(self, bots: list[tuple[BotConfig, Any]], bars: list[Bar], dice: random.Random) -> None:
        self.venue, self.gateway, made = machines(*bots)
        self.bots = {bot_participant(bot.config.key, bot.config.uid): bot for bot in made}
        self.bars = dict(steps(bars))
        self.fills: list[CanonicalFill] = []
        self.equity: list[CanonicalEquity] = []
        self._rows: list[Progress] = []
        self._views = {name: RunView([FEED, VENUE, GATEWAY, *self.bots]) for name in (VENUE, GATEWAY, *self.bots)}
        self._read = dict.fromkeys(self._views, 0)
        self._reports: list[VenueReport] = []
        self._venue_requests: list[VenueRequest] = []
        self._requests: dict[BotKey, list[BotRequest]] = {bot.config.key: [] for bot in made}
        self._executions: dict[BotKey, list[Execution]] = {bot.config.key: [] for bot in made}
        self._opened = False
        self._adopted: set[BotKey] = set()
        self._dice = dice

    def run(self) -> list[str]:
        times = sorted(self.bars)
        fed = 0
        for _ in range(TURNS_MAX):
            if fed < len(times) and self._dice.random() < 0.2:
                last = fed == len(times) - 1
                self._rows.append(
                    Progress(participant=FEED, market_us=times[fed], round=0, phase=Phase.FEED, left=last)
                )
                fed += 1
            name = self._dice.choice(list(self._views))
            view = self._views[name]
            view.offer(self._fresh_rows(name))
            due = view.due()
            if due is not None and name in due.waiting:
                row = self._act(name, due, view.heads)
                self._rows.append(row)
                view.offer([row])  # nobody forgets what it has committed itself
            if all(view.is_finished for view in self._views.values()):
                return canonical_lines(self.fills, self.equity)
        raise AssertionError("the run does not come to its end")

    def _fresh_rows(self, name: Participant) -> list[Progress]:
        """Return rows that a participant has not read, in some order, and some that it has."""
        seen = self._read[name]
        until = self._dice.randrange(seen, len(self._rows) + 1)
        self._read[name] = until
        rows = self._rows[max(0, seen - 5) : until]
        self._dice.shuffle(rows)
        return sorted(rows, key=lambda row: row.phase is not Phase.FEED)

    def _act(self, name: Participant, due: Due, heads: dict[StreamName, int]) -> Progress:
        produced: dict[StreamName, int]
        due_us: int | None = None
        if name == VENUE:
            produced = self._venue_turn(due)
        elif name == GATEWAY:
            produced = self._gateway_turn(due, heads)
        else:
            bot = self.bots[name]
            produced = self._bot_turn(bot, due, heads)
            due_us = bot.next_due_us
        return Progress(
            participant=name,
            market_us=due.market_us,
            round=due.turn.round,
            phase=due.turn.phase,
            produced=produced,
            next_due_us=due_us,
        )

    def _venue_turn(self, due: Due) -> dict[StreamName, int]:
        if due.turn.phase is Phase.VENUE_BARS:
            outputs = self.venue.on_bars(due.market_us, self.bars[due.market_us])
        else:
            account = self.gateway.config.account
            taken = self.venue.request_no(account)
            outputs = self.venue.on_requests(account, due.market_us, self._venue_requests[taken:])
        self._reports += [report for _, report in outputs]
        return {REPORTS_STREAM: len(self._reports)} if outputs else {}

    def _gateway_turn(self, due: Due, heads: dict[StreamName, int]) -> dict[StreamName, int]:
        gateway: Gateway = self.gateway
        if due.turn.phase is Phase.GATEWAY_REPORTS:
            if not self._opened:
                self._opened = True
                for bot in self.bots.values():
                    gateway.on_command(BotCommand(config=bot.config), due.market_us)
            gateway.on_reports(self._reports[gateway.report_no : heads.get(REPORTS_STREAM, 0)])
            if due.turn.round == 0 and due.has_bars:
                gateway.on_bars(due.market_us, self.bars[due.market_us])
        else:
            refuse = Reason.TOO_MANY_ROUNDS if due.turn.is_last_round else Reason.NONE
            requests = []
            for key, account in gateway.accounts.items():
                requests += self._requests[key][account.request_seq : heads.get(orders_stream(account.config.uid), 0)]
            gateway.on_requests(requests, due.market_us, refuse=refuse)
        effects = gateway.take()
        self.fills += [fill.canonical for fill in effects.fills]
        self.equity += [CanonicalEquity(point.market_us, point.bot, point.equity_atoms) for point in effects.statistics]
        self._venue_requests += effects.venue_requests
        produced = {VENUE_REQUESTS_STREAM: len(self._venue_requests)} if effects.venue_requests else {}
        for execution in effects.executions:
            self._executions[execution.bot].append(execution)
            uid = gateway.accounts[execution.bot].config.uid
            produced[executions_stream(uid)] = len(self._executions[execution.bot])
        return produced

    def _bot_turn(self, bot: Bot, due: Due, heads: dict[StreamName, int]) -> dict[StreamName, int]:
        config = bot.config
        is_first = due.turn.round == 0
        if config.key not in self._adopted:
            self._adopted.add(config.key)
            bot.adopt(self.gateway.adoption(config.key))
        for execution in self._executions[config.key][bot.execution_seq : heads.get(executions_stream(config.uid), 0)]:
            bot.on_execution(execution)
        if is_first:
            if bot.next_due_us is not None and bot.next_due_us <= due.market_us:
                bot.on_timer(due.market_us)
            for bar in self.bars[due.market_us] if due.has_bars else []:
                if bar.symbol in config.symbols and bar.interval_us == config.interval_us:
                    bot.on_bar(bar)
        made = bot.take_requests()
        self._requests[config.key] += made
        return {orders_stream(config.uid): bot.request_seq} if made else {}


def cast(seed: int) -> list[tuple[BotConfig, Any]]:
    """Return three bots: two that do everything at random, and one that never comes to rest."""
    protections = limits(stop_loss_ppm=80_000, trailing_stop_ppm=90_000, max_orders_per_minute=12)
    noisy = [
        (
            bot_config(
                BotKey(f"default/noise-{number}"),
                symbols=(BTC, LTC),
                wallet={"USD": 4_000 * ATOMS},
                seed=seed + number,
                limits=protections,
            ),
            Noise(),
        )
        for number in range(2)
    ]
    restless = bot_config(BotKey("default/restless"), limits=limits(max_open_orders=20))
    return [*noisy, (restless, Restless())]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_a_lockstep_run_gives_the_engines_ledger(seed: int) -> None:
    bars = walk(seed, 8)
    venue, gateway, bots = machines(*cast(seed))
    engine = Engine(venue=venue, gateway=gateway, bots=bots)
    engine.run(bars)
    rig = Rig(cast(seed), bars, random.Random(seed))
    assert rig.run() == canonical_lines(engine.fills, engine.canonical_equity())
    assert rig.gateway.own_snapshot() == engine.gateway.own_snapshot()
    for key in engine.gateway.accounts:
        assert rig.gateway.account_snapshot(key) == engine.gateway.account_snapshot(key)
    assert rig.venue.state_hash() == engine.venue.state_hash()
