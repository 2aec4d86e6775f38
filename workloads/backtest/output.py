"""Results as columns and plain values: what tables, CSV, JSON and YAML show, from one description of the columns."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from tradefleet.domain.bar import format_interval
from tradefleet.domain.ids import BotKey
from tradefleet.domain.times import format_time
from workloads.backtest.results import SHARPE_BASIS, BacktestResult, BotResult

# Columns that a narrow window can do without, the first one first.
OPTIONAL_KEYS = ("orders", "inMarketPercent", "winPercent", "instruments", "strategy", "sharpe", "fees", "fills")
SYNTHETIC_LABEL = "synthetic"
NOTHING = "–"
DIGITS_SHOWN = 6  # of an amount, at least two of them after the point

Value = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of a bot: `name` heads the tables, `key` is its name for programs."""

    name: str
    key: str
    value: Callable[[BotResult], Value]  # for programs: amounts are exact text, parts are percent
    text: Callable[[BotResult], str]  # for people
    is_number: bool = True
    is_wide: bool = False  # shown with `-o wide` only
    gains: Callable[[BotResult], float | None] = lambda _: None  # above 0 is good news, below is bad


def _amount(atoms: Callable[[BotResult], int | None]) -> Callable[[BotResult], Value]:
    def value(bot: BotResult) -> Value:
        found = atoms(bot)
        return None if found is None else format(bot.amount(found), "f")

    return value


def _amount_text(atoms: Callable[[BotResult], int | None], *, sign: bool = False) -> Callable[[BotResult], str]:
    def text(bot: BotResult) -> str:
        found = atoms(bot)
        return NOTHING if found is None else format_amount(bot, found, sign=sign)

    return text


def _percent(part: Callable[[BotResult], float | None]) -> Callable[[BotResult], Value]:
    def value(bot: BotResult) -> Value:
        found = part(bot)
        return None if found is None else round(100.0 * found, 6)

    return value


def _percent_text(part: Callable[[BotResult], float | None], style: str = "+.2%") -> Callable[[BotResult], str]:
    def text(bot: BotResult) -> str:
        found = part(bot)
        return NOTHING if found is None else format(found, style)

    return text


def format_amount(bot: BotResult, atoms: int, *, sign: bool = False) -> str:
    """Return quote atoms for a table: as many decimals as say something beside the start wallet."""
    start = bot.amount(abs(bot.start_atoms))
    decimals = max(2, DIGITS_SHOWN - max(1, start.adjusted() + 1)) if start else 2
    shown = bot.amount(atoms).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    return format(shown, "+,f" if sign else ",f")


def parameters_text(bot: BotResult) -> str:
    """Return the parameters that were given, as in `fast=10 slow=50`."""
    return " ".join(f"{name}={value}" for name, value in bot.config.parameters.items())


def _vs_hold(bot: BotResult) -> int | None:
    return bot.vs_hold_atoms


COLUMNS: tuple[Column, ...] = (
    Column(name="Bot", key="bot", value=lambda bot: bot.key, text=lambda bot: bot.key, is_number=False),
    Column(
        name="Strategy", key="strategy", value=lambda bot: bot.strategy, text=lambda bot: bot.strategy, is_number=False
    ),
    Column(
        name="Parameters", key="parameters", value=parameters_text, text=parameters_text, is_number=False, is_wide=True
    ),
    Column(
        name="Instruments",
        key="instruments",
        value=lambda bot: ",".join(bot.config.symbols),
        text=lambda bot: ",".join(bot.config.symbols),
        is_number=False,
    ),
    Column(
        name="Exchange",
        key="exchange",
        value=lambda bot: bot.exchange,
        text=lambda bot: bot.exchange,
        is_number=False,
        is_wide=True,
    ),
    Column(
        name="Bars",
        key="interval",
        value=lambda bot: format_interval(bot.config.interval_us),
        text=lambda bot: format_interval(bot.config.interval_us),
        is_number=False,
        is_wide=True,
    ),
    Column(name="Quote", key="quote", value=lambda bot: bot.quote, text=lambda bot: bot.quote, is_number=False),
    Column(
        name="Equity",
        key="equity",
        value=_amount(lambda bot: bot.equity_atoms),
        text=_amount_text(lambda bot: bot.equity_atoms),
    ),
    Column(
        name="Return",
        key="returnPercent",
        value=_percent(lambda bot: bot.return_part),
        text=_percent_text(lambda bot: bot.return_part),
        gains=lambda bot: bot.return_part,
    ),
    Column(
        name="Hold",
        key="holdPercent",
        value=_percent(lambda bot: bot.hold_part),
        text=_percent_text(lambda bot: bot.hold_part),
        gains=lambda bot: bot.hold_part,
    ),
    Column(
        name="VsHold",
        key="vsHold",
        value=_amount(_vs_hold),
        text=_amount_text(_vs_hold, sign=True),
        gains=lambda bot: bot.vs_hold_atoms,
    ),
    Column(
        name="MaxDD",
        key="maxDrawdownPercent",
        value=_percent(lambda bot: bot.drawdown_part),
        text=_percent_text(lambda bot: bot.drawdown_part, ".2%"),
    ),
    Column(
        name="Fees",
        key="fees",
        value=_amount(lambda bot: bot.fees_atoms),
        text=_amount_text(lambda bot: bot.fees_atoms),
    ),
    Column(
        name="Slippage",
        key="slippage",
        value=_amount(lambda bot: bot.record.slippage_atoms),
        text=_amount_text(lambda bot: bot.record.slippage_atoms),
        is_wide=True,
    ),
    Column(name="Orders", key="orders", value=lambda bot: bot.orders, text=lambda bot: f"{bot.orders:,}"),
    Column(name="Denied", key="denied", value=lambda bot: bot.denied, text=lambda bot: f"{bot.denied:,}", is_wide=True),
    Column(name="Fills", key="fills", value=lambda bot: bot.fills, text=lambda bot: f"{bot.fills:,}"),
    Column(
        name="InMarket",
        key="inMarketPercent",
        value=_percent(lambda bot: bot.in_market_part),
        text=_percent_text(lambda bot: bot.in_market_part, ".0%"),
    ),
    Column(
        name="RoundTrips",
        key="roundTrips",
        value=lambda bot: len(bot.closed_trades),
        text=lambda bot: f"{len(bot.closed_trades):,}",
        is_wide=True,
    ),
    Column(
        name="Wins",
        key="winPercent",
        value=_percent(lambda bot: bot.win_part),
        text=_percent_text(lambda bot: bot.win_part, ".0%"),
    ),
    Column(
        name="Sharpe",
        key="sharpe",
        value=lambda bot: None if bot.sharpe is None else round(bot.sharpe, 6),
        text=lambda bot: NOTHING if bot.sharpe is None else f"{bot.sharpe:.2f}",
    ),
)


def table_columns(result: BacktestResult, *, wide: bool = False) -> list[Column]:
    """Return the columns that a table shows: the quote asset only where there are several, or with `wide`."""
    several = len({bot.quote for bot in result.bots}) > 1
    return [each for each in COLUMNS if wide or (not each.is_wide and (several or each.key != "quote"))]


def shown_names(result: BacktestResult) -> dict[BotKey, str]:
    """Return what people read as each bot's name: without its namespace, where all bots are of one."""
    namespaces = {bot.key.partition("/")[0] for bot in result.bots}
    return {bot.key: bot.key.partition("/")[2] if len(namespaces) == 1 else bot.key for bot in result.bots}


def document(result: BacktestResult) -> dict[str, object]:
    """Return the whole result as JSON values: amounts are decimal text, parts are percent."""
    data = result.data
    return {
        "title": result.title,
        "synthetic": data.is_synthetic,
        "data": {
            "contentHash": data.content_hash,
            "from": None if data.from_us is None else format_time(data.from_us),
            "to": None if data.to_us is None else format_time(data.to_us),
            "bars": data.bars,
            "steps": data.steps,
            "gaps": data.gap_counts[0],
            "missingBars": data.gap_counts[1],
            "sources": list(data.labels),
            "series": [
                {
                    "instrument": each.symbol,
                    "interval": format_interval(each.interval_us),
                    "bars": each.bars,
                    "contentHash": each.content_hash,
                }
                for each in data.series
            ],
        },
        "ledgerHash": result.ledger_hash,
        "sharpeBasis": SHARPE_BASIS,
        "notes": list(result.notes),
        "bots": [_bot_document(bot) for bot in result.ranked],
    }


def _bot_document(bot: BotResult) -> dict[str, object]:
    values: dict[str, object] = {column.key: column.value(bot) for column in COLUMNS}
    values["parameters"] = dict(bot.config.parameters)
    values["instruments"] = list(bot.config.symbols)
    values["deniedReasons"] = {str(reason): count for reason, count in sorted(bot.record.denied.items())}
    return values


def csv_text(result: BacktestResult) -> str:
    """Return one line a bot, the best first, below a line with the names of all columns.

    The column `synthetic` says of each line whether the data was made up, since a line may be copied elsewhere.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*(column.key for column in COLUMNS), SYNTHETIC_LABEL])
    made_up = "true" if result.data.is_synthetic else "false"
    for bot in result.ranked:
        writer.writerow([*(column.value(bot) for column in COLUMNS), made_up])
    return stream.getvalue()


def summary_lines(result: BacktestResult) -> list[str]:
    """Return what stands below a table: the data, its gaps, the ledger's hash, how figures were made."""
    data = result.data
    span = (
        ""
        if data.from_us is None or data.to_us is None
        else f"{format_time(data.from_us)} to {format_time(data.to_us)}"
    )
    made_up = f", {SYNTHETIC_LABEL}: made up, it says nothing about a real market" if data.is_synthetic else ""
    lines = [f"data    {data.bars:,} bars in {data.steps:,} steps, {span}{made_up}"]
    gaps, missing = data.gap_counts
    if gaps:
        lines.append(f"gaps    {gaps:,}, {missing:,} bars missing; nothing was filled in")
    lines += [
        f"hash    {data.content_hash} of the data",
        f"ledger  {result.ledger_hash}",
        f"sharpe  {SHARPE_BASIS}",
    ]
    return [*lines, *(f"note    {note}" for note in result.notes)]


def plain_table(result: BacktestResult, columns: Sequence[Column]) -> list[str]:
    """Return the table as plain lines of text, columns apart by two blanks."""
    rows = [[column.name for column in columns]]
    rows += [[column.text(bot) for column in columns] for bot in result.ranked]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in rows
    ]


def result_text(result: BacktestResult, *, wide: bool = False) -> str:
    """Return the whole result as plain text: table and what stands below it."""
    return "\n".join([*plain_table(result, table_columns(result, wide=wide)), "", *summary_lines(result)])
