"""A backtest in three lines, for who writes a strategy:

    from workloads.backtest.quick import backtest, result_text

    print(result_text(backtest(SmaCross, "coinbase_BTC-USD_1m.csv.gz", fast=15, slow=60)))

It is the run of `tradefleet backtest`, with an exchange made up from the arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tradefleet.domain.bar import format_interval, parse_interval
from tradefleet.domain.bots import BotConfig, ParameterValue, RiskLimits, Sizing
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.money import BPS_PPM, parse_decimal, to_atoms
from workloads.backtest.output import result_text
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.results import BacktestResult
from workloads.backtest.run import run_backtest
from workloads.exchange.settings import ExchangeSettings, InstrumentSettings
from workloads.feeds.ports import BarSource
from workloads.feeds.replay import Replay, Selection
from workloads.feeds.sources.files import open_file
from workloads.strategy.api import Strategy
from workloads.strategy.registry import load_strategy

__all__ = ["backtest", "result_text"]

KEY = BotKey("default/backtest")
ASSET_SCALE = 8


def backtest(
    strategy: str | type[Strategy],
    data: str | Path | BarSource | Sequence[str | Path | BarSource],
    *,
    wallet: Mapping[str, str | int] | None = None,
    interval: str | None = None,
    fee_bps: int = 10,
    slippage_bps: int = 0,
    tick: str = "0.01",
    lot: str = "0.00000001",
    sizing: Sizing | None = None,
    limits: RiskLimits | None = None,
    seed: int = 0,
    **parameters: ParameterValue,
) -> BacktestResult:
    """Return what `strategy` (a class, a built-in name or `module:Class`) would have done on `data`.

    `data` are files of candles, named like coinbase_BTC-USD_1m.csv.gz, or sources; all are traded by one bot, on bars
    of `interval` (by default the finest). The wallet is 10,000 of the quote asset, where none is given. `parameters`
    are the strategy's own. Raises what `run_backtest` raises, and InvalidValue for arguments that cannot be.
    """
    kind = load_strategy(strategy) if isinstance(strategy, str) else strategy
    warmup = kind(**parameters).warmup
    given = [data] if isinstance(data, (str, Path)) or not isinstance(data, Sequence) else list(data)
    sources = [open_file(Path(each)) if isinstance(each, (str, Path)) else each for each in given]
    described = [source.description for source in sources]
    symbols = tuple(dict.fromkeys(each.symbol for each in described))
    quotes = {symbol.split("-")[1] for symbol in symbols}
    if len(quotes) != 1:
        raise InvalidValue(f"backtest: data must be of one quote asset, was of {', '.join(sorted(quotes)) or 'none'}")
    quote = quotes.pop()
    finest_us = min(each.interval_us for each in described)
    interval_us = finest_us if interval is None else parse_interval(interval)
    bot = BotConfig(
        key=KEY,
        uid=BotUid("backtest"),
        generation=1,
        strategy=kind.title(),
        parameters=parameters,
        symbols=symbols,
        interval_us=interval_us,
        wallet={asset: _atoms(asset, amount) for asset, amount in (wallet or {quote: 10_000}).items()},
        sizing=sizing or Sizing(),
        limits=limits or replace(RiskLimits(), max_data_age_us=max(600_000_000, 2 * interval_us)),
        warmup_bars=max(1, warmup),
        seed=seed,
    )
    if set(bot.wallet) != {quote}:
        raise InvalidValue(f"backtest: wallet must hold {quote} and nothing else, holds {', '.join(bot.wallet)}")
    played = tuple(sorted({finest_us, interval_us}))
    settings = ExchangeSettings(
        exchange="default/backtest",
        account="default/backtest:main",
        instruments=tuple(
            InstrumentSettings(
                symbol=symbol, base=symbol.split("-")[0], quote=quote, tick=tick, lot=lot, intervals_us=played
            )
            for symbol in symbols
        ),
        maker_ppm=fee_bps * BPS_PPM,
        taker_ppm=fee_bps * BPS_PPM,
        slippage_ppm=slippage_bps * BPS_PPM,
    )
    replay = Replay(sources, Selection(symbols=frozenset(symbols), intervals_us=frozenset(played)))
    plan = BacktestPlan(
        title=f"{kind.title()} on {', '.join(symbols)} at {format_interval(interval_us)}",
        markets=(MarketPlan(settings=settings, bots=(bot,), replays=(replay,)),),
        build=lambda config: kind(**config.parameters),
    )
    return run_backtest(plan)


def _atoms(asset: str, amount: str | int) -> int:
    return to_atoms(parse_decimal(str(amount), f"wallet {asset}"), ASSET_SCALE)
