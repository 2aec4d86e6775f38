"""What a cell of `tradefleet get` shows."""

from typing import Any

import pytest

from tradefleet.cli.fleet_get import amount, cell
from tradefleet.resources.common import API_VERSION, PrinterColumn
from tradefleet.resources.load import parse_body
from tradefleet.resources.trading_bot import TradingBot

PHASE = next(column for column in TradingBot.columns if column.path == ".status.phase")
EQUITY = next(column for column in TradingBot.columns if column.name == "Equity")


def shown(column: PrinterColumn, **status: Any) -> str:
    spec = {
        "exchangeRef": {"name": "sim"},
        "instruments": ["BTC-USD"],
        "strategy": {"name": "buy-and-hold"},
        "wallet": {"USD": "100"},
    }
    body = {"apiVersion": API_VERSION, "kind": "TradingBot", "metadata": {"name": "a"}, "spec": spec, "status": status}
    return cell(parse_body(body), column)


def test_a_phase_says_that_its_bot_is_halted() -> None:
    warning = {"type": "Warning", "status": "True", "reason": "Halted", "message": "halted by ana: lunch"}
    assert shown(PHASE, phase="Running", conditions=[warning]) == "Running (Halted)"
    assert shown(PHASE, phase="Running", conditions=[warning | {"status": "False"}]) == "Running"
    assert shown(PHASE, phase="Running") == "Running"


def test_money_has_two_places_in_a_table() -> None:
    assert shown(EQUITY, equity="10047.92310045") == "10,047.92"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10000", "10,000.00"), ("-502.3300", "-502.33"), ("0", "0.00"), ("0.00012345", "0.00012345"), ("-0.5", "-0.5")],
)
def test_what_is_smaller_than_one_keeps_its_digits(text: str, expected: str) -> None:
    assert amount(text) == expected
