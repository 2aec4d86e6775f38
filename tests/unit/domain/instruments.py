"""Random instruments, for properties."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument


def instrument(**changes: Any) -> Instrument:
    """Return BTC-USD with a tick of a cent and a lot of a thousandth, with some fields changed."""
    fields: dict[str, Any] = {
        "symbol": Symbol("BTC-USD"),
        "base": "BTC",
        "quote": "USD",
        "tick": Decimal("0.01"),
        "lot": Decimal("0.001"),
    }
    return Instrument(**{**fields, **changes})


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Return an instrument whose tick and lot are often no powers of ten and whose scales often force roundings."""
    base_scale, quote_scale = draw(st.integers(0, 18)), draw(st.integers(0, 18))
    lot_atoms = draw(st.integers(1, 10**6))
    tick = Decimal(draw(st.integers(1, 10**5))).scaleb(draw(st.integers(-12, 2)))
    return instrument(
        tick=tick,
        lot=Decimal(lot_atoms).scaleb(-base_scale),
        base_scale=base_scale,
        quote_scale=quote_scale,
        min_notional=Decimal(draw(st.integers(0, 1_000))).scaleb(-2),
    )
