"""Resources → what the machines and the workloads' settings take."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.resources.cases import BOT, body, changed
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import DeadManSwitch
from tradefleet.domain.ids import Symbol
from tradefleet.resources.backtest import Costs
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange, SimulatedMarket
from tradefleet.resources.feed import Feed
from tradefleet.resources.problems import InvalidResource, Problem
from tradefleet.resources.to_domain import (
    bot_config,
    dataset_series,
    exchange_terms,
    played_series,
    with_backtest_uid,
)
from tradefleet.resources.trading_bot import TradingBot
from workloads.exchange.settings import ExchangeSettings

BTC, LTC = Symbol("BTC-USD"), Symbol("LTC-USD")
EXCHANGE = body(
    "Exchange",
    "simulator",
    {
        "venue": "simulator",
        "instruments": [
            {"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.00001", "minNotional": "5"},
            {"symbol": "LTC-USD", "tickSize": "0.001", "lotSize": "0.01"},
        ],
        "fees": {"makerBps": "-0.5", "takerBps": "7.25"},
        "simulator": {"slippageBps": "1.5", "participation": "0.25"},
        "limits": {
            "maxOrderNotional": "2500.5",
            "maxPositionNotional": 9000,
            "maxOpenOrders": 7,
            "maxOrdersPerSecond": 3,
        },
    },
)


def exchange(**changes: object) -> Exchange:
    return Exchange.parse(changed(EXCHANGE, **changes))


def bot(**changes: object) -> TradingBot:
    return with_backtest_uid(TradingBot.parse(changed(BOT, **changes)))


def refused(call, *arguments: object, **options: object) -> Problem:
    with pytest.raises(InvalidResource) as caught:
        call(*arguments, **options)
    (problem,) = caught.value.problems
    return problem


def test_the_terms_of_an_exchange_are_exact() -> None:
    terms = exchange_terms(exchange())
    assert (terms.exchange, terms.account) == ("default/simulator", "default/simulator:main")
    assert (terms.maker_ppm, terms.taker_ppm) == (-50, 725)
    assert (terms.slippage_ppm, terms.slippage_ticks) == (150, 0)
    assert terms.participation_ppm == 250_000
    assert terms.market is SimulatedMarket.REPLAY
    assert terms.max_order_atoms == 2500_50000000
    assert terms.max_position_atoms == 9000_00000000
    assert (terms.max_open_orders, terms.max_orders_per_second) == (7, 3)
    assert terms.instruments[BTC].min_notional_atoms == 5 * 10**8
    assert terms.instruments[LTC].tick == Decimal("0.001")


def test_costs_of_a_backtest_replace_what_they_name_and_nothing_else() -> None:
    terms = exchange_terms(exchange(), costs=Costs(taker_bps=Decimal(2), slippage_ticks=4))
    assert (terms.maker_ppm, terms.taker_ppm) == (-50, 200)
    assert (terms.slippage_ppm, terms.slippage_ticks) == (0, 4)
    free = exchange_terms(exchange(), costs=Costs(slippage_bps=Decimal(0)))
    assert (free.taker_ppm, free.slippage_ppm, free.slippage_ticks) == (725, 0, 0)


def test_the_workloads_settings_say_the_same_as_the_terms() -> None:
    terms = exchange_terms(exchange())
    series = [(BTC, 5 * MINUTE_US), (BTC, MINUTE_US)]
    settings = msgspec.convert(terms.settings(series), ExchangeSettings)
    venue, gateway = settings.to_venue_config(), settings.to_gateway_config()
    assert dict(gateway.instruments) == dict(terms.instruments)
    assert (venue.maker_ppm, venue.taker_ppm, venue.slippage_ppm) == (-50, 725, 150)
    assert venue.participation_ppm == 250_000
    assert venue.intervals_us == {BTC: (MINUTE_US, 5 * MINUTE_US)}
    assert gateway.finest_us == {BTC: MINUTE_US}
    assert gateway.limits.max_order_atoms == terms.max_order_atoms
    assert gateway.limits.max_open_orders == 7
    ticks = msgspec.convert(
        exchange_terms(exchange(), costs=Costs(slippage_ticks=4)).settings(series), ExchangeSettings
    )
    assert ticks.to_venue_config().slippage_ticks == 4


def test_settings_survive_json() -> None:
    settings = exchange_terms(exchange()).settings([(BTC, MINUTE_US)])
    assert msgspec.json.decode(msgspec.json.encode(settings), type=ExchangeSettings) == msgspec.convert(
        settings, ExchangeSettings
    )


@given(st.decimals(min_value=0, max_value=1000, places=2), st.decimals(min_value=-100, max_value=1000, places=2))
def test_every_fee_and_slippage_that_is_accepted_has_an_exact_ppm(slippage: Decimal, fee: Decimal) -> None:
    terms = exchange_terms(
        exchange(
            spec__fees={"makerBps": format(fee, "f"), "takerBps": format(fee, "f")},
            spec__simulator={"slippageBps": format(slippage, "f")},
        )
    )
    assert Decimal(terms.slippage_ppm) == slippage * 100
    assert Decimal(terms.maker_ppm) == Decimal(terms.taker_ppm) == fee * 100


def test_a_limit_over_quote_assets_of_other_decimals_is_refused() -> None:
    instruments = [
        {"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.001"},
        {"symbol": "ETH-BTC", "tickSize": "0.01", "lotSize": "0.001"},
    ]
    mixed = exchange(spec__instruments=instruments, spec__assetScales={"USD": 2})
    problem = refused(exchange_terms, mixed)
    assert problem.path == ("spec", "limits", "maxOrderNotional")
    assert "USD with 2 decimals" in problem.message
    without = exchange(spec__instruments=instruments, spec__assetScales={"USD": 2}, spec__limits={})
    assert exchange_terms(without).max_order_atoms is None


def test_a_limit_finer_than_an_atom_is_refused() -> None:
    problem = refused(exchange_terms, exchange(spec__limits={"maxOrderNotional": "0.000000001"}))
    assert problem.path == ("spec", "limits", "maxOrderNotional")
    assert "finer than the asset's scale" in problem.message


def test_a_bot_becomes_its_config() -> None:
    config = bot_config(
        bot(spec__risk={"maxDailyLossPercent": "2.5", "maxDataAge": "90s"}, spec__interval="5m"),
        exchange(),
        warmup_bars=0,
    )
    assert (config.key, config.generation) == ("default/trend", 1)
    assert config.wallet == {"USD": 10_000 * 10**8}
    assert config.interval_us == 5 * MINUTE_US
    assert config.limits.max_daily_loss_ppm == 25_000
    assert config.limits.max_data_age_us == 90_000_000
    assert config.warmup_bars == 1  # a decision needs a bar


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"spec__instruments": ["ETH-USD"]}, ("spec", "instruments", 0), "ETH-USD has no tickSize and lotSize"),
        ({"spec__wallet": {"USD": 5, "BTC": 1}}, ("spec", "wallet", "BTC"), "holds BTC"),
        ({"spec__wallet": {"USD": "0.000000001"}}, ("spec", "wallet", "USD"), "finer than the asset's scale"),
    ],
)
def test_a_bot_that_does_not_fit_its_exchange_names_the_field(changes, path, message: str) -> None:
    problem = refused(bot_config, bot(**changes), exchange(), warmup_bars=1)
    assert problem.path == path
    assert message in problem.message
    assert problem.resource == "TradingBot default/trend"


@pytest.mark.parametrize(
    ("switch", "dead_man"),
    [
        ({}, DeadManSwitch(after_us=15 * MINUTE_US)),
        ({"after": "30s", "action": "Flatten"}, DeadManSwitch(after_us=MINUTE_US // 2, flattens=True)),
        (None, None),
    ],
    ids=["default", "all said", "none"],
)
def test_a_dead_mans_switch_is_part_of_the_config(
    switch: dict[str, str] | None, dead_man: DeadManSwitch | None
) -> None:
    changes = {} if switch is None else {"spec__deadManSwitch": switch}
    assert bot_config(bot(**changes), exchange(), warmup_bars=1).dead_man == dead_man


def test_the_uid_of_a_backtest_follows_from_namespace_and_name_alone() -> None:
    plain = bot().metadata.uid
    assert plain == bot(metadata__uid="given", spec__seed=5).metadata.uid
    assert plain != bot(metadata__name="other").metadata.uid
    assert plain != bot(metadata__namespace="elsewhere").metadata.uid


def feed(**changes: object) -> Feed:
    spec = {"exchangeRef": {"name": "simulator"}, "replay": {"datasetRefs": [{"name": "history"}]}}
    return Feed.parse(changed(body("Feed", "replay", spec), **changes))


def dataset() -> Dataset:
    spec = {"synthetic": {"bars": 10}, "instruments": ["BTC-USD", "LTC-USD"], "intervals": ["1m", "5m"]}
    return Dataset.parse(body("Dataset", "history", spec))


def test_a_feed_plays_what_its_datasets_hold_and_it_chooses() -> None:
    datasets = {"history": dataset()}
    assert played_series(feed(), datasets) == dataset_series(dataset())
    assert len(dataset_series(dataset())) == 4
    chosen = feed(spec__instruments=["LTC-USD"], spec__intervals=["5m"])
    assert played_series(chosen, datasets) == {(LTC, 5 * MINUTE_US)}


def test_a_dataset_that_is_not_there_is_named_with_a_suggestion() -> None:
    problem = refused(played_series, feed(), {"histori": dataset()})
    assert problem.path == ("spec", "replay", "datasetRefs", 0, "name")
    assert problem.remedy == "did you mean histori?"


def test_a_live_feed_plays_nothing() -> None:
    live = Feed.parse(body("Feed", "live", {"exchangeRef": {"name": "simulator"}, "market": {}}))
    assert refused(played_series, live, {}).path == ("spec", "replay")
