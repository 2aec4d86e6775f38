"""The terms a bot trades on: what its exchange says of its instruments, and the fee to reckon with.

They decide what a bot asks for, and the owner of the exchange may change them. So they are an input of the bot like a
bar: in its record from the first input on, and again whenever they change (rule 19).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument

GRID = ("base", "quote", "tick", "lot", "base_scale", "quote_scale")  # what the numbers of orders and books mean


class Listing(NamedTuple):
    """One instrument in plain values, so that JSON keeps it; amounts are decimal text."""

    symbol: str
    base: str
    quote: str
    tick: str
    lot: str
    min_notional: str
    base_scale: int
    quote_scale: int

    def to_instrument(self) -> Instrument:
        """Return the domain's instrument."""
        return Instrument(
            symbol=Symbol(self.symbol),
            base=self.base,
            quote=self.quote,
            tick=Decimal(self.tick),
            lot=Decimal(self.lot),
            min_notional=Decimal(self.min_notional),
            base_scale=self.base_scale,
            quote_scale=self.quote_scale,
        )


class Terms(NamedTuple):
    """`taker_ppm` is the fee that an order must be able to pay; the instruments are the bot's own."""

    taker_ppm: int
    listings: tuple[Listing, ...]

    @property
    def instruments(self) -> dict[Symbol, Instrument]:
        """The instruments, made anew with each call."""
        return {Symbol(each.symbol): each.to_instrument() for each in self.listings}

    def check_successor(self, later: "Terms") -> None:
        """Raise InvalidValue unless the orders and books of a bot mean the same on `later` terms."""
        mine, theirs = self.instruments, later.instruments
        if mine.keys() != theirs.keys():
            raise InvalidValue(f"terms: instruments must stay {sorted(mine)}, were {sorted(theirs)}")
        for symbol, instrument in mine.items():
            for name in GRID:
                old, new = getattr(instrument, name), getattr(theirs[symbol], name)
                if old != new:
                    raise InvalidValue(
                        f"instrument {symbol}: {name} must stay {old}, was {new}: orders and positions are counted in "
                        "it; take the edit back, or create another Exchange"
                    )


def terms_of(symbols: Iterable[Symbol], instruments: Mapping[Symbol, Instrument], taker_ppm: int) -> Terms:
    """Return the terms of a bot that trades `symbols`, which must all be among the instruments."""
    return Terms(taker_ppm, tuple(_listing(instruments[symbol]) for symbol in symbols))


def terms_from_values(values: Sequence[Any]) -> Terms:
    """Return the terms that JSON has made lists of."""
    taker_ppm, listings = values
    return Terms(taker_ppm, tuple(Listing(*each) for each in listings))


def _listing(instrument: Instrument) -> Listing:
    return Listing(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        tick=_plain(instrument.tick),
        lot=_plain(instrument.lot),
        min_notional=_plain(instrument.min_notional),
        base_scale=instrument.base_scale,
        quote_scale=instrument.quote_scale,
    )


def _plain(value: Decimal) -> str:
    """Return a decimal in one way, however it was written: 1.50 and 1.5 are the same terms."""
    return f"{value.normalize():f}"
