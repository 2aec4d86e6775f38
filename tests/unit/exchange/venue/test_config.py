"""What a venue's configuration refuses."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.venue.scenes import BTC, INSTRUMENT, config
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.instrument import Instrument

CENTS = Instrument(symbol="ETH-USD", base="ETH", quote="USD", tick=Decimal(1), lot=Decimal(1), quote_scale=2)  # type: ignore[arg-type]  # a plain symbol


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maker_ppm": 1_000_000}, "maker_ppm must be between"),
        ({"taker_ppm": -1_000_000}, "taker_ppm must be between"),
        ({"slippage_ppm": -1}, "slippage_ppm must be 0 to 999999, was -1"),
        ({"slippage_ticks": -1}, "slippage_ticks must be >= 0, was -1"),
        ({"participation_ppm": 0}, "participation_ppm must be 1 to 1000000, was 0"),
        ({"participation_ppm": 1_000_001}, "participation_ppm must be"),
        ({"market": "auction"}, "market must be one of replay, book, was 'auction'"),
        ({"instruments": (INSTRUMENT, INSTRUMENT)}, "BTC-USD is there twice"),
        ({"instruments": (INSTRUMENT, CENTS)}, "USD must have the same decimals in all instruments"),
        ({"intervals_us": {BTC: ()}}, "intervals_us of BTC-USD must be"),
        ({"intervals_us": {BTC: (0,)}}, "intervals_us of BTC-USD must be"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        config(**changes)


def test_the_largest_fee_is_never_below_zero() -> None:
    assert config(maker_ppm=-10, taker_ppm=-5).fee_ppm_max == 0
    assert config(maker_ppm=10, taker_ppm=5).fee_ppm_max == 10
