"""The terms a bot trades on: what its exchange says of its instruments, and the fee to reckon with.

They decide what a bot asks for, and the owner of the exchange may change them. So they are an input of the bot like a
bar: in its record from the first input on, and again whenever they change (rule 19).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument, Listing

GRID = ("base", "quote", "tick", "lot", "base_scale", "quote_scale")  # what the numbers of orders and books mean


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
    return Terms(taker_ppm, tuple(instruments[symbol].listing() for symbol in symbols))


def terms_from_values(values: Sequence[Any]) -> Terms:
    """Return the terms that JSON has made lists of."""
    taker_ppm, listings = values
    return Terms(taker_ppm, tuple(Listing(*each) for each in listings))
