"""What follows from a bot's figures."""

from typing import Any

import pytest

from tradefleet.domain.ids import BotKey
from tradefleet.domain.statistics import BotStatistics


def figures(**changes: Any) -> BotStatistics:
    fields: dict[str, Any] = {
        "bot": BotKey("default/a"),
        "market_us": 0,
        "quote": "USD",
        "equity_atoms": 900,
        "hold_atoms": 950,
        "peak_equity_atoms": 1_200,
        "realized_atoms": 0,
        "fees_atoms": 0,
        "orders": 0,
        "fills": 0,
        "open_orders": 0,
        "positions": (),
    }
    return BotStatistics(**{**fields, **changes})


def test_vs_hold_is_equity_minus_hold() -> None:
    assert figures().vs_hold_atoms == -50


def test_there_is_no_vs_hold_before_holding_could_begin() -> None:
    assert figures(hold_atoms=None).vs_hold_atoms is None


@pytest.mark.parametrize(
    ("equity", "peak", "ppm"), [(900, 1_200, 250_000), (1_200, 1_200, 0), (0, 0, 0), (0, 5, 10**6)]
)
def test_drawdown_is_the_part_of_the_peak_that_is_lost(equity: int, peak: int, ppm: int) -> None:
    assert figures(equity_atoms=equity, peak_equity_atoms=peak).drawdown_ppm == ppm
