"""Quotes and books as a strategy sees them. Prices are doubles in quote per base, sizes in base."""

from typing import NamedTuple

from tradefleet.domain.ids import Symbol


class Tick(NamedTuple):
    """The best bid and ask and the last trade of one instrument at one market time."""

    symbol: Symbol
    market_us: int
    bid: float
    ask: float
    last: float


class Level(NamedTuple):
    """One price of a book and what waits there."""

    price: float
    size: float


class Book(NamedTuple):
    """A book of one instrument at one market time, best prices first."""

    symbol: Symbol
    market_us: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
