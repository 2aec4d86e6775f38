"""Breaks off a callback of a strategy that does not return, so that its bot fails and nobody else does.

A timer's signal is the one thing that reaches Python code in a loop, a regular expression without end and a wait alike.
What reaches none of them is C code that never looks at signals: whoever runs the process finds it silent, and ends it.
"""

import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Final

from tradefleet.domain.errors import Retryable
from workloads.strategy.bot import Bot
from workloads.strategy.errors import CALLBACK_S_MAX, CallbackOverdue, own_place

LOOK_S: Final = 3.0
LOOKS_MAX: Final = round(CALLBACK_S_MAX / LOOK_S)  # counted, not measured: a machine that sleeps is no loop
STUBBORN_LOOKS_MAX: Final = LOOKS_MAX + 2  # so often is a callback broken off that catches whatever is raised in it

GiveUp = Callable[[str, str], None]

# The frames from which a strategy is called. Looking for them costs nothing as long as nothing hangs.
_CALLERS: Final[frozenset[CodeType]] = frozenset(
    each.__code__
    for each in (Bot.on_bar, Bot._call, Bot._call_plain)  # noqa: SLF001 - one folder, one machine
)


class CallbackWatch:
    """Looks now and then whether the callback at work is still the one of before. `look` is a signal's handler.

    `give_up` hears reason and message of one that does not let itself be broken off, and should end the process.
    """

    def __init__(self, give_up: GiveUp) -> None:
        self._give_up = give_up
        self._call: FrameType | None = None  # kept, so that no other frame can take its place in memory
        self._looks = 0

    def probe(self) -> None:
        """Raise Retryable while a callback is at work that was so at the last look: its bot does nothing meanwhile."""
        looks = self._looks
        if looks:
            raise Retryable(f"a callback has not returned for {looks * LOOK_S:.0f} s")

    def look(self, number: int, frame: FrameType | None) -> None:
        """Take note of what the main thread does. Raises CallbackOverdue in a callback that has taken too long."""
        del number
        call = _call_in(frame)
        if call is None or call is not self._call:
            self._call, self._looks = call, 0
            return
        self._looks += 1
        if self._looks < LOOKS_MAX:
            return
        if self._looks >= STUBBORN_LOOKS_MAX:
            place = own_place(traceback.extract_stack(frame))
            self._give_up(
                CallbackOverdue.__name__,
                f"a callback of its strategy did not return within {CALLBACK_S_MAX:.0f} s, and catches what is raised "
                f"to break it off ({place}): give the loop an end, or the wait a time-out",
            )
        raise CallbackOverdue


@contextmanager
def callbacks_watched(give_up: GiveUp) -> Iterator[CallbackWatch]:
    """Watch the callbacks of all bots that the main thread runs inside the block. For the main thread only."""
    watch = CallbackWatch(give_up)
    before = signal.signal(signal.SIGALRM, watch.look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _call_in(frame: FrameType | None) -> FrameType | None:
    """Return the frame that has called a strategy; None when none is at work."""
    while frame is not None and frame.f_code not in _CALLERS:
        frame = frame.f_back
    return frame
