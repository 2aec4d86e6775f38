from decimal import Decimal

import pytest

from tests.unit.resources.cases import BOT, EXCHANGE, FULL_BOT, FULL_EXCHANGE, LIVE_EXCHANGE, changed
from tradefleet.domain.bots import RiskLimits, SizingMethod
from tradefleet.domain.bots import Sizing as MachineSizing
from tradefleet.domain.ids import Symbol
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.machines import bot_config, bps_to_ppm, machine_instruments, machine_sizing, quote_asset
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.trading_bot import TradingBot

STORED = changed(BOT, metadata__uid="u-1", metadata__generation=3)
STORED_FULL = changed(FULL_BOT, metadata__uid="u-2")


def test_instruments_have_the_grid_of_the_exchange():
    instrument = machine_instruments(Exchange.parse(FULL_EXCHANGE))[Symbol("BTC-USD")]
    assert (instrument.tick, instrument.lot, instrument.min_notional) == (Decimal("0.01"), Decimal("1E-8"), 10)
    assert (instrument.base_scale, instrument.quote_scale) == (8, 2)


def test_instruments_that_a_real_venue_fills_in_are_left_out():
    exchange = Exchange.parse(changed(LIVE_EXCHANGE, spec__instruments=[{"symbol": "BTC-USDT"}]))
    assert machine_instruments(exchange) == {}


def test_a_lot_finer_than_its_asset_is_refused_at_its_place():
    exchange = Exchange.parse(changed(EXCHANGE, spec__assetScales={"BTC": 4}))
    with pytest.raises(InvalidResource, match=r"spec.instruments\[0\]: .* finer than the 4 decimals of BTC"):
        machine_instruments(exchange)


def test_a_bot_without_limits_has_the_defaults_of_the_machines():
    config = bot_config(TradingBot.parse(STORED), Exchange.parse(EXCHANGE), warmup_bars=50)
    assert config.limits == RiskLimits()
    assert config.sizing == MachineSizing()
    assert (config.key, config.uid, config.generation, config.warmup_bars) == ("default/trend", "u-1", 3, 50)
    assert config.wallet == {"USD": 10_000 * 10**8}
    assert config.parameters == {"fast": 10, "slow": 50}


def test_limits_are_in_atoms_and_parts_per_million():
    config = bot_config(TradingBot.parse(STORED_FULL), Exchange.parse(FULL_EXCHANGE), warmup_bars=1)
    assert config.limits == RiskLimits(
        max_order_atoms=100_000,
        max_position_atoms=500_000,
        max_exposure_ppm=800_000,
        max_open_orders=5,
        max_orders_per_minute=30,
        price_collar_ppm=25_000,
        max_daily_loss_ppm=30_000,
        max_drawdown_ppm=125_000,
        max_data_age_us=90_000_000,
        stop_loss_ppm=20_000,
        take_profit_ppm=2_500_000,
        trailing_stop_ppm=15_000,
    )
    assert config.wallet == {"USD": 1_000_050, "BTC": 10**8}
    assert (config.interval_us, config.seed) == (300_000_000, 42)


def test_sizing_keeps_its_amount_exact():
    sizing = machine_sizing(TradingBot.parse(FULL_BOT).spec.sizing)
    assert (sizing.method, sizing.quote_amount, sizing.fraction) == (SizingMethod.FIXED, Decimal("250.5"), 0.5)


def test_an_amount_finer_than_its_asset_is_refused_at_its_place():
    bot = TradingBot.parse(changed(STORED, spec__wallet__USD="1.001"))
    exchange = Exchange.parse(changed(EXCHANGE, spec__assetScales={"USD": 2}))
    with pytest.raises(InvalidResource, match=r"TradingBot default/trend: spec\.wallet\.USD: .* finer"):
        bot_config(bot, exchange, warmup_bars=1)


def test_a_bot_that_was_never_stored_cannot_run():
    with pytest.raises(InvalidResource, match=r"metadata\.uid"):
        bot_config(TradingBot.parse(BOT), Exchange.parse(EXCHANGE), warmup_bars=1)


def test_the_instruments_of_a_bot_share_one_quote_asset():
    exchange = Exchange.parse(EXCHANGE)
    assert quote_asset(TradingBot.parse(BOT), exchange) == "USD"
    with pytest.raises(InvalidResource, match="BTC-USD in USD, ETH-BTC in BTC"):
        quote_asset(TradingBot.parse(changed(BOT, spec__instruments=["BTC-USD", "ETH-BTC"])), exchange)


def test_basis_points_are_exact_parts_per_million():
    assert [bps_to_ppm(Decimal(text)) for text in ("10", "0.01", "-0.5")] == [1000, 1, -50]
