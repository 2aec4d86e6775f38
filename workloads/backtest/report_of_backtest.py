"""A backtest's result as the values of a report."""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import Symbol
from tradefleet.domain.times import format_time
from tradefleet.domain.venue import Liquidity
from workloads.backtest import output
from workloads.backtest.output import COLUMNS, NOTHING, format_amount, parameters_text
from workloads.backtest.plan import BacktestPlan
from workloads.backtest.record import NO_HOLD
from workloads.backtest.report_data import Cell, Column, Curve, ReportBot, ReportData, Trade
from workloads.backtest.results import SHARPE_BASIS, BacktestResult, BotResult
from workloads.backtest.thinning import Candles

CANDLES_MAX = 2_000  # of one instrument
CANDLES_OF_ALL_MAX = 12_000

# The order of the ranking; what is alike for all bots is left out of it.
_RANKING = (
    *("vsHold", "equity", "quote", "returnPercent", "holdPercent", "maxDrawdownPercent", "instruments", "interval"),
    *("sharpe", "inMarketPercent", "roundTrips", "winPercent", "orders", "denied", "fills", "fees"),
)
_ONLY_WHERE_DIFFERENT = ("interval", "quote", "denied")
_BY_KEY = {column.key: column for column in COLUMNS}

_HINTS = {
    "equity": "What the wallet is worth at the end, quote asset.",
    "returnPercent": "Change of equity since the start.",
    "holdPercent": "Change that holding the same instruments would have brought, after the same fee.",
    "vsHold": "Equity minus what holding would be worth. Above 0 the bot is worth running.",
    "maxDrawdownPercent": "Largest fall of equity below its highest value so far.",
    "fees": "Paid to the venue, quote asset.",
    "slippage": "What market orders and stops cost beyond the price at which they were decided, quote asset.",
    "orders": "Asked for by the bot.",
    "denied": "Refused by the risk gate.",
    "fills": "Executions, those of the gateway's own orders included.",
    "inMarketPercent": "Part of the bars after which a position was open.",
    "roundTrips": "From the first lot of a position to its last.",
    "winPercent": "Part of the round trips that gained after fees.",
    "sharpe": SHARPE_BASIS,
}


class CandleCollector:
    """Watches a run and keeps the candles that its report draws: the finest bars of what bots trade."""

    def __init__(self, plan: BacktestPlan) -> None:
        self.candles: dict[str, Candles] = {}
        self._places: dict[tuple[Symbol, int], list[Candles]] = {}
        wanted: list[tuple[str, Symbol, int]] = []
        for market in plan.markets:
            finest_us = market.settings.to_gateway_config().finest_us
            traded = sorted({symbol for bot in market.bots for symbol in bot.symbols})
            wanted += [(market.settings.exchange, symbol, finest_us[symbol]) for symbol in traded]
        limit = max(200, min(CANDLES_MAX, CANDLES_OF_ALL_MAX // max(1, len(wanted))))
        for exchange, symbol, interval_us in wanted:
            candles = Candles(interval_us=interval_us, limit=limit)
            self.candles[market_name(exchange, symbol)] = candles
            self._places.setdefault((symbol, interval_us), []).append(candles)

    def on_bars(self, bars: list[Bar]) -> None:
        """Take the bars of a step."""
        for bar in bars:
            for candles in self._places.get((bar.symbol, bar.interval_us), ()):
                candles.add(bar)

    def on_progress(self, done: float | None, market_us: int, steps: int) -> None:
        """Learn nothing."""


def market_name(exchange: str, symbol: Symbol) -> str:
    """Return the name of an instrument's candles."""
    return f"{symbol} · {exchange}"


def report_data(result: BacktestResult, collector: CandleCollector) -> ReportData:
    """Return `result` as a report's values."""
    data = result.data
    shown = [
        _BY_KEY[key]
        for key in _RANKING
        if key not in _ONLY_WHERE_DIFFERENT or len({_BY_KEY[key].value(bot) for bot in result.bots}) > 1
    ]
    names = output.shown_names(result)
    known = data.from_us is not None and data.to_us is not None
    span = f" · {_minute(data.from_us or 0)} to {_minute(data.to_us or 0)} UTC" if known else ""
    return ReportData(
        title=result.title,
        subtitle=f"Backtest{span}",
        is_synthetic=data.is_synthetic,
        columns=tuple(
            Column(name=column.name, hint=_HINTS.get(column.key, ""), is_number=column.is_number) for column in shown
        ),
        bots=tuple(_bot(bot, names[bot.key], shown, collector) for bot in result.ranked),
        candles=collector.candles,
        facts=tuple(_facts(result)),
        notes=result.notes,
    )


def _minute(time_us: int) -> str:
    return format_time(time_us)[:16].replace("T", " ")


def _cell(bot: BotResult, column: output.Column) -> Cell:
    value = column.value(bot)
    gain = column.gains(bot) or 0.0
    return Cell(
        column.text(bot), float(value) if column.is_number and value is not None else None, (gain > 0) - (gain < 0)
    )


def _bot(bot: BotResult, name: str, shown: list[output.Column], collector: CandleCollector) -> ReportBot:
    record = bot.record
    scale = bot.instruments[bot.config.symbols[0]].quote_scale
    hold_start = next((place for place, atoms in enumerate(record.hold) if atoms != NO_HOLD), len(record.hold))
    parameters = parameters_text(bot)
    return ReportBot(
        name=name,
        strategy=f"{bot.strategy} {parameters}".rstrip(),
        quote=bot.quote,
        vs_hold=_cell(bot, _BY_KEY["vsHold"]),
        cells=tuple(_cell(bot, column) for column in shown),
        markets=tuple(market_name(bot.exchange, symbol) for symbol in bot.config.symbols),
        curve=Curve(
            market_us=record.market_us,
            equity_atoms=record.equity,
            hold_atoms=record.hold,
            hold_start=hold_start,
            scale=scale,
        ),
        trades=_trades(bot),
        fees=float(bot.amount(bot.fees_atoms)),
        slippage=float(bot.amount(record.slippage_atoms)),
        costs=_costs(bot),
        wallet=tuple(_wallet(bot)),
        positions=tuple(_positions(bot, collector)),
    )


def _trades(bot: BotResult) -> list[Trade]:
    names = {symbol: market_name(bot.exchange, symbol) for symbol in bot.config.symbols}
    trades = []
    for each in bot.record.trades:
        instrument = bot.instruments[each.symbol]
        trades.append(
            Trade(
                market_us=each.market_us,
                market=names[each.symbol],
                is_buy=each.side.sign > 0,
                price=each.price_ticks * instrument.tick_float,
                size=each.lots * instrument.lot_float,
                fee=each.fee_atoms / 10**instrument.quote_scale,
                note="" if each.origin is Origin.BOT else str(each.reason),
            )
        )
    return trades


def _costs(bot: BotResult) -> tuple[Cell, ...]:
    record = bot.record
    total = bot.fees_atoms + record.slippage_atoms
    part = total / bot.start_atoms if bot.start_atoms else 0.0
    makers = sum(trade.liquidity is Liquidity.MAKER for trade in record.trades)
    maker_part = makers / len(record.trades) if record.trades else None
    return (
        Cell(format_amount(bot, bot.fees_atoms), float(bot.fees_atoms)),
        Cell(format_amount(bot, record.slippage_atoms), float(record.slippage_atoms)),
        Cell(f"{part:.2%}", part),
        Cell(f"{bot.fills:,}", bot.fills),
        Cell(NOTHING if maker_part is None else f"{maker_part:.0%}", maker_part),
    )


def _wallet(bot: BotResult) -> Iterator[tuple[str, str, str]]:
    scales = {}
    for instrument in bot.instruments.values():
        scales[instrument.base], scales[instrument.quote] = instrument.base_scale, instrument.quote_scale
    books = bot.books
    for asset in sorted({*books.free, *books.locked}):
        free, locked = (side.get(asset, 0) for side in (books.free, books.locked))
        if free or locked:
            yield asset, _atoms_text(free, scales[asset]), _atoms_text(locked, scales[asset])


def _atoms_text(atoms: int, scale: int) -> str:
    whole, part = divmod(abs(atoms), 10**scale)
    digits = f"{part:0{scale}d}".rstrip("0") if scale else ""
    return f"{'-' if atoms < 0 else ''}{whole:,}{'.' if digits else ''}{digits}"


def _positions(bot: BotResult, collector: CandleCollector) -> Iterator[tuple[str, ...]]:
    for held in bot.books.positions:
        if not held.lots:
            continue
        instrument = bot.instruments[held.symbol]
        candles = collector.candles[market_name(bot.exchange, held.symbol)]
        mark_ticks = instrument.nearest_ticks(candles.closes[-1])
        worth = instrument.notional_atoms(held.lots, mark_ticks)
        size = float(instrument.size(held.lots))
        average = float(bot.amount(held.cost_atoms)) / size
        yield (
            held.symbol,
            format(instrument.size(held.lots).normalize(), ",f"),
            f"{average:,.8g}",
            format(instrument.price(mark_ticks), ",f"),
            format_amount(bot, worth),
            format_amount(bot, worth - held.cost_atoms, sign=True),
        )


def _facts(result: BacktestResult) -> Iterator[tuple[str, str]]:
    data = result.data
    made_up = "synthetic: made up, it says nothing about a real market" if data.is_synthetic else "recorded"
    yield "Data", made_up
    # Without their folders: a report is passed on, and where its files lay is nobody's business.
    yield "Sources", ", ".join(re.sub(r"\S*/", "", label) for label in data.labels)
    for each in data.series:
        yield f"Bars of {each.symbol}", f"{each.bars:,} of {format_interval(each.interval_us)}"
    gaps, missing = data.gap_counts
    yield "Gaps", f"{gaps:,}, {missing:,} bars missing; none was filled in" if gaps else "none"
    yield "Steps", f"{data.steps:,}"
    yield "Hash of the data", data.content_hash
    yield "Hash of the ledger", result.ledger_hash
    yield "Sharpe ratio", SHARPE_BASIS
    yield "Run time", f"{result.elapsed_s:.1f} s"
    yield "tradefleet", _version()
    yield "Python", platform.python_version()


def _version() -> str:
    try:
        return version("tradefleet")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "not installed"
