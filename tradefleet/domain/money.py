"""Exact money and its one rounding.

Inside the machines an amount is an integer number of *atoms* of its asset: one atom is ``10 ** -scale`` units, so
at scale 8 one bitcoin is 100,000,000 atoms. Integers cannot lose a digit and need no context; `Decimal` stands at
the borders (messages, database, reports). Every rounding of the product is in this module, and all of them are
integer divisions with a named direction.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from tradefleet.domain.errors import InvalidValue

SCALE_MAX = 18  # numeric(38, 18) and Avro decimal(38, 18) hold no finer unit
WHOLE_DIGITS_MAX = 20  # and no more digits than these before the point
LOTS_MAX = 2**63 - 1  # of an order or a trade: what a bigint and an Avro long hold
TICKS_MAX = 2**61  # of a price; a collar of 100 % and slippage on top still fit into as much
TRADE_TICKS_MAX = 2**63 - 1  # and a trade may be there
PPM = 1_000_000  # parts per million: how fractions of money (fees, limits) are kept exactly
BPS_PPM = 100  # one basis point in parts per million

_WIDE = Context(prec=76, rounding=ROUND_HALF_EVEN)  # twice 38 digits: a product of two amounts stays exact


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, ties to the even one. `denominator` > 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder + remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def divide_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded towards plus infinity. `denominator` > 0."""
    return -(-numerator // denominator)


def to_atoms(amount: Decimal, scale: int) -> int:
    """Return `amount` in atoms of an asset with `scale` decimals.

    Raises InvalidValue when the amount is not finite, larger than our columns hold, or finer than one atom: a border
    refuses, it never rounds. Integers do the work, since a Decimal operation rounds to its context's digits.
    """
    if not amount.is_finite():
        raise InvalidValue(f"amount must be a finite number, was {amount}")
    if not amount:
        return 0
    if amount.adjusted() >= WHOLE_DIGITS_MAX:
        raise InvalidValue(f"amount must have at most {WHOLE_DIGITS_MAX} digits before the point, was {amount}")
    if amount.adjusted() >= -scale:  # else it is less than an atom, perhaps by a million digits
        numerator, denominator = amount.as_integer_ratio()
        per_unit: int = 10**scale
        atoms, rest = divmod(numerator * per_unit, denominator)
        if not rest:
            return atoms
    raise InvalidValue(f"amount {amount} is finer than the asset's scale of {scale} decimals")


def from_atoms(atoms: int, scale: int) -> Decimal:
    """Return `atoms` of an asset with `scale` decimals as a Decimal, exactly."""
    return Decimal(atoms).scaleb(-scale, _WIDE)


def multiply_exactly(unit: Decimal, count: int) -> Decimal:
    """Return `count` times `unit` with all its digits: the caller's decimal context has no say."""
    return _WIDE.multiply(unit, count)


def parse_decimal(text: str, name: str) -> Decimal:
    """Return the Decimal written in `text`; `name` says in the error what it was. Raises InvalidValue."""
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise InvalidValue(f"{name} must be a decimal number such as 0.01, was {text!r}") from error
    if not value.is_finite():
        raise InvalidValue(f"{name} must be a finite number, was {text!r}")
    return value


def plain_decimal(value: Decimal) -> str:
    """Return an exact amount in plain digits, without an exponent and without zeros at its end.

    However an amount was written, 1.50 or 15E-1, its text is the same; all digits stay, whatever the decimal context.
    """
    if not value:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_ppm(fraction: Decimal, name: str) -> int:
    """Return a fraction (0.001 = 0.1 %) in parts per million. Raises InvalidValue when it is finer than that."""
    try:
        return to_atoms(fraction, 6)
    except InvalidValue as error:
        raise InvalidValue(f"{name} must be a multiple of 0.000001, was {fraction}") from error


def share_ppm(atoms: int, ppm: int) -> int:
    """Return `ppm` parts per million of `atoms`, rounded half-even."""
    return divide_half_even(atoms * ppm, PPM)


def fee_atoms(notional_atoms: int, fee_ppm: int) -> int:
    """Return the fee on a notional, rounded up to the atom: the payer's side (rule 17). A rebate rounds down."""
    return divide_up(notional_atoms * fee_ppm, PPM)
