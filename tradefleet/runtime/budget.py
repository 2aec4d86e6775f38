"""A bound on what is done for each of many things: so much a minute, the rest is counted."""

from tradefleet.domain.bar import MINUTE_US


class MinuteBudget:
    """Lets `limit` things a minute through. A clock that is set back begins a new minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._began_us = 0
        self._taken = 0

    def begin(self, now_us: int) -> int:
        """Let time pass; return how many were refused in a minute that has ended with this, 0 while it goes on."""
        if 0 <= now_us - self._began_us < MINUTE_US:
            return 0
        refused = self.refused
        self._began_us, self._taken = now_us, 0
        return refused

    def take(self) -> bool:
        """Return whether one more may be done."""
        self._taken += 1
        return self._taken <= self._limit

    @property
    def refused(self) -> int:
        """How many were refused in the minute that goes on."""
        return max(0, self._taken - self._limit)
