"""The errors of strategy code: which bot, which hook, when and at which line, and what was raised as the cause."""

import sys
import traceback
from collections.abc import Sequence
from typing import Final

from tradefleet.domain.errors import MEMORY_REMEDY, Permanent
from tradefleet.domain.ids import BotKey
from tradefleet.domain.times import format_time

_HERE = __file__.rpartition("/")[0]
_OURS = (f"{_HERE}/", f"{sys.modules['tradefleet'].__path__[0]}/")
_BUILTINS = f"{_HERE}/builtins/"

# More than any decision takes, and less than the silence for which a process is killed: a loop in C is silent.
CALLBACK_S_MAX: Final = 45.0


class CallbackOverdue(BaseException):
    """Raised in a callback that has not returned for too long. No Exception, which the callback itself might catch."""


class StrategyError(Permanent):
    """A callback of a strategy raised. The bot that ran it must be thrown away: its state is half changed.

    `is_overdue` says that it was broken off, since it had held up its process: to call it again would do so again.
    """

    def __init__(self, bot: BotKey, hook: str, market_us: int, cause: BaseException) -> None:
        place = own_line(cause)
        what, remedy = _told(cause)
        super().__init__(
            f"bot {bot}: {hook} at {format_time(market_us)} {what}" + (f" ({place})" if place else "") + remedy
        )
        self.bot = bot
        self.hook = hook
        self.market_us = market_us
        self.is_overdue = isinstance(cause, CallbackOverdue)


def _told(cause: BaseException) -> tuple[str, str]:
    """Return what a callback did, and what to do about it where its author would not see that from the error."""
    match cause:
        case CallbackOverdue():
            what = f"did not return within {CALLBACK_S_MAX:.0f} s and was broken off"
            return what, ": give the loop an end, or the wait a time-out"
        case MemoryError():
            return "needed more memory than its process may use", f": {MEMORY_REMEDY}"
        case _:
            return f"raised {type(cause).__name__}: {cause}", ""


class LeftRun(Permanent):
    """A bot has left its lockstep run, since its strategy failed: nobody waits for it, and it cannot come back."""

    def __init__(self, bot: BotKey, market_us: int, why: str) -> None:
        super().__init__(
            f"{why}: it left the lockstep run at market time {format_time(market_us)}, and the others go on without "
            f"it: mend the strategy's code; bot {bot} trades again when the run is over, or in a fleet of its own"
        )


def own_line(cause: BaseException) -> str:
    """Return the innermost line of the user's own code: what it called of ours or of a library is not to be mended."""
    return own_place(traceback.extract_tb(cause.__traceback__))


def own_place(stack: Sequence[traceback.FrameSummary]) -> str:
    """Return the innermost line of the user's own code in a stack, the outermost frame first; empty without any."""
    import sysconfig  # noqa: PLC0415 - only a failure needs it, and every bot's process loads this module

    libraries = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib"))
    frames = [each for each in stack if not _is_in(each.filename, (*_OURS, "<frozen "))]
    own = [each for each in frames if not _is_in(each.filename, libraries)] or frames[:1]
    if not own:
        return ""
    last = own[-1]
    line = f": {last.line}" if last.line else ""
    return f"{last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}{line}"


def _is_in(file: str, folders: tuple[str, ...]) -> bool:
    return file.startswith(folders) and not file.startswith(_BUILTINS)
