"""What a report shows, as plain values: made from a backtest's result, or from a fleet's books in the database."""

from collections.abc import Sequence
from dataclasses import dataclass

from workloads.backtest.thinning import Candles


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. `hint` explains the figure."""

    name: str
    hint: str = ""
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure: `text` is shown, `value` sorts, `gain` says whether it is good (1) or bad (-1) news."""

    text: str
    value: float | None = None
    gain: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Equity and holding over time, in quote atoms; holding counts from place `hold_start` on."""

    market_us: Sequence[int]
    equity_atoms: Sequence[int]
    hold_atoms: Sequence[int]
    hold_start: int
    scale: int  # decimals of the quote asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A fill. `market` names the candles it belongs to; `note` says why, where the gateway traded of its own."""

    market_us: int
    market: str
    is_buy: bool
    price: float
    size: float
    fee: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBot:
    """One bot. `cells` are in the order of the report's columns; `markets` names the candles of its instruments."""

    name: str
    strategy: str  # with its parameters
    quote: str
    vs_hold: Cell
    cells: tuple[Cell, ...]
    markets: tuple[str, ...]
    curve: Curve
    trades: Sequence[Trade]
    fees: float
    slippage: float
    costs: tuple[Cell, ...]  # in the order of COST_COLUMNS
    wallet: tuple[tuple[str, str, str], ...]  # asset, free, locked
    positions: tuple[tuple[str, ...], ...]  # in the order of POSITION_COLUMNS


COST_COLUMNS = (
    Column(name="Fees", hint="Paid to the venue."),
    Column(
        name="Slippage",
        hint="Market orders against the last close when they were decided, stops against their trigger; "
        "below 0 the fills were better.",
    ),
    Column(name="Costs of start", hint="Fees and slippage together, as a part of the money at the start."),
    Column(name="Fills", hint="Executions; an order may have several."),
    Column(name="Maker", hint="Part of the fills that rested in the book first."),
)
POSITION_COLUMNS = ("Instrument", "Size", "Average price", "Last price", "Worth", "Unrealised")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """A whole report. `bots` are ranked, the best first; `facts` are name and value; `candles` go by their name.

    `columns` are those of the ranking beside the bot's place, name and strategy.
    """

    title: str
    subtitle: str
    is_synthetic: bool
    columns: tuple[Column, ...]
    bots: tuple[ReportBot, ...]
    candles: dict[str, Candles]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
