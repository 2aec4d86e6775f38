"""Where this machine keeps what every checkout and every fleet shares: downloads and what is built from them."""

import os
from pathlib import Path

from tradefleet.domain.errors import Permanent


def cache_folder() -> Path:
    """Return the project's folder below XDG_CACHE_HOME, or below ~/.cache; it need not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The specification of base directories says to ignore a relative path.
    if Path(cache).is_absolute():
        return Path(cache) / "tradefleet"
    try:
        return Path.home() / ".cache" / "tradefleet"
    except RuntimeError as error:
        raise Permanent("no home folder to keep downloads in: set XDG_CACHE_HOME to a folder of yours") from error
