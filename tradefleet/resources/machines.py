"""Resources → the values that the machines work with: instruments, limits and bots in ticks, lots and atoms.

The one place where what a user wrote becomes what a machine computes with, so that a backtest, a local fleet and a
cluster cannot read the same resource in different ways.
"""

from collections.abc import Mapping
from decimal import Decimal

from tradefleet.domain.bots import BotConfig, RiskLimits
from tradefleet.domain.bots import DeadManSwitch as MachineDeadManSwitch
from tradefleet.domain.bots import Sizing as MachineSizing
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import to_atoms, to_ppm
from tradefleet.resources.common import Resource
from tradefleet.resources.exchange import Exchange, TradedInstrument
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Problem
from tradefleet.resources.trading_bot import (
    BotSettings,
    DeadManAction,
    DeadManSwitch,
    Risk,
    Sizing,
    TradingBot,
)
from tradefleet.resources.values import duration_us

BPS = Decimal(10_000)  # basis points in one
PERCENT = Decimal(100)


def machine_instruments(exchange: Exchange) -> dict[Symbol, Instrument]:
    """Return the instruments of `exchange` that have tick and lot, by symbol; a real venue fills in the others.

    Raises InvalidResource when tick, lot and the assets' decimals do not fit together.
    """
    instruments = {}
    for index, each in enumerate(exchange.spec.instruments):
        if each.tick_size is None or each.lot_size is None:
            continue
        try:
            instruments[Symbol(each.symbol)] = _instrument(exchange, each, each.tick_size, each.lot_size)
        except InvalidValue as error:
            raise _invalid(exchange, ("spec", "instruments", index), str(error)) from error
    return instruments


def bot_config(bot: TradingBot, exchange: Exchange, *, warmup_bars: int) -> BotConfig:
    """Return `bot` for the machines; `warmup_bars` is what its strategy asks for.

    The bot must have been stored (it has a uid). Raises InvalidResource when its amounts do not fit the exchange's
    assets, or when an instrument is not on the exchange.
    """
    uid = bot.metadata.uid
    if uid is None:
        raise _invalid(bot, ("metadata", "uid"), "is not there yet: the fleet gives it when it stores the bot")
    spec = bot.spec
    return BotConfig(
        key=BotKey(bot.key.full_name),
        uid=BotUid(uid),
        generation=bot.metadata.generation or 1,
        strategy=spec.strategy.name,
        parameters=dict(spec.strategy.params),
        symbols=tuple(Symbol(symbol) for symbol in spec.instruments),
        interval_us=spec.interval_us,
        wallet=wallet_atoms(bot, spec.wallet, exchange),
        sizing=machine_sizing(spec.sizing),
        limits=machine_limits(bot, spec, quote_scale=exchange.spec.asset_scale(quote_asset(bot, exchange))),
        warmup_bars=warmup_bars,
        seed=spec.seed,
        deletion_policy=spec.deletion_policy,
        dead_man=machine_dead_man(spec.dead_man_switch),
    )


def quote_asset(bot: TradingBot, exchange: Exchange) -> str:
    """Return the asset that the bot's instruments are quoted in. Raises InvalidResource when there are several."""
    listed = {symbol: exchange.spec.instrument(symbol) for symbol in bot.spec.instruments}
    quotes = {symbol: each.quote_asset if each else symbol.split("-")[1] for symbol, each in listed.items()}
    first, *others = dict.fromkeys(quotes.values())
    if others:
        symbols = ", ".join(f"{symbol} in {quote}" for symbol, quote in quotes.items())
        message = f"must all be quoted in one asset, in which equity is measured: {symbols}"
        raise _invalid(bot, ("spec", "instruments"), message)
    return first


def wallet_atoms(owner: Resource, wallet: Mapping[str, Decimal], exchange: Exchange) -> dict[str, int]:
    """Return `wallet` in atoms. Raises InvalidResource for an amount finer than its asset's smallest unit."""
    return {
        asset: amount_atoms(owner, ("spec", "wallet", asset), amount, exchange.spec.asset_scale(asset))
        for asset, amount in wallet.items()
    }


def machine_sizing(sizing: Sizing) -> MachineSizing:
    """Return how wishes become sizes. The sizer works in doubles, and rounds to lots at its end."""
    return MachineSizing(
        method=sizing.method,
        fraction=float(sizing.fraction),
        quote_amount=sizing.quote_amount,
        target_volatility=float(sizing.target_volatility),
        lookback_bars=sizing.lookback_bars,
        kelly_cap=float(sizing.kelly_cap),
        rebalance_threshold=float(sizing.rebalance_threshold),
    )


def machine_dead_man(switch: DeadManSwitch | None) -> MachineDeadManSwitch | None:
    """Return what the gateway does for a bot that nobody runs, None for nothing."""
    if switch is None:
        return None
    return MachineDeadManSwitch(after_us=duration_us(switch.after), flattens=switch.action is DeadManAction.FLATTEN)


def machine_limits(owner: Resource, settings: BotSettings, *, quote_scale: int) -> RiskLimits:
    """Return the limits of a bot in atoms and parts per million. Raises InvalidResource for an amount too fine."""
    risk: Risk = settings.risk

    def amount(field: str, value: Decimal | None) -> int | None:
        return None if value is None else amount_atoms(owner, ("spec", "risk", field), value, quote_scale)

    return RiskLimits(
        max_order_atoms=amount("maxOrderNotional", risk.max_order_notional),
        max_position_atoms=amount("maxPositionNotional", risk.max_position_notional),
        max_exposure_ppm=_ppm(risk.max_exposure, Decimal(1)),
        max_open_orders=risk.max_open_orders,
        max_orders_per_minute=risk.max_orders_per_minute,
        price_collar_ppm=to_ppm(risk.price_collar_percent / PERCENT, "priceCollarPercent"),
        max_daily_loss_ppm=_ppm(risk.max_daily_loss_percent, PERCENT),
        max_drawdown_ppm=_ppm(risk.max_drawdown_percent, PERCENT),
        max_data_age_us=settings.max_data_age_us,
        stop_loss_ppm=_ppm(risk.stop_loss_percent, PERCENT),
        take_profit_ppm=_ppm(risk.take_profit_percent, PERCENT),
        trailing_stop_ppm=_ppm(risk.trailing_stop_percent, PERCENT),
    )


def bps_to_ppm(bps: Decimal) -> int:
    """Return basis points in parts per million, exactly: a fee's type allows two decimals."""
    return to_ppm(bps / BPS, "basis points")


def _instrument(exchange: Exchange, each: TradedInstrument, tick: Decimal, lot: Decimal) -> Instrument:
    return Instrument(
        symbol=Symbol(each.symbol),
        base=each.base_asset,
        quote=each.quote_asset,
        tick=tick,
        lot=lot,
        min_notional=each.min_notional or Decimal(0),
        base_scale=exchange.spec.asset_scale(each.base_asset),
        quote_scale=exchange.spec.asset_scale(each.quote_asset),
    )


def _ppm(value: Decimal | None, whole: Decimal) -> int | None:
    return None if value is None else to_ppm(value / whole, "limit")


def amount_atoms(owner: Resource, path: FieldPath, amount: Decimal, scale: int) -> int:
    """Return `amount`, the field at `path` of `owner`, in atoms. Raises InvalidResource when it is finer than one."""
    try:
        return to_atoms(amount, scale)
    except InvalidValue as error:
        raise _invalid(owner, path, str(error)) from error


def _invalid(owner: Resource, path: FieldPath, message: str) -> InvalidResource:
    return InvalidResource([Problem(resource=str(owner.key), path=path, message=message)])
