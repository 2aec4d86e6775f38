"""Results of a backtest: figures per bot, ranked against holding, and the canonical ledger with its hash."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from heapq import merge

from tradefleet.domain.bots import BotConfig
from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill, canonical_hash, canonical_lines
from tradefleet.domain.executions import Adoption
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import from_atoms
from workloads.backtest.figures import drawdowns, sharpe_ratio
from workloads.backtest.record import NO_HOLD, BotRecord, closed_trades
from workloads.feeds.content_hash import SeriesContent, dataset_hash
from workloads.feeds.findings import Findings, Rule

SHARPE_BASIS = "bar returns since warm-up, annualised by the root of the bars in 365 days, riskless rate 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What was played: `series` with their content hashes, and what the checks found in them."""

    series: tuple[SeriesContent, ...]
    labels: tuple[str, ...]
    is_synthetic: bool
    steps: int
    from_us: int | None  # open of the first bar
    to_us: int | None  # close of the last one
    findings: Findings

    @property
    def bars(self) -> int:
        """How many bars were played."""
        return sum(each.bars for each in self.series)

    @property
    def gap_counts(self) -> tuple[int, int]:
        """Gaps in the data, and bars that are missing in them; a source that was read twice counts once.

        Where more gaps were found than are kept one by one, they count as often as they were read.
        """
        kept = self.findings.gaps
        if len(kept) < self.findings.counts[Rule.GAP]:
            return self.findings.counts[Rule.GAP], self.findings.missing_bars
        each = {(gap.source, gap.symbol, gap.interval_us, gap.from_us): gap.count for gap in kept}
        return len(each), sum(each.values())

    @property
    def content_hash(self) -> str:
        """The content hash of the bars that were played: that of the Dataset, when all of it was."""
        return dataset_hash(self.series)


@dataclass(frozen=True, kw_only=True)
class BotResult:
    """How one bot did. Amounts are in its quote asset, fractions of 1; `hold` is what holding would be worth."""

    record: BotRecord
    exchange: str
    instruments: Mapping[Symbol, Instrument]
    books: Adoption  # wallet, positions and open orders at the end
    strategy: str
    orders: int  # asked for by the bot, those on the last bar included
    fees_atoms: int

    @property
    def config(self) -> BotConfig:
        """What was run."""
        return self.record.config

    @property
    def key(self) -> BotKey:
        """The bot's namespace/name."""
        return self.record.config.key

    @property
    def quote(self) -> str:
        """The asset in which amounts are given."""
        return self.instruments[self.config.symbols[0]].quote

    def amount(self, atoms: int) -> Decimal:
        """Return quote atoms as an amount."""
        return from_atoms(atoms, self.instruments[self.config.symbols[0]].quote_scale)

    @property
    def start_atoms(self) -> int:
        """Equity before the first trade."""
        return self.record.equity[0] if self.record.equity else self.config.wallet.get(self.quote, 0)

    @property
    def equity_atoms(self) -> int:
        """Equity at the end."""
        return self.record.equity[-1] if self.record.equity else self.start_atoms

    @property
    def hold_atoms(self) -> int | None:
        """What holding the start wallet would be worth at the end; None when the data ended before warm-up did."""
        return self.record.hold[-1] if self.record.hold and self.record.hold[-1] != NO_HOLD else None

    @property
    def vs_hold_atoms(self) -> int | None:
        """Equity minus what holding would be worth."""
        return None if self.hold_atoms is None else self.equity_atoms - self.hold_atoms

    @property
    def return_part(self) -> float:
        """Change of equity as a fraction of its start."""
        return self.equity_atoms / self.start_atoms - 1.0 if self.start_atoms else 0.0

    @property
    def hold_part(self) -> float | None:
        """Change that holding would have brought, as a fraction of the start."""
        if self.hold_atoms is None or not self.start_atoms:
            return None
        return self.hold_atoms / self.start_atoms - 1.0

    @cached_property
    def drawdown_part(self) -> float:
        """The largest fall of equity below its highest value so far, as a fraction of that."""
        return max(drawdowns(self.record.equity), default=0.0)

    @cached_property
    def sharpe(self) -> float | None:
        """The Sharpe ratio by `SHARPE_BASIS`; None when equity did not move."""
        hold = self.record.hold
        start = next((index for index, atoms in enumerate(hold) if atoms != NO_HOLD), len(hold))
        return sharpe_ratio(self.record.equity[start:], interval_us=self.config.interval_us)

    @cached_property
    def in_market_part(self) -> float:
        """Part of the steps after which a position was open."""
        flags = self.record.in_market
        return sum(flags) / len(flags) if flags else 0.0

    @cached_property
    def closed_trades(self) -> list[int]:
        """Profits of the round trips in quote atoms, after fees."""
        return closed_trades(self.record.trades, self.instruments)

    @property
    def win_part(self) -> float | None:
        """Part of the round trips that gained after fees; None before the first."""
        closed = self.closed_trades
        return sum(profit > 0 for profit in closed) / len(closed) if closed else None

    @property
    def fills(self) -> int:
        """Executions, those of the gateway's own orders included."""
        return len(self.record.trades)

    @property
    def denied(self) -> int:
        """Orders that the risk gate denied."""
        return self.record.denied.total()


@dataclass(frozen=True, kw_only=True)
class BacktestResult:
    """What a run gave. `bots` are in the order of their keys, `ranked` by what they made beyond holding."""

    title: str
    bots: tuple[BotResult, ...]
    fills: Sequence[CanonicalFill]
    data: DataFacts
    notes: tuple[str, ...] = ()
    elapsed_s: float = 0.0

    @property
    def ranked(self) -> list[BotResult]:
        """The bots, the best first: by VsHold, with several quote assets as a fraction of the start wallet."""
        one_quote = len({bot.quote for bot in self.bots}) <= 1
        return sorted(self.bots, key=lambda bot: (-_beyond_hold(bot, one_quote=one_quote), bot.key))

    def ledger(self) -> Iterator[str]:
        """Yield the lines of the canonical ledger (rule 23), sorted; a long run's are never all in memory."""
        fills = canonical_lines(self.fills, ())
        return merge(fills, *(_equity_lines(bot.record) for bot in self.bots))

    @cached_property
    def ledger_hash(self) -> str:
        """The SHA-256 of the canonical ledger."""
        return canonical_hash(self.ledger())


def _beyond_hold(bot: BotResult, *, one_quote: bool) -> float:
    if bot.vs_hold_atoms is None:
        return float("-inf")
    return float(bot.vs_hold_atoms) if one_quote or not bot.start_atoms else bot.vs_hold_atoms / bot.start_atoms


def _equity_lines(record: BotRecord) -> Iterator[str]:
    """Yield a bot's equity as canonical lines; its steps are in the order of time, hence the lines sorted."""
    key = record.config.key
    for market_us, equity_atoms in zip(record.market_us, record.equity, strict=True):
        yield canonical_lines((), (CanonicalEquity(market_us, key, equity_atoms),))[0]
