"""Ticks, lots and the money they stand for."""

import decimal
import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.domain.instruments import instrument, instruments
from tradefleet.domain.bar import PRICE_MAX
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.instrument import Instrument, Listing, price_max_of

LOTS = st.integers(1, 10**12)
TICKS = st.integers(1, 10**12)
PRICES = st.floats(allow_nan=False, allow_infinity=False)
NEAR_PRICES = st.floats(min_value=-1e9, max_value=1e9)


def exact_ratio(value: float, unit: Decimal) -> Fraction:
    """Return what a price or size is in units, by its shortest decimal form."""
    return Fraction(Decimal(repr(value))) / Fraction(unit)


def exact_notional(traded: Instrument, lots: int, ticks: int) -> Fraction:
    """Return the unrounded worth of lots in quote atoms."""
    return Fraction(traded.tick) * ticks * Fraction(traded.lot) * lots * 10**traded.quote_scale


@given(instruments(), LOTS, TICKS)
def test_a_notional_is_the_exact_product_rounded_half_even(traded: Instrument, lots: int, ticks: int) -> None:
    assert traded.notional_atoms(lots, ticks) == round(exact_notional(traded, lots, ticks))


@given(instruments(), LOTS, TICKS)
def test_a_notional_rounded_up_covers_the_exact_product(traded: Instrument, lots: int, ticks: int) -> None:
    assert traded.notional_atoms_up(lots, ticks) == ceil(exact_notional(traded, lots, ticks))


@given(instruments(), st.integers(0, 10**24), TICKS)
def test_affordable_lots_are_the_most_that_the_money_covers(traded: Instrument, atoms: int, ticks: int) -> None:
    lots = traded.affordable_lots(atoms, ticks)
    assert traded.notional_atoms_up(lots, ticks) <= atoms
    assert traded.notional_atoms_up(lots + 1, ticks) > atoms


@given(instruments(), st.integers(max_value=0), st.integers(max_value=0))
def test_no_money_and_no_price_afford_nothing(traded: Instrument, atoms: int, ticks: int) -> None:
    assert traded.affordable_lots(atoms, 10) == 0
    assert traded.affordable_lots(10, ticks) == 0


@given(instruments(), NEAR_PRICES | PRICES)
@example(instrument(tick=Decimal("0.25")), 2.0**48 / 4 + 0.125)
@example(instrument(), 0.015)
@example(instrument(), 0.025)
@example(instrument(), -0.005)
@example(instrument(tick=Decimal("1E-8")), 1e22)
@example(instrument(tick=Decimal("0.003")), 3377699720528.1343)
def test_a_market_price_is_the_nearest_tick_by_the_slow_exact_rule(traded: Instrument, price: float) -> None:
    assert traded.nearest_ticks(price) == round(exact_ratio(price, traded.tick))


@given(st.integers(2, 99_999), st.integers(2**44, 2**53), st.integers(-3, 3))
@example(3, 1125899906842623, 0)
def test_the_fast_way_to_the_nearest_tick_agrees_where_doubles_run_out(tick: int, ticks: int, off: int) -> None:
    traded = instrument(tick=Decimal(tick).scaleb(-4))
    price = float(Fraction(traded.tick) * (2 * ticks + 1) / 2) * (1 + off * 2**-52)
    assert traded.nearest_ticks(price) == round(exact_ratio(price, traded.tick))


@given(instruments(), st.integers(0, 10**15))
def test_the_price_of_a_tick_is_that_tick_again(traded: Instrument, ticks: int) -> None:
    price = float(traded.price(ticks))
    if Decimal(repr(price)) == traded.price(ticks):  # the double stands for exactly this price
        assert traded.nearest_ticks(price) == ticks
        assert traded.limit_ticks(price, buy=True) == ticks
        assert traded.limit_ticks(price, buy=False) == ticks


@given(instruments(), NEAR_PRICES | PRICES)
@example(instrument(), -0.015)
@example(instrument(), 0.0)
@example(instrument(), 1e300)
@example(instrument(tick=Decimal("0.3")), 0.9 + 1e-16)
def test_a_limit_price_rounds_to_its_safe_side(traded: Instrument, price: float) -> None:
    exact = exact_ratio(price, traded.tick)
    assert traded.limit_ticks(price, buy=True) == floor(exact)
    assert traded.limit_ticks(price, buy=False) == ceil(exact)


@given(instruments(), NEAR_PRICES | PRICES)
def test_a_size_rounds_down_to_whole_lots(traded: Instrument, size: float) -> None:
    assert traded.whole_lots(size) == floor(exact_ratio(size, traded.lot))


@given(instruments())
def test_the_highest_price_of_market_data_leaves_room_for_a_collar_and_slippage(traded: Instrument) -> None:
    highest = price_max_of(traded.tick)
    assert highest <= PRICE_MAX
    assert traded.nearest_ticks(highest) * 2 * 11 // 10 < 2**63
    assert traded.nearest_ticks(highest) > 2**60 or highest == PRICE_MAX


@given(instruments(), st.floats(min_value=0, max_value=1e15), TICKS)
def test_a_narrow_decimal_context_changes_nothing(traded: Instrument, value: float, ticks: int) -> None:
    wide = (
        traded.nearest_ticks(value),
        traded.limit_ticks(value, buy=True),
        traded.limit_ticks(value, buy=False),
        traded.whole_lots(value),
        traded.price(ticks),
        traded.size(ticks),
        traded.quote_amount(ticks),
    )
    with decimal.localcontext(decimal.Context(prec=2, rounding=ROUND_HALF_EVEN)):
        narrow = (
            traded.nearest_ticks(value),
            traded.limit_ticks(value, buy=True),
            traded.limit_ticks(value, buy=False),
            traded.whole_lots(value),
            traded.price(ticks),
            traded.size(ticks),
            traded.quote_amount(ticks),
        )
    assert narrow == wide


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_price_that_is_no_number_is_refused(value: float) -> None:
    traded = instrument()
    for convert in (traded.nearest_ticks, traded.whole_lots, lambda price: traded.limit_ticks(price, buy=True)):
        with pytest.raises(InvalidValue, match="BTC-USD: a price or size must be a finite number"):
            convert(value)


@given(instruments(), LOTS)
def test_lots_are_whole_base_atoms(traded: Instrument, lots: int) -> None:
    assert traded.base_atoms(lots) == Fraction(traded.size(lots)) * 10**traded.base_scale


def test_the_minimum_notional_is_rounded_up_to_an_atom() -> None:
    assert instrument(min_notional=Decimal("0.0000000001")).min_notional_atoms == 1
    assert instrument(min_notional=Decimal("10")).min_notional_atoms == 10 * 10**8


@given(instruments())
def test_an_instrument_comes_back_from_its_listing_through_json(traded: Instrument) -> None:
    values = json.loads(json.dumps(traded.listing()))
    assert Listing(*values).to_instrument() == traded


def test_the_listings_of_equal_instruments_are_equal_however_their_amounts_were_written() -> None:
    assert instrument(tick=Decimal("1E-2")).listing() == instrument(tick=Decimal("0.0100")).listing()
    assert instrument(tick=Decimal("1E-2")).listing().tick == "0.01"


def test_a_listing_whose_amount_is_no_decimal_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidValue, match=r"instrument BTC-USD: lot must be a decimal number such as 0\.01, was 'x'"):
        instrument().listing()._replace(lot="x").to_instrument()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tick": Decimal(0)}, "tick must be a number > 0, was 0"),
        ({"tick": Decimal("NaN")}, "tick must be a number > 0, was NaN"),
        ({"tick": Decimal("1E-19")}, "tick must have at most 20 digits before and 18 after the point"),
        ({"tick": Decimal("1E-400")}, "tick must have at most"),
        ({"tick": Decimal("1E+400")}, "tick must have at most"),
        ({"tick": Decimal("1.0000000000000000001")}, "tick must have at most"),
        ({"lot": Decimal(-1)}, "lot must be a number > 0, was -1"),
        ({"lot": Decimal("0.000000001")}, "lot 1E-9 is finer than the 8 decimals of BTC"),
        ({"base_scale": 19}, "base_scale must be 0 to 18, was 19"),
        ({"quote_scale": -1}, "quote_scale must be 0 to 18, was -1"),
        ({"base": "USD"}, "base and quote must differ, both are USD"),
        ({"min_notional": Decimal(-1)}, "min_notional must be a number >= 0, was -1"),
        ({"min_notional": Decimal("Infinity")}, "min_notional must be a number >= 0, was Infinity"),
        ({"min_notional": Decimal("1E+999999")}, "min_notional must be a number >= 0, was 1E+999999"),
    ],
)
def test_an_instrument_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        instrument(**changes)
    assert str(caught.value).startswith("instrument BTC-USD: ")
    assert message in str(caught.value)
