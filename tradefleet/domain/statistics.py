"""A bot's figures at one market time, exact, in quote atoms."""

from typing import NamedTuple

from tradefleet.domain.ids import BotKey, Symbol


class BotStatistics(NamedTuple):
    """What `performance.metrics` carries after a step in which a bar of the bot closed.

    `hold_atoms` is what the start wallet would be worth in buy-and-hold (design, VsHold): None until the first
    fillable open after warm-up; VsHold = `equity_atoms - hold_atoms`.
    """

    bot: BotKey
    market_us: int
    quote: str
    equity_atoms: int
    hold_atoms: int | None
    peak_equity_atoms: int
    realized_atoms: int
    fees_atoms: int
    orders: int
    fills: int
    open_orders: int
    positions: tuple[tuple[Symbol, int], ...]  # lots per instrument, in the order of the config

    @property
    def vs_hold_atoms(self) -> int | None:
        """Equity minus buy-and-hold, in quote atoms."""
        return None if self.hold_atoms is None else self.equity_atoms - self.hold_atoms

    @property
    def drawdown_ppm(self) -> int:
        """How far equity is below its peak, in parts per million of the peak."""
        if self.peak_equity_atoms <= 0:
            return 0
        return (self.peak_equity_atoms - self.equity_atoms) * 1_000_000 // self.peak_equity_atoms
