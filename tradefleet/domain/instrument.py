"""Instruments: what can be traded, and how integer ticks and lots become money."""

import math
from dataclasses import field
from decimal import Decimal
from typing import NamedTuple

from tradefleet.domain.bar import PRICE_MAX
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import Symbol
from tradefleet.domain.money import (
    SCALE_MAX,
    TICKS_MAX,
    WHOLE_DIGITS_MAX,
    divide_half_even,
    divide_up,
    from_atoms,
    multiply_exactly,
    parse_decimal,
    plain_decimal,
)

# A price is wrong by half a unit in its last place when its shortest decimal form is meant, the tick by another half,
# and the division adds a third: below 2**48 that is less than 0.1, so that what seems within a quarter of a whole
# number is truly closer to it than the tie at 0.5.
_NEAR_TICK = 0.25
_EXACT_DOUBLE_MAX = 2**48


@frozen()
class Instrument:
    """A spot pair. Prices are integer multiples of `tick` (quote per base), sizes of `lot` (base).

    `base_scale` and `quote_scale` are the decimals of the two assets. A lot is a whole number of base atoms; a
    notional is rounded half-even to the quote's atom (rule 17). Raises InvalidValue for a tick, lot or scale that
    cannot work.
    """

    symbol: Symbol
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_notional: Decimal = Decimal(0)
    base_scale: int = 8
    quote_scale: int = 8
    lot_atoms: int = field(init=False)  # base atoms in one lot
    min_notional_atoms: int = field(init=False)
    tick_float: float = field(init=False)
    lot_float: float = field(init=False)
    _numerator: int = field(init=False)  # quote atoms of one lot at one tick, as a ratio
    _denominator: int = field(init=False)
    _tick_ratio: tuple[int, int] = field(init=False)
    _lot_ratio: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        for name, value in (("tick", self.tick), ("lot", self.lot)):
            if not (value.is_finite() and value > 0):
                raise InvalidValue(f"instrument {self.symbol}: {name} must be a number > 0, was {value}")
            if not -SCALE_MAX <= value.adjusted() < WHOLE_DIGITS_MAX or 10**SCALE_MAX % value.as_integer_ratio()[1]:
                raise InvalidValue(
                    f"instrument {self.symbol}: {name} must have at most {WHOLE_DIGITS_MAX} digits before and "
                    f"{SCALE_MAX} after the point, was {value}"
                )
        for name, scale in (("base_scale", self.base_scale), ("quote_scale", self.quote_scale)):
            if not 0 <= scale <= SCALE_MAX:
                raise InvalidValue(f"instrument {self.symbol}: {name} must be 0 to {SCALE_MAX}, was {scale}")
        if self.base == self.quote:
            raise InvalidValue(f"instrument {self.symbol}: base and quote must differ, both are {self.base}")
        least = self.min_notional
        if not (least.is_finite() and least >= 0 and (not least or abs(least.adjusted()) < WHOLE_DIGITS_MAX)):
            raise InvalidValue(f"instrument {self.symbol}: min_notional must be a number >= 0, was {least}")
        lot_numerator, lot_denominator = self.lot.as_integer_ratio()
        lot_atoms, rest = divmod(lot_numerator * 10**self.base_scale, lot_denominator)
        if rest:
            raise InvalidValue(
                f"instrument {self.symbol}: lot {self.lot} is finer than the {self.base_scale} decimals of {self.base}"
            )
        tick_numerator, tick_denominator = self.tick.as_integer_ratio()
        numerator = tick_numerator * lot_numerator * 10**self.quote_scale
        denominator = tick_denominator * lot_denominator
        whole, rest = divmod(numerator, denominator)
        least_numerator, least_denominator = least.as_integer_ratio()
        self._derive("_numerator", numerator if rest else whole)
        self._derive("_denominator", denominator if rest else 1)
        self._derive("lot_atoms", lot_atoms)
        self._derive("min_notional_atoms", divide_up(least_numerator * 10**self.quote_scale, least_denominator))
        self._derive("tick_float", float(self.tick))
        self._derive("lot_float", float(self.lot))
        self._derive("_tick_ratio", (tick_numerator, tick_denominator))
        self._derive("_lot_ratio", (lot_numerator, lot_denominator))

    def listing(self) -> "Listing":
        """Return the instrument in plain values; `Listing.to_instrument` is the way back."""
        return Listing(
            symbol=self.symbol,
            base=self.base,
            quote=self.quote,
            tick=plain_decimal(self.tick),
            lot=plain_decimal(self.lot),
            min_notional=plain_decimal(self.min_notional),
            base_scale=self.base_scale,
            quote_scale=self.quote_scale,
        )

    def _derive(self, name: str, value: float | tuple[int, int]) -> None:
        object.__setattr__(self, name, value)  # the frozen dataclass's own way to set what it computes

    def notional_atoms(self, lots: int, price_ticks: int) -> int:
        """Return what `lots` at `price_ticks` are worth in quote atoms, rounded half-even."""
        product = lots * price_ticks * self._numerator
        return product if self._denominator == 1 else divide_half_even(product, self._denominator)

    def notional_atoms_up(self, lots: int, price_ticks: int) -> int:
        """Return the same rounded up: what a reservation must cover so that it can never fall short."""
        return divide_up(lots * price_ticks * self._numerator, self._denominator)

    def affordable_lots(self, quote_atoms: int, price_ticks: int) -> int:
        """Return the most lots whose notional at `price_ticks`, rounded up, is within `quote_atoms`; never below 0."""
        if price_ticks <= 0:
            return 0
        return max(0, quote_atoms * self._denominator // (price_ticks * self._numerator))

    def base_atoms(self, lots: int) -> int:
        """Return `lots` in base atoms."""
        return lots * self.lot_atoms

    def price(self, ticks: int) -> Decimal:
        """Return `ticks` as a price in quote per base."""
        return multiply_exactly(self.tick, ticks)

    def size(self, lots: int) -> Decimal:
        """Return `lots` as an amount of base."""
        return multiply_exactly(self.lot, lots)

    @property
    def quote_atoms_max(self) -> int:
        """The most quote atoms that a message or a column holds."""
        most: int = 10 ** (WHOLE_DIGITS_MAX + self.quote_scale) - 1
        return most

    def quote_amount(self, atoms: int) -> Decimal:
        """Return quote atoms as an amount of quote."""
        return from_atoms(atoms, self.quote_scale)

    def nearest_ticks(self, price: float) -> int:
        """Return a market data price in ticks: half-even(Decimal(repr(price)) / tick), rule 17.

        The double division decides alone only when its result is so close to a whole number that its error cannot
        change the answer; everything else takes the exact way. Raises InvalidValue for NaN and infinity.
        """
        quotient = price / self.tick_float
        if -_EXACT_DOUBLE_MAX < quotient < _EXACT_DOUBLE_MAX:
            nearest = round(quotient)
            if abs(quotient - nearest) < _NEAR_TICK:
                return nearest
        return divide_half_even(*self._parts(price, self._tick_ratio))

    def limit_ticks(self, price: float, *, buy: bool) -> int:
        """Return a strategy's limit price in ticks, rounded to its safe side: a buy down, a sell up (rule 17)."""
        numerator, denominator = self._parts(price, self._tick_ratio)
        return numerator // denominator if buy else divide_up(numerator, denominator)

    def whole_lots(self, size: float) -> int:
        """Return an amount of base in lots, rounded down (rule 17)."""
        numerator, denominator = self._parts(size, self._lot_ratio)
        return numerator // denominator

    def _parts(self, value: float, unit: tuple[int, int]) -> tuple[int, int]:
        """Return Decimal(repr(value)) / unit as a ratio: exact, whatever the decimal context of the thread is."""
        if not math.isfinite(value):
            raise InvalidValue(f"instrument {self.symbol}: a price or size must be a finite number, was {value}")
        numerator, denominator = Decimal(repr(float(value))).as_integer_ratio()
        return numerator * unit[1], denominator * unit[0]


class Listing(NamedTuple):
    """One instrument in plain values, so that JSON keeps it; amounts are decimal text. Equal ones are equal lists."""

    symbol: str
    base: str
    quote: str
    tick: str
    lot: str
    min_notional: str
    base_scale: int
    quote_scale: int

    def to_instrument(self) -> Instrument:
        """Return the instrument. Raises InvalidValue for a text that is no decimal, and as `Instrument` does."""

        def amount(name: str) -> Decimal:
            return parse_decimal(getattr(self, name), f"instrument {self.symbol}: {name}")

        return Instrument(
            symbol=Symbol(self.symbol),
            base=self.base,
            quote=self.quote,
            tick=amount("tick"),
            lot=amount("lot"),
            min_notional=amount("min_notional"),
            base_scale=self.base_scale,
            quote_scale=self.quote_scale,
        )


def price_max_of(tick: Decimal) -> float:
    """Return the highest price that market data may have where prices are kept in ticks of `tick`."""
    return min(PRICE_MAX, float(multiply_exactly(tick, TICKS_MAX)))
