"""The ranking of bots against holding, as a table: what a backtest and a fleet's demo end with."""

import sys
from typing import TYPE_CHECKING

from tradefleet.cli import printing

if TYPE_CHECKING:
    from workloads.backtest.results import BacktestResult


def print_ranking(result: "BacktestResult", title: str, *, wide: bool = False) -> None:
    """Print the table, the best bot first, and below it the data, its gaps and the ledger's hash."""
    from workloads.backtest.output import (  # noqa: PLC0415 - imported by who runs it
        OPTIONAL_KEYS,
        SYNTHETIC_LABEL,
        shown_names,
        summary_lines,
        table_columns,
    )

    columns = table_columns(result, wide=wide)
    ranked = result.ranked
    names = shown_names(result)
    made_up = f" on {SYNTHETIC_LABEL} data" if result.data.is_synthetic else ""
    place_of = {column.key: place for place, column in enumerate(columns)}
    printing.print_rows(
        [column.name for column in columns],
        [[names[bot.key], *(column.text(bot) for column in columns[1:])] for bot in ranked],
        numbers=[place for place, column in enumerate(columns) if column.is_number],
        styles=[[_style(column.gains(bot)) for column in columns] for bot in ranked],
        title=f"{title}{made_up}: ranked by VsHold, what a bot made beyond holding",
        optional=[place_of[key] for key in OPTIONAL_KEYS],
    )
    sys.stdout.write("\n" + "\n".join(summary_lines(result)) + "\n")


def _style(gain: float | None) -> str:
    if not gain:
        return ""
    return "green" if gain > 0 else "red"
