"""Every limit that a TradingBot's risk and an Exchange's limits declare bites in the gateway, as it was declared."""

from collections.abc import Callable

import msgspec
import pytest

from tests.unit.exchange.gateway.scenes import Player
from tests.unit.resources.cases import BOT, body, changed
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.ids import Symbol
from tradefleet.domain.orders import Reason
from tradefleet.domain.venue import SubmitOrder
from tradefleet.resources.exchange import Exchange, ExchangeLimits
from tradefleet.resources.model import Model
from tradefleet.resources.to_domain import bot_config, exchange_terms, with_backtest_uid
from tradefleet.resources.trading_bot import Risk, TradingBot
from workloads.exchange.settings import ExchangeSettings

Act = Callable[[Player], Reason]

EXCHANGE = body(
    "Exchange",
    "simulator",
    {
        "venue": "simulator",
        "instruments": [{"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.01"}],
        "assetScales": {"USD": 6},
    },
)


def declared(*, risk: dict[str, object], limits: dict[str, object]) -> Player:
    """Return a player of what resources say: a price of 100 ticks, at which a lot is worth 1 cent, and 10 USD."""
    exchange = Exchange.parse(changed(EXCHANGE, spec__limits=limits))
    bot = with_backtest_uid(TradingBot.parse(changed(BOT, spec__wallet={"USD": "10"}, spec__risk=risk)))
    settings = exchange_terms(exchange).settings([(Symbol("BTC-USD"), MINUTE_US)])
    config = msgspec.convert(settings, ExchangeSettings).to_gateway_config()
    return Player(bot_config(bot, exchange, warmup_bars=1), instruments=config.instruments, limits=config.limits)


def ask(player: Player, lots: int, price_ticks: int | None = None) -> Reason:
    """Buy, and return why the order was denied or made smaller; NONE for one that was not."""
    (key,) = player.configs
    player.buy(lots, price_ticks, bot=key)
    (order,) = player.last.orders.values()
    return order.reason


def buys(lots: int, price_ticks: int | None = None) -> Act:
    """Return an action: a buy of 100 lots rests, then comes this one."""

    def act(player: Player) -> Reason:
        assert ask(player, 100, 90) is Reason.NONE
        return ask(player, lots, price_ticks)

    return act


def falls(player: Player) -> Reason:
    """Hold half of the money while the price goes from 100 over 120 to 90, and buy again."""
    (key,) = player.configs
    player.hold(500, bot=key)
    player.price(120)
    player.price(90)
    return ask(player, 1)


def ages(player: Player) -> Reason:
    """Buy five minutes after the last bar."""
    player.market_us += 5 * MINUTE_US
    return ask(player, 1)


def sells_at(ticks: int) -> Act:
    """Return an action: the price of a position goes from 100 over 120 to `ticks`; the reason is that of the exit."""

    def act(player: Player) -> Reason:
        (key,) = player.configs
        player.hold(500, bot=key)
        player.price(120)
        player.price(ticks)
        sold = [each.client_order_id for each in player.last.venue_requests if isinstance(each, SubmitOrder)]
        return player.managed(sold[0]).reason if sold else Reason.NONE

    return act


RISK: dict[str, tuple[object, Act, Reason]] = {
    "maxOrderNotional": ("2", buys(300), Reason.ORDER_SIZE),
    "maxPositionNotional": ("2", buys(300), Reason.POSITION_LIMIT),
    "maxExposure": ("0.3", buys(300), Reason.EXPOSURE_LIMIT),
    "maxOpenOrders": (1, buys(1), Reason.OPEN_ORDERS),
    "maxOrdersPerMinute": (1, buys(1), Reason.ORDER_RATE),
    "priceCollarPercent": (1, buys(1, 103), Reason.PRICE_COLLAR),
    "maxDailyLossPercent": (1, falls, Reason.DAILY_LOSS),
    "maxDrawdownPercent": (10, falls, Reason.DRAWDOWN),
    "maxDataAge": ("4m", ages, Reason.STALE_DATA),
    "stopLossPercent": (5, sells_at(90), Reason.STOP_LOSS),
    "takeProfitPercent": (30, sells_at(150), Reason.TAKE_PROFIT),
    "trailingStopPercent": (15, sells_at(100), Reason.TRAILING_STOP),
}
LIMITS: dict[str, tuple[object, Act, Reason]] = {
    "maxOrderNotional": ("2", buys(300), Reason.ORDER_SIZE),
    "maxPositionNotional": ("2", buys(300), Reason.POSITION_LIMIT),
    "maxOpenOrders": (1, buys(1), Reason.OPEN_ORDERS),
    "maxOrdersPerSecond": (1, buys(1), Reason.ORDER_RATE),
}


@pytest.mark.parametrize("field", RISK)
def test_a_limit_of_a_bot_bites(field: str) -> None:
    value, act, reason = RISK[field]
    assert act(declared(risk={field: value}, limits={})) is reason
    assert act(declared(risk={}, limits={})) is Reason.NONE


@pytest.mark.parametrize("field", LIMITS)
def test_a_limit_of_an_exchange_bites(field: str) -> None:
    value, act, reason = LIMITS[field]
    assert act(declared(risk={}, limits={field: value})) is reason
    assert act(declared(risk={}, limits={})) is Reason.NONE


@pytest.mark.parametrize(("model", "table"), [(Risk, RISK), (ExchangeLimits, LIMITS)])
def test_no_declared_limit_is_left_out_here(model: type[Model], table: dict[str, object]) -> None:
    assert {field.alias for field in model.model_fields.values()} == set(table)
