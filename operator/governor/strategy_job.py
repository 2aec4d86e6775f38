"""Looks at a bot's strategy: whether it can be run, and how many bars it wants first.

Run as `python -m … SETTINGS RESULT`. It runs somebody's own code, in a pod of that bot's image which can speak with
nobody.
"""

import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

from tradefleet.domain.errors import FleetError, Permanent
from workloads.strategy.errors import own_line
from workloads.strategy.registry import build_strategy

TIME_S_MAX: Final = 60  # to import it and make one


class TooSlow(BaseException):
    """It took too long. Not an Exception, which the strategy's own code might catch."""


def look_at(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the strategy's warm-up. Raises Permanent for what cannot be run, with file and line where there is one."""
    name = settings["strategy"]
    try:
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.alarm(TIME_S_MAX)
        return {
            "question": settings["question"],
            "warmupBars": max(1, int(build_strategy(name, settings["params"]).warmup)),
        }
    except FleetError:
        raise
    except TooSlow as error:
        _forget_alarm(error)
        place = own_line(error)
        raise Permanent(
            f"strategy {name}: to import and make it took longer than {TIME_S_MAX} s" + (f" ({place})" if place else "")
        ) from error
    except (Exception, SystemExit) as error:
        place = own_line(error)
        raise Permanent(
            f"strategy {name}: cannot be made: {type(error).__name__}: {error}" + (f" ({place})" if place else "")
        ) from error
    finally:
        signal.alarm(0)


def _forget_alarm(error: BaseException) -> None:
    """Let a traceback end where the alarm went off, and not in its handler."""
    part = error.__traceback__
    while part is not None and part.tb_next is not None and part.tb_next.tb_next is not None:
        part = part.tb_next
    if part is not None:
        part.tb_next = None


def _on_alarm(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TooSlow


if __name__ == "__main__":
    from governor.job_process import run_job

    sys.exit(run_job(look_at, (FleetError,)))
