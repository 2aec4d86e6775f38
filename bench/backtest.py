"""Backtest: bars a second of a Python strategy through all machines, beside backtrader and nautilus_trader.

The same bars, the same rules: an SMA cross (10, 50) on the close, in with one unit, out again, market orders, 10 bps
fee. Ours is `run_backtest` whole: orders through wallet, risk gate, venue and double-entry ledger, statistics and
buy-and-hold after each bar, content hash of the data, results. Every engine has its bars in memory before the clock
starts, and a fresh process for each run. The trades must be equal, price by price.

A market order fills at the next bar's open here and in backtrader; nautilus_trader fills it at once, at the close that
decided it. The synthetic bars open where the last one closed, so the prices are the same. With real bars (DATA=file.csv
in the environment) they are not, and nautilus_trader is compared by side and number of trades.

Run alone: python -m bench.backtest [--quick]
"""

import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.figure import Result, interleaved, is_quick, median, spread, tell
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import RiskLimits
from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import Side
from workloads.backtest.quick import backtest
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource
from workloads.strategy.api import Strategy, param
from workloads.strategy.indicators import SMA

BARS: Final = 45_000
QUICK_BARS: Final = 10_000
ROUNDS: Final = 5
SYMBOL: Final = Symbol("BTC-USD")
START_US: Final = 1_704_067_200_000_000  # 2024-01-01
FAST, SLOW, SIZE, FEE_BPS = 10, 50, 1.0, 10
PEER_PYTHON: Final = Path(".venv/bench/bin/python")
PEERS: Final = Path(__file__).with_name("peers")
TIMEOUT_S: Final = 600

Trade = tuple[str, float, float]


class BenchCross(Strategy):
    """In with one unit while the fast average is above the slow one."""

    fast: int = param(FAST, ge=2)
    slow: int = param(SLOW, ge=3)

    def on_start(self) -> None:
        """Set up the averages."""
        self.fast_average = self.indicator(SMA(self.fast))
        self.slow_average = self.indicator(SMA(self.slow))

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002 - it looks at the averages only
        """Buy or sell the unit when the averages say so."""
        if not self.slow_average.ready:
            return
        is_above = self.fast_average.value > self.slow_average.value
        if is_above is not (self.position().lots > 0):
            self.market(Side.BUY if is_above else Side.SELL, SIZE)


class MemorySource:
    """Bars that are in memory already."""

    def __init__(self, bars: list[Bar], description: SourceDescription) -> None:
        self._bars = bars
        self.description = description
        self.progress = None

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:  # noqa: ARG002 - they were checked
        """Yield the bars."""
        return iter(self._bars)


def read_source() -> MemorySource:
    """Return the bars to trade: those of DATA, or made-up ones."""
    data = os.environ.get("DATA")
    if data:
        found = open_file(Path(data))
    else:
        instrument = SyntheticInstrument(symbol=SYMBOL, start_price=Decimal(40_000))
        found = SyntheticSource(
            instrument, seed=1, interval_us=MINUTE_US, start_us=START_US, bars=QUICK_BARS if is_quick() else BARS
        )
    return MemorySource(list(itertools.islice(found.bars(), BARS)), found.description)


def run_ours(source: MemorySource) -> dict[str, Any]:
    """Run our backtest once and return its seconds, bars and trades."""
    result = backtest(
        BenchCross,
        source,
        wallet={source.description.symbol.split("-")[1]: 1_000_000_000},
        fee_bps=FEE_BPS,
        tick="0.00000001" if os.environ.get("DATA") else "0.01",
        limits=RiskLimits(max_orders_per_minute=None),
    )
    trades = [(fill.side.value.lower(), _price(fill.price_ticks), fill.lots / 1e8) for fill in result.fills]
    return {"seconds": result.elapsed_s, "bars": result.data.steps, "trades": trades}


def _price(ticks: int) -> float:
    return round(ticks / (1e8 if os.environ.get("DATA") else 100), 8)


def run_process(command: list[str]) -> dict[str, Any]:
    """Return what a run in a process of its own prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["trades"] = [tuple(trade) for trade in found["trades"]]
    return found


def first_difference(ours: list[Trade], theirs: list[Trade], *, prices: bool) -> str:
    """Return how the trades differ, "" when they do not; without `prices` only their sides and sizes count."""
    pick = (lambda trade: trade) if prices else (lambda trade: (trade[0], trade[2]))
    for number, (our, their) in enumerate(itertools.zip_longest(ours, theirs), start=1):
        if our is None or their is None or pick(our) != pick(their):
            return f"trade {number}: ours {our}, theirs {their}"
    return ""


def measure() -> list[Result]:
    """Return the figure."""
    source = read_source()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        with path.open("w", encoding="ascii", newline="") as file:
            csv.writer(file).writerows([bar.open_us, *bar[3:]] for bar in source.bars())
        rules = [str(path), str(FAST), str(SLOW), str(SIZE), str(FEE_BPS / 10_000)]
        commands = {
            "tradefleet": [sys.executable, "-m", "bench.backtest", "--once", *sys.argv[1:]],
            "backtrader": [str(PEER_PYTHON), str(PEERS / "backtrader_sma.py"), *rules],
            "nautilus_trader": [str(PEER_PYTHON), str(PEERS / "nautilus_sma.py"), *rules],
        }
        last: dict[str, dict[str, Any]] = {}

        def runner(name: str) -> float:
            last[name] = run_process(commands[name])
            return float(last[name]["bars"] / last[name]["seconds"])

        rounds = 2 if is_quick() else ROUNDS
        found = interleaved(rounds, {name: (lambda name=name: runner(name)) for name in commands})  # type: ignore[misc]
    speeds = {name: median(values) for name, values in found.items()}
    trades = {name: each["trades"] for name, each in last.items()}
    fastest = max(speeds["backtrader"], speeds["nautilus_trader"])
    lines = [
        f"{name:16s} {spread(values, ',.0f')} bars/s, {len(trades[name]):,} trades" for name, values in found.items()
    ]
    equal = True
    for peer in ("backtrader", "nautilus_trader"):
        exact = peer == "backtrader" or not os.environ.get("DATA")
        difference = first_difference(trades["tradefleet"], trades[peer], prices=exact)
        equal = equal and not difference
        what = "side, size and price" if exact else "side and size (it fills at the deciding close)"
        lines.append(f"trades against {peer}: {difference or f'all equal in {what}'}")
    lines.append(
        f"{last['tradefleet']['bars']:,} bars of {source.description}, SMA {FAST}/{SLOW}, fee {FEE_BPS} bps, "
        f"{rounds} runs each"
    )
    return [
        Result(
            name="Backtest, bars a second",
            goal="ahead of backtrader and of nautilus_trader, with equal trades",
            found=f"{speeds['tradefleet']:,.0f} bars/s: {speeds['tradefleet'] / speeds['backtrader']:.2f}× backtrader, "
            f"{speeds['tradefleet'] / speeds['nautilus_trader']:.2f}× nautilus_trader, trades "
            f"{'equal' if equal else 'NOT equal'}",
            is_met=equal and speeds["tradefleet"] > fastest,
            numbers=tuple(lines),
        )
    ]


if __name__ == "__main__":
    if "--once" in sys.argv[1:]:
        print(json.dumps(run_ours(read_source())))
        raise SystemExit(0)
    raise SystemExit(tell(*measure()))
