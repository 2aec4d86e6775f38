from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.strategy.paper import instrument
from workloads.strategy.rounding import price_ticks, size_lots


@pytest.mark.parametrize(
    ("price", "buy", "ticks"),
    [
        (99.999, True, 9_999),
        (99.991, False, 10_000),
        (100 * 0.99 * 0.99, True, 9_801),
        (0.1 + 0.2, False, 30),
        (Decimal("98.01"), True, 9_801),
        (98, False, 9_800),
    ],
)
def test_a_price_goes_to_its_safe_side_and_noise_to_what_was_meant(price, buy, ticks):
    assert price_ticks(instrument(), price, buy=buy) == ticks


@pytest.mark.parametrize(("size", "lots"), [(0.3 - 0.1, 2_000), (0.00019, 1), (1e-9, 0), (Decimal("0.0003"), 3)])
def test_a_size_goes_down_to_the_lot(size, lots):
    assert size_lots(instrument(), size) == lots


@given(st.integers(1, 10**11))
def test_what_is_held_can_be_named_exactly(lots):
    assert size_lots(instrument(), float(instrument().size(lots))) == lots
