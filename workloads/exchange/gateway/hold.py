"""The yardstick: what simply holding would be worth (design, VsHold).

The start wallet's quote money is put in equal parts into the bot's instruments, each at its first fillable open after
warm-up, with the taker fee; what does not make a whole lot stays money. Exact, in quote atoms.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, fee_atoms


class BuyAndHold:
    """Buys once per instrument and then only marks to market."""

    __slots__ = ("_bars_left", "_cash_atoms", "_fee_ppm", "_instruments", "_lots", "_parts")

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        wallet: Mapping[str, int],
        warmup_bars: int,
        fee_ppm: int,
    ) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._fee_ppm = fee_ppm
        quote = instruments[0].quote
        money = wallet.get(quote, 0)
        part, rest = divmod(money, len(instruments))
        self._parts = {instrument.symbol: part for instrument in instruments}
        self._cash_atoms = rest
        self._bars_left = {instrument.symbol: max(1, warmup_bars) for instrument in instruments}
        self._lots: dict[Symbol, int] = {}

    def on_bar(self, symbol: Symbol, open_ticks: int) -> bool:
        """Count a bar of the bot's interval; buy at the open of the first one after warm-up. True when it bought."""
        left = self._bars_left[symbol]
        if left > 0:
            self._bars_left[symbol] = left - 1
            return False
        self._buy(self._instruments[symbol], open_ticks)
        del self._bars_left[symbol]
        return True

    def waits_for(self, symbol: Symbol) -> bool:
        """True while the instrument has not been bought."""
        return symbol in self._bars_left

    def _buy(self, instrument: Instrument, open_ticks: int) -> None:
        part = self._parts.pop(instrument.symbol)
        lots = instrument.affordable_lots(part * PPM // (PPM + self._fee_ppm), open_ticks) + 1
        while lots > 0 and self._cost(instrument, lots, open_ticks) > part:
            lots -= 1  # roundings may give a lot or cost one, hardly ever more
        self._lots[instrument.symbol] = lots
        self._cash_atoms += part - self._cost(instrument, lots, open_ticks)

    def _cost(self, instrument: Instrument, lots: int, ticks: int) -> int:
        notional = instrument.notional_atoms(lots, ticks)
        return notional + fee_atoms(notional, self._fee_ppm)

    def value_atoms(self, marks: Mapping[Symbol, int]) -> int | None:
        """Return the worth at `marks` (ticks) in quote atoms; None before the first instrument could be bought."""
        if len(self._parts) == len(self._instruments):
            return None
        value = self._cash_atoms
        if self._parts:
            value += sum(self._parts.values())
        for symbol, lots in self._lots.items():
            if lots:
                value += self._instruments[symbol].notional_atoms(lots, marks.get(symbol, 0))
        return value

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "cash": self._cash_atoms,
            "parts": dict(self._parts),
            "bars_left": dict(self._bars_left),
            "lots": dict(self._lots),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `snapshot` returned."""
        self._cash_atoms = state["cash"]
        self._parts = dict(state["parts"])
        self._bars_left = dict(state["bars_left"])
        self._lots = dict(state["lots"])
