"""A broker and a database for figures, and what is started on them: made in a temporary folder, gone at the end."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from governor.local.home import Home
from governor.local.services import Services

ROOT: Final = Path(__file__).parents[1]
POLL_S: Final = 0.005
END_S: Final = 10.0


@contextmanager
def running_services() -> Iterator[Services]:
    """Yield an empty fleet's broker and database, with topics, schema and log-ins, as `tradefleet up` makes them."""
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as folder:
        home = Home(Path(folder))
        services = Services(home, home.claim(), lambda step: print(f"  {step}", file=sys.stderr, flush=True))
        services.start()
        try:
            yield services
        finally:
            services.stop()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a Python process of ours; it has ended when the block has. What it says goes to `log`."""
    # With its bytecode kept, as that of an installed release is: else each start would compile all modules again.
    left_out = "PYTHONDONTWRITEBYTECODE"
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("TRADEFLEET_") and name != left_out
    }
    with running_program([sys.executable, *command], log, {**inherited, **environment}) as process:
        yield process


@contextmanager
def running_program(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process of any program, in this environment or the given one; it has ended when the block has."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], bool], what: str, *, bound_s: float = 60.0, poll_s: float = POLL_S) -> None:
    """Return once `condition` holds. Raises TimeoutError, naming `what`, after the bound."""
    deadline_s = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {bound_s:.0f} s for {what}")
        time.sleep(poll_s)
