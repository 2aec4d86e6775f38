"""What one simulated exchange is: its instruments, its fees and how its market fills orders."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM


class Market(StrEnum):
    """Who is on the other side of a trade."""

    REPLAY = "replay"  # recorded bars: orders fill along the bar's path, nobody consumes another's liquidity
    BOOK = "book"  # the simulator's own order book: the other side is another order


@frozen()
class VenueConfig:
    """One exchange for the machine; fractions are in parts per million. Raises InvalidValue, naming the field.

    A negative fee is a rebate. `participation_ppm` is the largest part of a bar's volume that one order may take in
    that bar; None means that volume does not matter. `intervals_us` gives the intervals that the feeds bring per
    symbol: fills come from the finest only (rule 20). A symbol without an entry goes by the finest seen so far.
    """

    instruments: tuple[Instrument, ...]
    maker_ppm: int = 0
    taker_ppm: int = 0
    slippage_ppm: int = 0  # of market orders and triggered stops, in replayed markets
    slippage_ticks: int = 0  # the same in ticks, on top of it
    participation_ppm: int | None = None
    market: Market = Market.REPLAY
    intervals_us: Mapping[Symbol, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, ppm in (("maker_ppm", self.maker_ppm), ("taker_ppm", self.taker_ppm)):
            if not -PPM < ppm < PPM:
                raise InvalidValue(f"venue: {name} must be between -{PPM} and {PPM}, was {ppm}")
        if not 0 <= self.slippage_ppm < PPM:
            raise InvalidValue(f"venue: slippage_ppm must be 0 to {PPM - 1}, was {self.slippage_ppm}")
        if self.slippage_ticks < 0:
            raise InvalidValue(f"venue: slippage_ticks must be >= 0, was {self.slippage_ticks}")
        if self.participation_ppm is not None and not 0 < self.participation_ppm <= PPM:
            raise InvalidValue(f"venue: participation_ppm must be 1 to {PPM}, was {self.participation_ppm}")
        if self.market not in tuple(Market):
            raise InvalidValue(f"venue: market must be one of {', '.join(Market)}, was {self.market!r}")
        symbols = [instrument.symbol for instrument in self.instruments]
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                raise InvalidValue(f"venue: instruments must differ in their symbol, {symbol} is there twice")
        self._check_scales()
        for symbol, intervals in self.intervals_us.items():
            if not intervals or min(intervals) <= 0:
                raise InvalidValue(f"venue: intervals_us of {symbol} must be one or more numbers > 0, was {intervals}")

    def _check_scales(self) -> None:
        scales: dict[str, int] = {}
        for instrument in self.instruments:
            for asset, scale in (
                (instrument.base, instrument.base_scale),
                (instrument.quote, instrument.quote_scale),
            ):
                if scales.setdefault(asset, scale) != scale:
                    raise InvalidValue(
                        f"venue: {asset} must have the same decimals in all instruments, {instrument.symbol} gives it "
                        f"{scale} and another one {scales[asset]}"
                    )

    def check_successor(self, later: "VenueConfig") -> None:
        """Raise InvalidValue unless this venue can become `later`: its market stays, and what its numbers mean.

        Open orders and accounts are whole ticks, lots and atoms, which another tick, lot or scale would revalue.
        """
        if later.market != self.market:
            raise InvalidValue(f"venue: market must stay {self.market}, was {later.market}")
        listed = {instrument.symbol: instrument for instrument in self.instruments}
        for instrument in later.instruments:
            before = listed.get(instrument.symbol)
            if before is None:
                continue
            for name in ("base", "quote", "tick", "lot"):
                old, new = getattr(before, name), getattr(instrument, name)
                if old != new:
                    raise InvalidValue(f"venue: {name} of {instrument.symbol} must stay {old}, was {new}")

    @property
    def scales(self) -> dict[str, int]:
        """The decimals of each asset."""
        return {
            asset: scale
            for instrument in self.instruments
            for asset, scale in (
                (instrument.base, instrument.base_scale),
                (instrument.quote, instrument.quote_scale),
            )
        }

    @property
    def fee_ppm_max(self) -> int:
        """The largest fee that an order can be charged; never below 0."""
        return max(0, self.maker_ppm, self.taker_ppm)
