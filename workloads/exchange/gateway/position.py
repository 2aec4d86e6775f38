"""A long spot position with its average cost."""

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.money import divide_half_even


class Position:
    """Lots held and what they cost in quote atoms, fees not included. The average cost method: a sale takes its part
    of the cost, so `realized` is its proceeds minus that part."""

    __slots__ = ("cost_atoms", "lots", "peak_ticks")

    def __init__(self, lots: int = 0, cost_atoms: int = 0, peak_ticks: int = 0) -> None:
        self.lots = lots
        self.cost_atoms = cost_atoms
        self.peak_ticks = peak_ticks  # highest price since the position was opened; the trailing stop follows it

    def buy(self, lots: int, notional_atoms: int, price_ticks: int) -> None:
        """Add bought lots."""
        self.peak_ticks = price_ticks if self.lots == 0 else max(self.peak_ticks, price_ticks)
        self.lots += lots
        self.cost_atoms += notional_atoms

    def sell(self, lots: int, notional_atoms: int) -> int:
        """Take sold lots away and return the realised profit in quote atoms, fees not included."""
        if lots > self.lots:
            raise InvalidValue(f"position: {lots} lots sold, only {self.lots} held")
        cost = self.cost_atoms if lots == self.lots else divide_half_even(self.cost_atoms * lots, self.lots)
        self.lots -= lots
        self.cost_atoms -= cost
        return notional_atoms - cost
