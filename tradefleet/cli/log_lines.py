"""Lines of logs, for people: the processes write JSON."""

import json
import re
import sys
from datetime import datetime
from typing import Any, Final

from tradefleet.domain.errors import Permanent

UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


def seconds_of(duration: str) -> int:
    """Return how many seconds a duration such as 30s, 5m, 2h or 1d has. Raises Permanent."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise Permanent(f"--since {duration}: write a number and s, m, h or d, such as 5m")
    return int(found[1]) * UNITS_S[found[2]]


def is_since(line: str, begin_s: float) -> bool:
    """Return whether a line says that it was written at `begin_s` (seconds of UNIX time) or later."""
    entry = _entry(line)
    try:
        return entry is not None and datetime.fromisoformat(str(entry["time"])).timestamp() >= begin_s
    except (KeyError, ValueError):
        return False


def print_line(line: str, output: str, prefix: str = "") -> None:
    """Print a line as `text` or as it is (`json`); `prefix` says of which of several it is."""
    if output == "text":
        entry = _entry(line)
        if entry is not None and "message" in entry:
            more = " ".join(
                f"{key}={value}"
                for key, value in entry.items()
                if key not in ("time", "level", "logger", "message", "component", "fleet", "exception")
            )
            line = f"{str(entry.get('time', ''))[:23]} {entry.get('level', ''):<8} {entry['message']} {more}".rstrip()
            if entry.get("exception"):
                line += f"\n{entry['exception']}"
        line = prefix + line
    sys.stdout.write(f"{line}\n")


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
