"""A bot's config survives JSON as it is, since every gateway and every bot reads it from there."""

import json
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.bots import (
    BotConfig,
    DeadManSwitch,
    DeletionPolicy,
    RiskLimits,
    Sizing,
    SizingMethod,
    config_from_values,
    config_values,
)
from tradefleet.domain.ids import BotKey, BotUid, Symbol

PPM = st.none() | st.integers(1, 10**6)
ATOMS = st.none() | st.integers(0, 10**30)
FRACTIONS = st.floats(0, 10, allow_nan=False)

SIZINGS = st.builds(
    Sizing,
    method=st.sampled_from(SizingMethod),
    fraction=FRACTIONS,
    quote_amount=st.none() | st.decimals(0, 10**12, places=8),
    target_volatility=FRACTIONS,
    lookback_bars=st.integers(1, 500),
)
LIMITS = st.builds(
    RiskLimits,
    max_order_atoms=ATOMS,
    max_position_atoms=ATOMS,
    max_exposure_ppm=PPM,
    max_open_orders=st.none() | st.integers(0, 100),
    price_collar_ppm=st.integers(0, 10**6),
    max_daily_loss_ppm=PPM,
    max_data_age_us=st.none() | st.integers(1, 10**12),
    stop_loss_ppm=PPM,
    trailing_stop_ppm=PPM,
)
CONFIGS = st.builds(
    BotConfig,
    key=st.just(BotKey("default/one")),
    uid=st.uuids().map(lambda uid: BotUid(str(uid))),
    generation=st.integers(1, 1_000),
    strategy=st.sampled_from(["sma-cross", "my.module:Strategy"]),
    parameters=st.dictionaries(st.text(max_size=8), st.integers() | st.booleans() | st.text(max_size=8) | FRACTIONS),
    symbols=st.lists(st.sampled_from([Symbol("BTC-USD"), Symbol("LTC-USD")]), min_size=1, unique=True).map(tuple),
    interval_us=st.integers(1, 10**12),
    wallet=st.dictionaries(st.sampled_from(["USD", "BTC"]), st.integers(0, 10**30)),
    sizing=SIZINGS,
    limits=LIMITS,
    warmup_bars=st.integers(0, 500),
    seed=st.integers(0, 2**63),
    deletion_policy=st.sampled_from(DeletionPolicy),
    dead_man=st.none() | st.builds(DeadManSwitch, after_us=st.integers(1, 10**15), flattens=st.booleans()),
)


@given(CONFIGS)
def test_a_config_survives_json(config: BotConfig) -> None:
    assert config_from_values(json.loads(json.dumps(config_values(config)))) == config


def test_a_restored_config_has_its_own_types() -> None:
    config = BotConfig(
        key=BotKey("default/one"),
        uid=BotUid("u"),
        generation=1,
        strategy="dca",
        symbols=(Symbol("BTC-USD"),),
        interval_us=1,
        wallet={},
        sizing=Sizing(method=SizingMethod.FIXED, quote_amount=Decimal("1.50")),
    )
    restored = config_from_values(json.loads(json.dumps(config_values(config))))
    assert restored.sizing.method is SizingMethod.FIXED
    assert restored.deletion_policy is DeletionPolicy.CANCEL_ORDERS
    assert str(restored.sizing.quote_amount) == "1.50"


@given(CONFIGS)
def test_a_config_of_before_the_dead_mans_switch_has_none(config: BotConfig) -> None:
    values = json.loads(json.dumps(config_values(config)))
    del values["dead_man"]
    assert config_from_values(values) == replace(config, dead_man=None)
