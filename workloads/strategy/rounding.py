"""A strategy's prices and sizes in ticks and lots, on their safe side (correctness rule 17).

`Instrument` does the rounding. What is added here is that the noise of double arithmetic is not rounded as if it were
meant: 100 * 0.99 * 0.99 is 98.00999999999999, and its author means 98.01.
"""

from decimal import Decimal

from tradefleet.domain.instrument import Instrument

NOISE = 1e-6  # parts of a tick or lot; a wish that is really so close to one is as well served by it


def price_ticks(instrument: Instrument, price: float | Decimal, *, buy: bool) -> int:
    """Return a limit price in ticks: a buy's rounded down, a sell's up."""
    near = _nearest(float(price) / instrument.tick_float)
    return instrument.limit_ticks(float(price), buy=buy) if near is None else near


def size_lots(instrument: Instrument, size: float | Decimal) -> int:
    """Return a size in lots, rounded down."""
    near = _nearest(float(size) / instrument.lot_float)
    return instrument.whole_lots(float(size)) if near is None else near


def _nearest(quotient: float) -> int | None:
    nearest = round(quotient)
    return nearest if abs(quotient - nearest) < NOISE else None
