"""The runner: a plan goes in, results come out. Nothing is read but the plan's data, nothing is written."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.ids import Symbol
from workloads.backtest.engine import Engine
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.record import Recorder
from workloads.backtest.results import BacktestResult, BotResult, DataFacts
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.venue.venue import Venue
from workloads.feeds.content_hash import SeriesContent, SeriesHash
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.findings import Findings, Severity
from workloads.strategy.bot import Bot

PROGRESS_STEPS = 2_000  # steps between two reports of progress


class Watcher(Protocol):
    """Sees a run while it is under way."""

    def on_bars(self, bars: list[Bar]) -> None:
        """See the bars of a step."""

    def on_progress(self, done: float | None, market_us: int, steps: int) -> None:
        """Learn how far the run is: `done` is 0 to 1, None when the data does not say."""


class NoWatcher:
    """Looks away."""

    def on_bars(self, bars: list[Bar]) -> None:
        """See nothing."""

    def on_progress(self, done: float | None, market_us: int, steps: int) -> None:
        """Learn nothing."""


@dataclass(slots=True)
class _Tally:
    """What the bars of all markets were."""

    findings: Findings = field(default_factory=Findings)
    hashes: dict[tuple[str, Symbol, int], SeriesHash] = field(default_factory=dict)
    counts: dict[tuple[str, Symbol, int], int] = field(default_factory=dict)
    steps: int = 0
    from_us: int | None = None
    to_us: int | None = None


def run_backtest(plan: BacktestPlan, *, watcher: Watcher | None = None) -> BacktestResult:
    """Return what the bots of `plan` did. The same plan gives the same ledger, on every machine.

    Raises StrategyError when a strategy raised, BrokenData or UnusableSource for data that cannot be played,
    InvalidValue or StrategyNotFound for a bot that cannot run.
    """
    began = time.perf_counter()
    tally = _Tally()
    bots: list[BotResult] = []
    fills: list[CanonicalFill] = []
    for market in plan.markets:
        own_bots, own_fills = _run_market(plan, market, tally, watcher or NoWatcher())
        bots += own_bots
        fills += own_fills
    return BacktestResult(
        title=plan.title,
        bots=tuple(sorted(bots, key=lambda bot: bot.key)),
        fills=fills,
        data=_facts(plan, tally),
        notes=plan.notes,
        elapsed_s=time.perf_counter() - began,
    )


def _run_market(
    plan: BacktestPlan, market: MarketPlan, tally: _Tally, watcher: Watcher
) -> tuple[list[BotResult], list[CanonicalFill]]:
    settings = market.settings
    config = settings.to_gateway_config()
    instruments = config.instruments
    closes: dict[Symbol, float] = {}
    recorder = Recorder(market.bots, instruments, closes)
    strategies = {bot.key: plan.build(bot) for bot in market.bots}
    gateway = Gateway(config)
    engine = Engine(
        venue=Venue(settings.to_venue_config()),
        gateway=gateway,
        # The higher fee, since that is what the gateway's reservation covers.
        bots=[Bot(bot, instruments, strategies[bot.key], taker_ppm=config.fee_ppm_max) for bot in market.bots],
        record=recorder,
    )
    for market_us, bars in _told(market, tally, watcher):
        engine.run_until_timer(market_us)
        for bar in bars:
            closes[bar.symbol] = bar.close
        engine.run_step(market_us, bars)
    results = [
        BotResult(
            record=recorder.records[bot.key],
            exchange=settings.exchange,
            instruments=instruments,
            books=gateway.adoption(bot.key),
            strategy=strategies[bot.key].title(),
            orders=gateway.accounts[bot.key].order_count,
            fees_atoms=gateway.accounts[bot.key].fees_atoms,
        )
        for bot in market.bots
    ]
    return results, recorder.fills


def _told(market: MarketPlan, tally: _Tally, watcher: Watcher) -> Iterator[tuple[int, list[Bar]]]:
    """Yield the market's steps, and tell `tally` and `watcher` of them. Raises UnusableSource when there is none."""
    exchange = market.settings.exchange
    steps = 0
    market_us = 0
    gaps_before = tally.findings.number_of(Severity.GAP)
    for market_us, bars in market.steps(tally.findings):
        if market.refuses_gaps and tally.findings.number_of(Severity.GAP) > gaps_before:
            raise BrokenData(
                f"{tally.findings.gaps[-1]}; gapPolicy of the Dataset is Fail: mend the data, or say Report"
            )
        for bar in bars:
            place = (exchange, bar.symbol, bar.interval_us)
            if place not in tally.hashes:
                tally.hashes[place], tally.counts[place] = SeriesHash(), 0
                tally.from_us = bar.open_us if tally.from_us is None else min(tally.from_us, bar.open_us)
            tally.hashes[place].add(bar)
            tally.counts[place] += 1
        watcher.on_bars(bars)
        steps += 1
        if steps % PROGRESS_STEPS == 0:
            watcher.on_progress(market.progress, market_us, steps)
        yield market_us, bars
    if not steps:
        labels = ", ".join(str(source.description) for replay in market.replays for source in replay.sources)
        raise UnusableSource(f"backtest: there is no bar in the range that was asked for; the data is {labels}")
    watcher.on_progress(1.0, market_us, steps)
    tally.steps += steps
    tally.to_us = market_us if tally.to_us is None else max(tally.to_us, market_us)


def _facts(plan: BacktestPlan, tally: _Tally) -> DataFacts:
    sources = [source.description for market in plan.markets for replay in market.replays for source in replay.sources]
    return DataFacts(
        series=tuple(
            SeriesContent(symbol, interval_us, tally.counts[exchange, symbol, interval_us], digest.hexdigest())
            for (exchange, symbol, interval_us), digest in sorted(tally.hashes.items())
        ),
        labels=tuple(dict.fromkeys(str(source) for source in sources)),
        is_synthetic=plan.is_synthetic,
        steps=tally.steps,
        from_us=tally.from_us,
        to_us=tally.to_us,
        findings=tally.findings,
    )
