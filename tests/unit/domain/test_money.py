"""Exact money: every rounding goes where its name says, and the border refuses what it would have to round."""

import decimal
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.money import (
    PPM,
    SCALE_MAX,
    divide_half_even,
    divide_up,
    fee_atoms,
    from_atoms,
    multiply_exactly,
    parse_decimal,
    plain_decimal,
    share_ppm,
    to_atoms,
    to_ppm,
)

WHOLE = st.integers(-(10**38), 10**38)
DIVISORS = st.integers(1, 10**20)
SCALES = st.integers(0, SCALE_MAX)


@given(WHOLE, DIVISORS)
@example(5, 10)
@example(15, 10)
@example(-5, 10)
@example(-15, 10)
def test_half_even_division_is_the_rounding_of_the_exact_fraction(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(WHOLE, DIVISORS)
def test_division_up_is_the_ceiling_of_the_exact_fraction(numerator: int, denominator: int) -> None:
    assert divide_up(numerator, denominator) == ceil(Fraction(numerator, denominator))


@given(st.integers(0, 10**30), st.integers(0, PPM))
def test_a_fee_is_never_below_the_exact_one_and_never_a_whole_atom_above_it(notional: int, ppm: int) -> None:
    excess = fee_atoms(notional, ppm) - Fraction(notional * ppm, PPM)
    assert 0 <= excess < 1


@given(st.integers(0, 10**30), st.integers(-PPM, -1))
def test_a_rebate_is_never_larger_than_the_exact_one(notional: int, ppm: int) -> None:
    rebate = -fee_atoms(notional, ppm)
    assert 0 <= Fraction(notional * -ppm, PPM) - rebate < 1


@given(st.integers(-(10**30), 10**30), st.integers(-PPM, PPM))
def test_a_share_is_the_nearest_atom(atoms: int, ppm: int) -> None:
    assert share_ppm(atoms, ppm) == round(Fraction(atoms * ppm, PPM))


@given(st.integers(1 - 10**20, 10**20 - 1), SCALES)
def test_atoms_become_an_amount_and_the_same_atoms_again(atoms: int, scale: int) -> None:
    assert to_atoms(from_atoms(atoms, scale), scale) == atoms


@given(st.decimals(min_value=-(10**19), max_value=10**19, allow_nan=False, allow_infinity=False), SCALES)
@example(Decimal("0.10"), 1)
@example(Decimal("0." + "0" * 90 + "1"), 18)
@example(Decimal("1." + "0" * 90 + "1"), 18)
@example(Decimal("1." + "0" * 90), 0)
def test_an_amount_is_taken_exactly_or_refused(amount: Decimal, scale: int) -> None:
    exact = Fraction(amount) * 10**scale
    if exact.denominator == 1:
        assert to_atoms(amount, scale) == exact
    else:
        with pytest.raises(InvalidValue, match="finer than the asset's scale"):
            to_atoms(amount, scale)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_an_amount_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="finite"):
        to_atoms(Decimal(text), 8)


@pytest.mark.parametrize("text", ["1E+20", "-1E+20", "1E+999999", "123456789012345678901"])
def test_an_amount_that_no_column_holds_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="20 digits before the point"):
        to_atoms(Decimal(text), 8)


@pytest.mark.parametrize("text", ["1E-999999", "0.000000001"])
def test_an_amount_below_an_atom_is_refused_however_small_it_is(text: str) -> None:
    with pytest.raises(InvalidValue, match="finer"):
        to_atoms(Decimal(text), 8)


@pytest.mark.parametrize("text", ["0", "-0", "0E+999999", "0.00000000000000000000000"])
def test_nothing_is_zero_atoms_however_it_is_written(text: str) -> None:
    assert to_atoms(Decimal(text), 0) == 0


def test_a_product_keeps_all_digits_in_a_narrow_context() -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        product = multiply_exactly(Decimal("0.00000001"), 123_456_789_012_345_678)
    assert product == Decimal("1234567890.12345678")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_written_decimal_is_read_as_it_is(value: Decimal) -> None:
    assert parse_decimal(str(value), "price") == value


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "inf", "0x10"])
def test_what_is_no_decimal_is_refused_with_its_name_and_text(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"price must be a .*") as caught:
        parse_decimal(text, "price")
    assert repr(text) in str(caught.value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25))
def test_plain_digits_are_the_amount_itself_and_one_text_for_each_amount(value: Decimal) -> None:
    text = plain_decimal(value)
    assert Fraction(text) == Fraction(value)
    assert plain_decimal(Decimal(text + ("0" if "." in text else ".0"))) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("-0.000000000000000001", "-0.000000000000000001"),
        ("0E-18", "0"),
        ("-0.0", "0"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_amounts_are_shown_without_exponent_and_idle_zeros(value: str, text: str) -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        assert plain_decimal(Decimal(value)) == text


def test_a_fraction_becomes_parts_per_million() -> None:
    assert to_ppm(Decimal("0.001"), "fee") == 1_000
    assert to_ppm(Decimal("-0.000025"), "fee") == -25


def test_a_fraction_finer_than_a_millionth_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match=r"fee must be a multiple of 0\.000001, was 1E-7"):
        to_ppm(Decimal("0.0000001"), "fee")
