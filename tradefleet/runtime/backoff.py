"""Waiting between tries: longer each time, never in step with others, bounded."""

import random
from typing import Final

FIRST_US: Final = 100_000
LONGEST_US: Final = 10_000_000


class Backoff:
    """Full jitter: each wait is random between half and the whole of a bound that doubles up to `longest_us`.

    The half keeps a broken dependency from being asked at once; the random rest keeps a hundred bots from asking
    together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(self, rng: random.Random, *, first_us: int = FIRST_US, longest_us: int = LONGEST_US) -> None:
        self._rng = rng
        self._first_us = first_us
        self._longest_us = longest_us
        self._bound_us = first_us

    def next_us(self) -> int:
        """Return how long to wait before the next try."""
        bound_us = self._bound_us
        self._bound_us = min(bound_us * 2, self._longest_us)
        return bound_us // 2 + self._rng.randrange(bound_us // 2 + 1)

    def reset(self) -> None:
        """Begin with short waits again, after a success."""
        self._bound_us = self._first_us
