"""Where the command `tradefleet` begins: until its modules are loaded, Ctrl-C ends it at once and without a word.

Nothing can be half-done by then, and Python would print where in the loading it was.
"""

import os
import signal
from types import FrameType

EXIT_INTERRUPTED = 130  # Ctrl-C


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(EXIT_INTERRUPTED)


def main() -> None:
    """Load the command line and run it."""
    signal.signal(signal.SIGINT, _end)
    from tradefleet.cli.main import main as run  # noqa: PLC0415 - the signal comes first

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
