"""The SMA cross of `bench.backtest` in backtrader. Arguments: CSV of bars, fast, slow, size, fee as a fraction.

Used as its documentation says, at its fastest settings for one pass without plots: `runonce` (indicators computed as
vectors), `stdstats` off, bars from a list in memory. Orders fill at the next bar's open, its default.
"""

import csv
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import backtrader as bt


class Bars(bt.feed.DataBase):
    """Bars from a list of (open time in microseconds, open, high, low, close, volume)."""

    params = (("rows", ()),)

    def start(self) -> None:
        """Begin with the first row."""
        super().start()
        self._rows = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row
        lines.openinterest[0] = 0.0
        return True


class SmaCross(bt.Strategy):
    """In while the fast average is above the slow one."""

    params = (("fast", 10), ("slow", 50), ("size", 1.0), ("trades", None))

    def __init__(self) -> None:
        self.fast = bt.indicators.SMA(self.data.close, period=self.p.fast)
        self.slow = bt.indicators.SMA(self.data.close, period=self.p.slow)

    def next(self) -> None:
        """Buy or sell when the averages say so."""
        is_above = self.fast[0] > self.slow[0]
        if is_above and not self.position:
            self.buy(size=self.p.size)
        elif not is_above and self.position:
            self.sell(size=self.p.size)

    def notify_order(self, order: bt.Order) -> None:
        """Note what filled."""
        if order.status == order.Completed:
            filled = order.executed
            self.p.trades.append(["buy" if order.isbuy() else "sell", round(filled.price, 8), abs(filled.size)])


def main() -> None:
    """Run once and print what came out."""
    path, fast, slow = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    size, fee = float(sys.argv[4]), float(sys.argv[5])
    with path.open(encoding="ascii", newline="") as file:
        found = list(csv.reader(file))
    rows = [(bt.date2num(datetime.fromtimestamp(int(row[0]) / 1e6, tz=UTC)), *map(float, row[1:])) for row in found]
    trades = []
    began = time.perf_counter()
    cerebro = bt.Cerebro(stdstats=False, runonce=True, preload=True)
    cerebro.adddata(Bars(rows=rows))
    cerebro.addstrategy(SmaCross, fast=fast, slow=slow, size=size, trades=trades)
    cerebro.broker.setcash(1e9)
    cerebro.broker.setcommission(commission=fee)
    cerebro.run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "bars": len(rows), "trades": trades}))


main()
