from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.money import to_atoms
from tradefleet.resources.values import Amount, Duration, Interval, Percent, Quantity, duration_us, instant_us

AMOUNT = TypeAdapter(Amount)
INTERVAL = TypeAdapter(Interval)
DURATION = TypeAdapter(Duration)


@given(st.decimals(min_value=0, max_value=Decimal(10) ** 20 - 1, places=18))
def test_an_amount_survives_being_written_and_read(amount: Decimal):
    written = AMOUNT.dump_json(AMOUNT.validate_python(amount))
    assert AMOUNT.validate_json(written) == amount


@given(st.decimals(min_value=0, max_value=Decimal(10) ** 20 - 1, places=18))
def test_every_accepted_amount_fits_the_finest_asset(amount: Decimal):
    text = format(amount, ".18f")
    assert to_atoms(AMOUNT.validate_python(text), 18) == int(text.replace(".", ""))


@pytest.mark.parametrize("value", [True, None, "1.", ".5", "+1", " 1", "1\n", "NaN", "Infinity", "١", "1" * 21, 10**20])
def test_what_is_no_amount_is_refused(value: object):
    with pytest.raises(ValidationError, match="must be an amount"):
        AMOUNT.validate_python(value)


def test_a_float_is_refused_with_the_reason_and_the_remedy():
    with pytest.raises(ValidationError, match=r'binary fraction, so put it in quotes: "0\.1"'):
        AMOUNT.validate_python(0.1)


def test_a_percentage_is_never_finer_than_a_part_per_million():
    with pytest.raises(ValidationError, match="at most 4 decimals"):
        TypeAdapter(Percent).validate_python("0.00001")


@given(st.integers(1, 99_999), st.sampled_from("smhdw"))
def test_every_interval_is_one_that_the_domain_knows(count: int, unit: str):
    text = f"{count}{unit}"
    assert parse_interval(INTERVAL.validate_python(text)) > 0


@given(st.text(max_size=8))
def test_text_is_an_interval_only_when_the_domain_can_read_it(text: str):
    try:
        accepted = INTERVAL.validate_python(text)
    except ValidationError:
        return
    assert parse_interval(accepted) > 0


def test_durations_are_in_microseconds():
    texts = ["5ms", "90s", "10m", "2h", "1d"]
    assert [duration_us(DURATION.validate_python(text)) for text in texts] == [
        5_000,
        90_000_000,
        600_000_000,
        7_200_000_000,
        86_400_000_000,
    ]


def test_an_instant_without_a_time_is_midnight_utc():
    assert instant_us("1970-01-02") == instant_us("1970-01-02T00:00:00Z") == 86_400_000_000


def test_a_quantity_may_be_a_whole_number():
    assert TypeAdapter(Quantity).validate_python(2) == "2"
