"""The demo's fleet: resources made in memory from files of candles, or a labelled synthetic market.

Four strategies on every instrument, buy-and-hold among them as the yardstick; with one instrument the strategies come
in several shapes, so that there are always eight bots or more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradefleet.domain.bar import format_interval
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import API_VERSION, Resource
from tradefleet.resources.load import parse_body
from workloads.feeds.columns import Layout
from workloads.feeds.findings import Findings
from workloads.feeds.sources.files import open_file
from workloads.feeds.times import TimeUnit

EXCHANGE: Final = "simulator"
DATASET: Final = "market"
FEED: Final = "replay"
LOT: Final = "0.00000001"
DECIMALS_MAX: Final = 12  # of a price, quote per base
FEE_BPS: Final = "10"
SLIPPAGE_BPS: Final = "2"

SYNTHETIC_BARS: Final = 2160  # a day and a half of minutes
SYNTHETIC_SEED: Final = 7
SYNTHETIC_PRICES: Final = {"BTC-USD": "42000", "LTC-USD": "70"}

STRATEGIES: Final[tuple[dict[str, Any], ...]] = (
    {"name": "buy-and-hold"},
    {"name": "sma-cross", "params": {"fast": 15, "slow": 60}},
    {"name": "rsi-reversion", "params": {"period": 14, "oversold": 30, "exit": 55}},
    {"name": "bollinger", "params": {"period": 20, "width": 2.0}},
)
# For a single instrument: the same, each in several shapes.
SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"name": "buy-and-hold"},
    {"name": "sma-cross", "params": {"fast": 15}, "paramLists": {"slow": [60, 120, 240]}},
    {"name": "rsi-reversion", "params": {"oversold": 30, "exit": 55}, "paramLists": {"period": [14, 28]}},
    {"name": "bollinger", "params": {"width": 2.0}, "paramLists": {"period": [20, 60]}},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One instrument with its bars. `tick` is what its prices are multiples of; `price` is the last one."""

    symbol: str
    interval_us: int
    tick: str
    path: str = ""
    time_unit: str = ""

    @property
    def quote(self) -> str:
        """The asset that prices are in."""
        return self.symbol.split("-")[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFleet:
    """What the demo runs. `findings` is what the checks found in the files; `steps` how many bar times there are."""

    resources: tuple[Resource, ...]
    findings: Findings
    steps: int
    is_synthetic: bool


def fleet_of_files(paths: Sequence[Path], *, speed: str) -> DemoFleet:
    """Return the fleet that trades these files, after reading all of them.

    Raises UnusableSource or BrokenData for the first thing that is wrong, and Permanent for the same series twice.
    """
    findings = Findings()
    markets: list[Market] = []
    times: set[int] = set()
    for path in paths:
        source = open_file(path.absolute())
        described = source.description
        decimals = 0
        for bar in source.bars(findings):
            times.add(bar.close_us)
            decimals = max(decimals, *(_decimals(price) for price in (bar.open, bar.high, bar.low, bar.close)))
        markets.append(
            Market(
                symbol=described.symbol,
                interval_us=described.interval_us,
                tick=format(Decimal(1).scaleb(-decimals), "f"),
                path=str(path.absolute()),
                time_unit=_time_unit(path.absolute()),
            )
        )
    _refuse_twice(markets)
    dataset = {
        "files": [
            {
                "path": market.path,
                "instrument": market.symbol,
                "interval": format_interval(market.interval_us),
                "timeUnit": market.time_unit,
            }
            for market in markets
        ]
    }
    return DemoFleet(
        resources=tuple(_resources(markets, dataset, speed)), findings=findings, steps=len(times), is_synthetic=False
    )


def synthetic_fleet(*, speed: str, bars: int = SYNTHETIC_BARS) -> DemoFleet:
    """Return the fleet that trades a made-up market, the same one each time."""
    markets = [Market(symbol=symbol, interval_us=60_000_000, tick="0.01") for symbol in SYNTHETIC_PRICES]
    dataset = {
        "synthetic": {
            "seed": SYNTHETIC_SEED,
            "bars": bars,
            "startPrices": SYNTHETIC_PRICES,
            "annualVolatilityPercent": "80",
        },
        "instruments": list(SYNTHETIC_PRICES),
        "intervals": ["1m"],
    }
    return DemoFleet(
        resources=tuple(_resources(markets, dataset, speed)), findings=Findings(), steps=bars, is_synthetic=True
    )


def _refuse_twice(markets: Iterable[Market]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for market in markets:
        place = (market.symbol, market.interval_us)
        if place in seen:
            raise Permanent(
                f"{market.path}: holds {market.symbol} {format_interval(market.interval_us)}, as {seen[place]} does: "
                "name one of them"
            )
        seen[place] = market.path


def _time_unit(path: Path) -> str:
    """Return how the open times of a file are written, as a resource says it."""
    first = next(iter(open_file(path).bars())).open_us
    for unit in TimeUnit:
        try:
            bars = open_file(path, layout=Layout(time_unit=unit)).bars()
            if unit is not TimeUnit.AUTO and next(iter(bars)).open_us == first:
                return str(unit)
        except Permanent:
            continue  # the other units make no sense of these times
    raise Permanent(f"{path}: the open times are written in a way that a Dataset cannot name: use one of its timeUnits")


def _decimals(price: float) -> int:
    """Return how many decimals a price has as it is written."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return min(DECIMALS_MAX, max(0, -int(exponent)))


def _resources(markets: Sequence[Market], dataset: dict[str, Any], speed: str) -> Iterable[Resource]:
    ticks: dict[str, str] = {}
    for market in markets:
        ticks[market.symbol] = min(ticks.get(market.symbol, market.tick), market.tick, key=Decimal)
    yield _body(
        "Exchange",
        EXCHANGE,
        {
            "venue": "simulator",
            "instruments": [
                {
                    "symbol": symbol,
                    "tickSize": tick,
                    "lotSize": LOT,
                    "minNotional": format(_wallet(symbol.split("-")[1]) / 10_000, "f"),
                }
                for symbol, tick in ticks.items()
            ],
            "fees": {"makerBps": FEE_BPS, "takerBps": FEE_BPS},
            "simulator": {"market": "replay", "slippageBps": SLIPPAGE_BPS},
        },
    )
    yield _body("Dataset", DATASET, dataset)
    replay = {"datasetRefs": [{"name": DATASET}], "speed": speed}
    yield _body("Feed", FEED, {"exchangeRef": {"name": EXCHANGE}, "replay": replay})
    yield from _bot_sets(markets)


def _bot_sets(markets: Sequence[Market]) -> Iterable[Resource]:
    """Yield a set of bots for each quote asset and length of bars."""
    groups: dict[tuple[str, int], list[str]] = {}
    for market in markets:
        groups.setdefault((market.quote, market.interval_us), []).append(market.symbol)
    shapes = STRATEGIES if len(markets) > 1 else SHAPES
    for (quote, interval_us), symbols in groups.items():
        interval = format_interval(interval_us)
        name = "demo" if len(groups) == 1 else f"demo-{quote.lower()}-{interval}"
        yield _body(
            "BotSet",
            name,
            {
                "matrix": {"instruments": symbols, "strategies": [*shapes]},
                "template": {
                    "spec": {
                        "exchangeRef": {"name": EXCHANGE},
                        "interval": interval,
                        "wallet": {quote: format(_wallet(quote), "f")},
                        "risk": {"maxExposure": "1"},
                    }
                },
            },
        )


def _wallet(quote: str) -> Decimal:
    """Return the play money of a bot: ten thousand of a currency, ten of a coin."""
    return Decimal(10_000) if quote in {"USD", "EUR", "GBP", "CHF", "USDT", "USDC", "DAI", "BUSD"} else Decimal(10)


def _body(kind: str, name: str, spec: dict[str, Any]) -> Resource:
    return parse_body({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec})
