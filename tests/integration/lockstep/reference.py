"""The fleet of these tests as resources, and what `tradefleet backtest` makes of them: the ledger to compare with."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradefleet.domain.ids import BotKey
from tradefleet.resources.load import load
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.run import run_backtest

HERE = Path(__file__).parent
INJECTED = HERE / "injected"
DAY_BARS = 1_440


@dataclass(frozen=True, slots=True)
class Reference:
    """The canonical ledger of the backtest, its hash, and when each bot trades in it."""

    lines: Sequence[str]
    digest: str
    fills: int
    trades_us: Mapping[BotKey, Sequence[int]]


def write_resources(folder: Path, *, bars: int = DAY_BARS, source: Path = HERE) -> Path:
    """Return a file with the fleet of the folder `source`, over so many minutes of its made-up market."""
    text = "\n---\n".join(path.read_text(encoding="utf-8") for path in sorted(source.glob("*.yaml")))
    found, count = re.subn(r"\bbars: \d+", f"bars: {bars}", text)
    assert count == 1, f"{source}: {count} datasets are made up, one was expected"
    path = folder / "fleet.yaml"
    path.write_text(found, encoding="utf-8")
    return path


def backtest(path: Path) -> Reference:
    """Return the ledger that the backtest of a file of resources gives."""
    if str(INJECTED) not in sys.path:
        sys.path.append(str(INJECTED))  # where the user's own strategy is
    result = run_backtest(plan_backtest(load([path]), Wish()))
    trades_us: dict[BotKey, list[int]] = {}
    for market_us, bot in sorted({(fill.market_us, fill.bot) for fill in result.fills}):
        trades_us.setdefault(bot, []).append(market_us)
    return Reference(tuple(result.ledger()), result.ledger_hash, len(result.fills), trades_us)
