"""The bot's own closed trades, as far as the Kelly sizing needs them."""

from tradefleet.domain.ids import Symbol
from workloads.strategy.snapshot_values import JsonValue, decode_value, encode_value

ROUND_TRIPS_MIN = 20  # fewer closed trades say nothing about an edge
PROBE_PART = 0.1  # of the cap: what is bet while the edge is unknown or gone, so that evidence keeps coming


class RoundTrips:
    """Wins and losses of round trips: from the first lot of a position to its last, per instrument.

    The return of a round trip is its realised profit after quote fees over the cost of what was sold.
    """

    __slots__ = ("_open", "losses", "losses_sum", "wins", "wins_sum")

    def __init__(self) -> None:
        self._open: dict[str, list[int]] = {}  # symbol -> [profit atoms, cost atoms] of the round trip under way
        self.wins = 0
        self.losses = 0
        self.wins_sum = 0.0
        self.losses_sum = 0.0

    def book(self, symbol: Symbol, profit_atoms: int, cost_atoms: int, *, is_over: bool) -> None:
        """Add one fill: its realised profit after fees, the cost of what it sold, whether the position is now zero."""
        figures = self._open.setdefault(symbol, [0, 0])
        figures[0] += profit_atoms
        figures[1] += cost_atoms
        if not is_over:
            return
        del self._open[symbol]
        profit, cost = figures
        if cost <= 0:
            return
        if profit > 0:
            self.wins += 1
            self.wins_sum += profit / cost
        else:
            self.losses += 1
            self.losses_sum -= profit / cost

    def kelly_fraction(self, cap: float) -> float:
        """Return the Kelly fraction p - (1 - p) / b, at most `cap`, and at least a tenth of it.

        p is the share of wins, b the mean win over the mean loss. Source: J. L. Kelly, "A New Interpretation of
        Information Rate", Bell System Technical Journal 35 (1956), in the form of E. O. Thorp (2006) for a bet that
        loses what it risks; with unequal losses it is the usual approximation, hence the cap.
        """
        count = self.wins + self.losses
        probe = cap * PROBE_PART
        if count < ROUND_TRIPS_MIN or not self.wins:
            return probe
        if not self.losses or self.losses_sum <= 0:
            return cap
        share = self.wins / count
        ratio = (self.wins_sum / self.wins) / (self.losses_sum / self.losses)
        return min(cap, max(probe, share - (1.0 - share) / ratio))

    def snapshot(self) -> JsonValue:
        """Return the state for JSON."""
        sums = [encode_value(self.wins_sum), encode_value(self.losses_sum)]
        return [self.wins, self.losses, *sums, encode_value(self._open)]

    def restore(self, saved: JsonValue) -> None:
        """Become the record that wrote `saved`."""
        self.wins, self.losses, self.wins_sum, self.losses_sum, self._open = decode_value(saved)  # type: ignore[misc]  # our own list of five
