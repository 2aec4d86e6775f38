"""What keeps a cluster's processes: they live as long as it does. `python -m cluster.holder STATE` holds an API server.

Whoever starts a holder in the background learns from two files whether the cluster is ready, or why it never will be.
"""

import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from tradefleet.domain.errors import FleetError

from .control_plane import ControlPlane

READY: Final = "ready"
FAILED: Final = "failed"
WATCH_S: Final = 1.0


class Held(Protocol):
    """What a holder keeps."""

    @property
    def ended(self) -> str:
        """The name of a part that has ended; empty while all run."""

    def start(self) -> None:
        """Return once it serves."""

    def stop(self) -> None:
        """Return once all of it has ended."""


def hold(held: Held, state: Path) -> int:
    """Start it, say so, and keep it until a part ends or we are told to end; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        held.start()
        (state / READY).touch()
        while not held.ended:
            time.sleep(WATCH_S)
        reason = f"{held.ended} has ended: see its log in {state}"
    except KeyboardInterrupt:
        held.stop()
        return 0
    except FleetError as error:
        reason = str(error)
    except Exception:  # noqa: BLE001 - whoever waits for it must hear of it
        reason = traceback.format_exc()
    (state / FAILED).write_text(reason, encoding="utf-8")
    held.stop()
    return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Hold an API server in the state folder; return the exit status."""
    state = Path(arguments[0])
    return hold(ControlPlane(state / "control-plane"), state)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
