"""Resource files and candles that tests write."""

from pathlib import Path

from workloads.feeds.settings import SyntheticSettings

START_US = 1_522_800_000_000_000

EXCHANGE = """
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: simulator}
spec:
  venue: simulator
  instruments:
    - {symbol: BTC-USD, tickSize: "0.01", lotSize: "0.00000001", minNotional: "1"}
    - {symbol: LTC-USD, tickSize: "0.01", lotSize: "0.00000001", minNotional: "1"}
  simulator: {market: replay, slippageBps: "2"}
"""

DATASET = """
apiVersion: tradefleet.dev/v1alpha1
kind: Dataset
metadata: {name: made-up}
spec:
  synthetic: {seed: 3, bars: BARS, startPrices: {BTC-USD: "42000", LTC-USD: "70"}, annualVolatilityPercent: "80"}
  instruments: [BTC-USD, LTC-USD]
"""

FEED = """
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: replay}
spec:
  exchangeRef: {name: simulator}
  replay: {datasetRefs: [{name: made-up}], speed: SPEED}
"""

BOT = """
apiVersion: tradefleet.dev/v1alpha1
kind: TradingBot
metadata: {name: NAME}
spec:
  exchangeRef: {name: simulator}
  strategy: STRATEGY
  instruments: [BTC-USD]
  wallet: {USD: "10000"}
  deletionPolicy: POLICY
"""


def market(*, speed: str, bars: int) -> str:
    return "---".join([EXCHANGE, DATASET.replace("BARS", str(bars)), FEED.replace("SPEED", speed)])


def bot(name: str, strategy: str, policy: str = "CancelOrders") -> str:
    return BOT.replace("NAME", name).replace("STRATEGY", strategy).replace("POLICY", policy)


def write(path: Path, *parts: str) -> str:
    path.write_text("---".join(parts), encoding="utf-8")
    return str(path)


def candles(path: Path, symbol: str, *, bars: int, price: str) -> Path:
    """Write a file of candles that look like a market's."""
    made = SyntheticSettings(
        seed=11,
        symbol=symbol,
        interval_us=60_000_000,
        start_us=START_US,
        bars=bars,
        start_price=price,
        annual_volatility="2.0",
    )
    lines = ["open_time,open,high,low,close,volume"]
    lines += [
        f"{bar.open_us // 1000},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}" for bar in made.open().bars()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
