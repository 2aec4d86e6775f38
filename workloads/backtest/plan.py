"""What a backtest runs: per exchange its terms, its bots and its bars."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig
from workloads.exchange.settings import ExchangeSettings
from workloads.feeds.findings import Findings
from workloads.feeds.replay import Replay
from workloads.strategy.api import Strategy
from workloads.strategy.registry import build_strategy


def built_in_or_imported(config: BotConfig) -> Strategy:
    """Return a new strategy of a bot, found by its name. Raises StrategyNotFound, InvalidValue."""
    return build_strategy(config.strategy, config.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPlan:
    """One exchange: an engine's run of its own. Replays are merged by time.

    `refuses_gaps`: a Dataset's gapPolicy is Fail, so with a bar missing there is no result.
    """

    settings: ExchangeSettings
    bots: tuple[BotConfig, ...]
    replays: tuple[Replay, ...]
    refuses_gaps: bool = False

    @property
    def is_synthetic(self) -> bool:
        """True when any of the bars are made up."""
        return any(replay.is_synthetic for replay in self.replays)

    @property
    def progress(self) -> float | None:
        """How much of the data has been read, 0 to 1; None when a source cannot say."""
        parts = [source.progress for replay in self.replays for source in replay.sources]
        known = [part for part in parts if part is not None]
        return sum(known) / len(known) if len(known) == len(parts) and parts else None

    def steps(self, findings: Findings) -> Iterator[tuple[int, list[Bar]]]:
        """Yield (market_us, bars that close then, sorted by symbol and interval). Raises BrokenData, UnusableSource."""
        if len(self.replays) == 1:
            yield from self.replays[0].steps(findings)
            return
        streams = merge(*(replay.steps(findings) for replay in self.replays), key=itemgetter(0))
        for market_us, group in groupby(streams, key=itemgetter(0)):
            bars = {(bar.symbol, bar.interval_us): bar for _, part in group for bar in part}
            yield market_us, [bars[place] for place in sorted(bars)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPlan:
    """Everything a run needs. `title` names it in the report; `notes` say what differs from the fleet."""

    title: str
    markets: tuple[MarketPlan, ...]
    notes: tuple[str, ...] = ()
    build: Callable[[BotConfig], Strategy] = built_in_or_imported

    @property
    def bots(self) -> Sequence[BotConfig]:
        """All bots, in the order of their keys."""
        return sorted((bot for market in self.markets for bot in market.bots), key=lambda bot: bot.key)

    @property
    def is_synthetic(self) -> bool:
        """True when any of the bars are made up."""
        return any(market.is_synthetic for market in self.markets)
