"""Exact money between `Decimal` and the bytes of Avro's decimal(38, 18).

Our own rather than fastavro's conversion, which rounds a value of more than 38 digits when it reads one, and costs
three times as much: money is most of what an execution carries.
"""

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

from tradefleet.domain.errors import InvalidValue
from tradefleet.messages.fields import MONEY_PRECISION, MONEY_SCALE

_UNITS_LIMIT: Final = 10**MONEY_PRECISION
_BYTES_MAX: Final = (_UNITS_LIMIT.bit_length() + 8) >> 3
# Inexact is trapped: a value that needed rounding is an error, never a nearby value.
_EXACT: Final = Context(prec=2 * MONEY_PRECISION, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])


def money_units(value: Decimal) -> int:
    """Return `value` in units of 10 ** -18. Raises InvalidValue when it is finer, longer or not a number."""
    try:
        scaled = value.scaleb(MONEY_SCALE, _EXACT)
        units = int(scaled)
    except (ArithmeticError, ValueError) as error:
        raise InvalidValue(f"amount {value} does not fit decimal({MONEY_PRECISION}, {MONEY_SCALE})") from error
    if units != scaled or not -_UNITS_LIMIT < units < _UNITS_LIMIT:
        raise InvalidValue(f"amount {value} does not fit decimal({MONEY_PRECISION}, {MONEY_SCALE})")
    return units


def money_of_units(units: int) -> Decimal:
    """Return units of 10 ** -18 as a Decimal. Raises InvalidValue beyond 38 digits."""
    if not -_UNITS_LIMIT < units < _UNITS_LIMIT:
        raise InvalidValue(f"amount of {units} units does not fit decimal({MONEY_PRECISION}, {MONEY_SCALE})")
    return Decimal(units).scaleb(-MONEY_SCALE, _EXACT)


def money_to_bytes(value: Decimal) -> bytes:
    """Return the unscaled value as big-endian two's complement (Avro 1.12, "Decimal"). Raises InvalidValue."""
    units = money_units(value)
    return units.to_bytes((units.bit_length() + 8) >> 3, "big", signed=True)


def money_from_bytes(data: bytes) -> Decimal:
    """Return the Decimal of an unscaled value. Raises InvalidValue beyond 38 digits."""
    if len(data) > _BYTES_MAX:
        raise InvalidValue(f"an amount of {len(data)} bytes does not fit decimal({MONEY_PRECISION}, {MONEY_SCALE})")
    return money_of_units(int.from_bytes(data, "big", signed=True))
