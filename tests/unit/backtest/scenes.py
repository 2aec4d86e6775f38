"""Plans, resources and strategies for the tests of backtests."""

import textwrap
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.unit.feeds.candles import write_csv
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.resources.load import Loaded, parse_text
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.exchange.settings import ExchangeSettings, InstrumentSettings
from workloads.feeds.replay import Replay
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource
from workloads.strategy.api import Side, Strategy

BTC, LTC = Symbol("BTC-USD"), Symbol("LTC-USD")
START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
DOLLAR = 10**8


def synthetic(symbol: Symbol = BTC, *, seed: int = 7, bars: int = 400) -> SyntheticSource:
    instrument = SyntheticInstrument(symbol=symbol, start_price=Decimal(100), annual_volatility=2.0)
    return SyntheticSource(instrument, seed=seed, interval_us=MINUTE_US, start_us=START_US, bars=bars)


def settings(name: str = "demo/simulator", symbols: Sequence[Symbol] = (BTC, LTC), **changes: Any) -> ExchangeSettings:
    values: dict[str, Any] = {
        "exchange": name,
        "account": f"{name}:main",
        "instruments": tuple(
            InstrumentSettings(
                symbol=symbol, base=symbol[:3], quote="USD", tick="0.01", lot="0.0001", intervals_us=(MINUTE_US,)
            )
            for symbol in symbols
        ),
        "maker_ppm": 1_000,
        "taker_ppm": 1_000,
        "slippage_ppm": 200,
    }
    return ExchangeSettings(**{**values, **changes})


def bot(name: str = "demo/one", **changes: Any) -> BotConfig:
    values: dict[str, Any] = {
        "key": BotKey(name),
        "uid": BotUid(f"uid of {name}"),
        "generation": 1,
        "strategy": "sma-cross",
        "parameters": {"fast": 5, "slow": 20},
        "symbols": (BTC,),
        "interval_us": MINUTE_US,
        "wallet": {"USD": 10_000 * DOLLAR},
        "warmup_bars": 20,
    }
    return BotConfig(**{**values, **changes})


def market(*bots: BotConfig, name: str = "demo/simulator", bars: int = 400, **changes: Any) -> MarketPlan:
    symbols = sorted({symbol for each in bots for symbol in each.symbols})
    replay = Replay([synthetic(symbol, bars=bars) for symbol in symbols])
    return MarketPlan(settings=settings(name, **changes), bots=bots, replays=(replay,))


def plan(*bots: BotConfig, bars: int = 400, **changes: Any) -> BacktestPlan:
    return BacktestPlan(title="a test", markets=(market(*bots, bars=bars),), **changes)


class BuysOnce(Strategy):
    """Buys on its first bar and sells after a hundred."""

    bars_seen: int = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars_seen += 1
        if self.bars_seen == 1:
            self.buy()
        elif self.bars_seen == 100:
            self.sell()


class AsksTooMuch(Strategy):
    """Asks on every bar for more than its wallet can pay."""

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, 1_000_000)


class Breaks(Strategy):
    """Raises on the fifth bar."""

    def on_bar(self, bar: Bar) -> None:
        if bar.open_us == START_US + 4 * MINUTE_US:
            raise ZeroDivisionError("nothing left to divide by")


EXCHANGE = """
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: simulator}
spec:
  venue: simulator
  instruments:
    - {symbol: BTC-USD, tickSize: "0.01", lotSize: "0.0001", minNotional: "1"}
    - {symbol: LTC-USD, tickSize: "0.01", lotSize: "0.0001"}
  fees: {makerBps: 5, takerBps: 10}
  simulator: {slippageBps: 2}
---
"""
MARKET = """
apiVersion: tradefleet.dev/v1alpha1
kind: Dataset
metadata: {name: made-up}
spec:
  synthetic: {seed: 3, bars: 300}
  instruments: [BTC-USD, LTC-USD]
---
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: replay}
spec:
  exchangeRef: {name: simulator}
  replay: {datasetRefs: [{name: made-up}]}
---
"""
BOT = """
apiVersion: tradefleet.dev/v1alpha1
kind: TradingBot
metadata: {name: trend}
spec:
  strategy: {name: sma-cross, params: {fast: 5, slow: 20}}
  exchangeRef: {name: simulator}
  instruments: [BTC-USD]
  wallet: {USD: "10000"}
---
"""
BACKTEST = """
apiVersion: tradefleet.dev/v1alpha1
kind: Backtest
metadata: {name: trial}
spec:
  datasetRef: {name: made-up}
  exchangeRef: {name: simulator}
  strategy: {name: sma-cross, params: {fast: 5, slow: 20}}
  instruments: [LTC-USD]
  wallet: {USD: "500"}
---
"""


def loaded(*texts: str, file: str = "fleet.yaml") -> list[Loaded]:
    return parse_text("".join(textwrap.dedent(text) for text in texts), file)


def candle_file(folder: Path, symbol: Symbol = BTC, *, bars: int = 300, name: str = "") -> Path:
    return write_csv(folder / (name or f"test_{symbol}_1m.csv"), synthetic(symbol, bars=bars).bars())
