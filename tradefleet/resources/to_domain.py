"""Whole plans for the machines: an Exchange's terms, a bot's configuration, the bars that a feed brings.

The Governor's plan and the backtest both start from here, so a fleet and its backtest cannot differ in what a resource
means. `machines` holds the mapping of the single values.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.ids import AccountId, BotUid, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import to_ppm
from tradefleet.resources import machines
from tradefleet.resources.backtest import Costs
from tradefleet.resources.common import Mode, Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange, SimulatedMarket
from tradefleet.resources.feed import Feed
from tradefleet.resources.machines import bps_to_ppm, machine_instruments, quote_asset
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Problem, suggestion
from tradefleet.resources.trading_bot import TradingBot

Series = tuple[Symbol, int]  # an instrument and the length of its bars in microseconds

# Whose UIDs a backtest makes: a resource that no fleet has stored has none, and client order ids need one (rule 1).
_BACKTEST = uuid.uuid5(uuid.NAMESPACE_DNS, "backtest.tradefleet.dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTerms:
    """What trading on an Exchange means: fractions in parts per million, amounts in quote atoms, None is no limit."""

    exchange: str  # "namespace/name"
    account: AccountId
    instruments: Mapping[Symbol, Instrument]
    maker_ppm: int
    taker_ppm: int
    slippage_ppm: int = 0
    slippage_ticks: int = 0
    participation_ppm: int | None = None
    market: SimulatedMarket = SimulatedMarket.REPLAY
    paper: bool = True
    max_order_atoms: int | None = None
    max_position_atoms: int | None = None  # of an instrument, over all bots
    max_open_orders: int | None = None
    max_orders_per_second: int | None = None

    def settings(self, series: Iterable[Series]) -> dict[str, object]:
        """Return what gateway, simulator and bots of the exchange are told, as JSON values (`ExchangeSettings`).

        `series` are the bars that its feeds bring.
        """
        intervals_us: dict[Symbol, list[int]] = {}
        for symbol, interval_us in sorted(series):
            intervals_us.setdefault(symbol, []).append(interval_us)
        return {
            "exchange": self.exchange,
            "account": self.account,
            "instruments": [
                {**instrument.listing()._asdict(), "intervals_us": intervals_us.get(symbol, [])}
                for symbol, instrument in sorted(self.instruments.items())
            ],
            "maker_ppm": self.maker_ppm,
            "taker_ppm": self.taker_ppm,
            "slippage_ppm": self.slippage_ppm,
            "slippage_ticks": self.slippage_ticks,
            "participation_ppm": self.participation_ppm,
            "market": str(self.market),
            "paper": self.paper,
            "limits": {
                "max_order_atoms": self.max_order_atoms,
                "max_position_atoms": self.max_position_atoms,
                "max_open_orders": self.max_open_orders,
                "max_orders_per_second": self.max_orders_per_second,
            },
        }


def exchange_terms(exchange: Exchange, *, costs: Costs | None = None) -> ExchangeTerms:
    """Return the terms of `exchange`; `costs` (of a Backtest) take the place of its own where they are given.

    Raises InvalidResource when ticks, lots, the assets' decimals and the limits do not fit together.
    """
    spec = exchange.spec
    instruments = machine_instruments(exchange)
    simulator = spec.simulator
    slippage_bps = simulator.slippage_bps if simulator else None
    slippage_ticks = simulator.slippage_ticks if simulator else None
    participation = simulator.participation if simulator else None
    maker_bps, taker_bps = spec.fees.maker_bps, spec.fees.taker_bps
    if costs is not None:
        maker_bps = maker_bps if costs.maker_bps is None else costs.maker_bps
        taker_bps = taker_bps if costs.taker_bps is None else costs.taker_bps
        if costs.slippage_bps is not None or costs.slippage_ticks is not None:
            slippage_bps, slippage_ticks = costs.slippage_bps, costs.slippage_ticks
    scale = _limit_scale(exchange, instruments)
    limits = spec.limits
    return ExchangeTerms(
        exchange=exchange.key.full_name,
        account=AccountId(f"{exchange.key.full_name}:{spec.account}"),
        instruments=instruments,
        maker_ppm=bps_to_ppm(maker_bps),
        taker_ppm=bps_to_ppm(taker_bps),
        slippage_ppm=0 if slippage_bps is None else bps_to_ppm(slippage_bps),
        slippage_ticks=slippage_ticks or 0,
        participation_ppm=None if participation is None else to_ppm(participation, "participation"),
        market=simulator.market if simulator else SimulatedMarket.REPLAY,
        paper=spec.mode is Mode.PAPER,
        max_order_atoms=_limit(exchange, "maxOrderNotional", limits.max_order_notional, scale),
        max_position_atoms=_limit(exchange, "maxPositionNotional", limits.max_position_notional, scale),
        max_open_orders=limits.max_open_orders,
        max_orders_per_second=limits.max_orders_per_second,
    )


def bot_config(bot: TradingBot, exchange: Exchange, *, warmup_bars: int) -> BotConfig:
    """Return `bot` for the machines; `warmup_bars` is what its strategy asks for, at least one.

    The bot must have a uid: `with_backtest_uid` gives one to a bot that no fleet has stored. Raises InvalidResource,
    naming the field, for an instrument without tick and lot, for instruments of several quote assets, and for a
    wallet that holds anything but their quote asset.
    """
    spec = bot.spec
    known = machine_instruments(exchange)
    for index, symbol in enumerate(spec.instruments):
        if symbol not in known:
            path = ("spec", "instruments", index)
            message = f"{symbol} has no tickSize and lotSize in spec.instruments of {exchange.key}"
            remedy = "; ".join(filter(None, ["add it there", suggestion(symbol, known)]))
            raise _invalid(bot, path, message, remedy)
    quote = quote_asset(bot, exchange)
    for asset in spec.wallet:
        if asset != quote:
            message = f"holds {asset}, and the bot's instruments are quoted in {quote}, the only asset it starts with"
            raise _invalid(bot, ("spec", "wallet", asset), message, f"give the amount in {quote}")
    return machines.bot_config(bot, exchange, warmup_bars=max(1, warmup_bars))


def with_backtest_uid(bot: TradingBot) -> TradingBot:
    """Return `bot` with a uid made from namespace and name, whatever it had: a backtest is the same everywhere."""
    uid = BotUid(str(uuid.uuid5(_BACKTEST, bot.key.full_name)))
    return bot.model_copy(update={"metadata": bot.metadata.model_copy(update={"uid": uid})})


def played_series(feed: Feed, datasets: Mapping[str, Dataset]) -> frozenset[Series]:
    """Return what a replaying `feed` plays; `datasets` are those of its namespace by name.

    Raises InvalidResource for a Dataset that is not there, and for a feed that replays nothing.
    """
    replay = feed.spec.replay
    if replay is None:
        raise _invalid(feed, ("spec", "replay"), "is not there: only a replay says beforehand what it brings")
    there = {(Symbol(each.instrument), parse_interval(each.interval)) for each in replay.files}
    for index, reference in enumerate(replay.dataset_refs):
        dataset = datasets.get(reference.name)
        if dataset is None:
            path = ("spec", "replay", "datasetRefs", index, "name")
            message = f"there is no Dataset {reference.name} in {feed.metadata.namespace}"
            raise _invalid(feed, path, message, suggestion(reference.name, datasets))
        there |= dataset_series(dataset)
    return _chosen(there, feed.spec.instruments, feed.spec.intervals)


def dataset_series(dataset: Dataset) -> frozenset[Series]:
    """Return what `dataset` holds."""
    return frozenset((Symbol(symbol), parse_interval(interval)) for symbol, interval in dataset.spec.series)


def _chosen(there: Iterable[Series], symbols: Iterable[str], intervals: Iterable[str]) -> frozenset[Series]:
    wanted_symbols, wanted_us = set(symbols), {parse_interval(each) for each in intervals}
    return frozenset(
        (symbol, interval_us)
        for symbol, interval_us in there
        if (not wanted_symbols or symbol in wanted_symbols) and (not wanted_us or interval_us in wanted_us)
    )


def _limit_scale(exchange: Exchange, instruments: Mapping[Symbol, Instrument]) -> int:
    """Return the decimals in which the account's limits are counted. Limits over several quotes cannot be."""
    limits = exchange.spec.limits
    scales = {instrument.quote: instrument.quote_scale for instrument in instruments.values()}
    amounts = {"maxOrderNotional": limits.max_order_notional, "maxPositionNotional": limits.max_position_notional}
    if len(set(scales.values())) > 1:
        for name, amount in amounts.items():
            if amount is not None:
                assets = ", ".join(f"{asset} with {scale} decimals" for asset, scale in sorted(scales.items()))
                message = f"is one amount for quote assets that are counted differently: {assets}"
                remedy = "set equal assetScales, or limit each bot by its own risk"
                raise _invalid(exchange, ("spec", "limits", name), message, remedy)
    return next(iter(scales.values()), 0)


def _limit(exchange: Exchange, name: str, amount: Decimal | None, scale: int) -> int | None:
    return None if amount is None else machines.amount_atoms(exchange, ("spec", "limits", name), amount, scale)


def _invalid(owner: Resource, path: FieldPath, message: str, remedy: str = "") -> InvalidResource:
    return InvalidResource([Problem(resource=str(owner.key), path=path, message=message, remedy=remedy)])
