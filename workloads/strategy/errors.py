"""The errors of strategy code: which bot, which hook, when and at which line, and what was raised as the cause."""

import sys
import traceback

from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotKey
from tradefleet.domain.times import format_time

_HERE = __file__.rpartition("/")[0]
_OURS = (f"{_HERE}/", f"{sys.modules['tradefleet'].__path__[0]}/")
_BUILTINS = f"{_HERE}/builtins/"


class StrategyError(Permanent):
    """A callback of a strategy raised. The bot that ran it must be thrown away: its state is half changed."""

    def __init__(self, bot: BotKey, hook: str, market_us: int, cause: Exception) -> None:
        place = own_line(cause)
        super().__init__(
            f"bot {bot}: {hook} at {format_time(market_us)} raised {type(cause).__name__}: {cause}"
            + (f" ({place})" if place else "")
        )
        self.bot = bot
        self.hook = hook
        self.market_us = market_us


class LeftRun(Permanent):
    """A bot has left its lockstep run, since its strategy failed: nobody waits for it, and it cannot come back."""

    def __init__(self, bot: BotKey, market_us: int, why: str) -> None:
        super().__init__(
            f"{why}: it left the lockstep run at market time {format_time(market_us)}, and the others go on without "
            f"it: mend the strategy's code; bot {bot} trades again when the run is over, or in a fleet of its own"
        )


def own_line(cause: BaseException) -> str:
    """Return the innermost line of the user's own code: what it called of ours or of a library is not to be mended."""
    import sysconfig  # noqa: PLC0415 - only a failure needs it, and every bot's process loads this module

    libraries = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib"))
    frames = [
        each for each in traceback.extract_tb(cause.__traceback__) if not _is_in(each.filename, (*_OURS, "<frozen "))
    ]
    own = [each for each in frames if not _is_in(each.filename, libraries)] or frames[:1]
    if not own:
        return ""
    last = own[-1]
    line = f": {last.line}" if last.line else ""
    return f"{last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}{line}"


def _is_in(file: str, folders: tuple[str, ...]) -> bool:
    return file.startswith(folders) and not file.startswith(_BUILTINS)
