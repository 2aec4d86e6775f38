"""Trying again for a while: what a service that has just started refuses on a busy machine, it does a moment later."""

import logging
import random
from collections.abc import Callable
from typing import Final

from tradefleet.domain.errors import Retryable
from tradefleet.runtime.backoff import Backoff
from tradefleet.runtime.ports import Clock

_LOG: Final = logging.getLogger(__name__)

LONGEST_WAIT_US: Final = 2_000_000


def insist(work: Callable[[], None], *, timeout_us: int, clock: Clock, tell: Callable[[str], None]) -> None:
    """Return once `work` has succeeded; `tell` hears of each failure that is not the last.

    Raises what it raises: at once, but a Retryable only when no try is left within `timeout_us`.
    """
    give_up_us = clock.monotonic_us() + timeout_us
    backoff = Backoff(random.Random(), longest_us=LONGEST_WAIT_US)
    while True:
        try:
            work()
            return
        except Retryable as error:
            wait_us = backoff.next_us()
            if clock.monotonic_us() + wait_us >= give_up_us:
                raise
            _LOG.warning("tried again in %d ms: %s: %s", wait_us // 1_000, type(error).__name__, error)
            tell(str(error))
        clock.sleep_us(wait_us)
