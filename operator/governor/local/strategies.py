"""How many bars a strategy wants before it trades. A user's own class is asked in a process of its own.

Importing it runs its module's code, and the supervisor must survive whatever that does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import InvalidValue, Permanent
from workloads.backtest.strategies import warmup_of

from .allowance import allowance_bytes
from .processes import LAUNCHER

ASK_TIMEOUT_S: Final = 30.0


class WarmUps:
    """Answers from memory what was asked before, as long as it is running."""

    def __init__(self, code_folders: tuple[str, ...] = ()) -> None:
        self.code_folders = code_folders
        self._known: dict[str, int | Permanent] = {}

    def __call__(self, name: str, params: Mapping[str, ParameterValue]) -> int:
        """Return the bars before the first decision, at least one. Raises Permanent for what cannot be run."""
        question = json.dumps([name, sorted(params.items()), self.code_folders])
        if question not in self._known:
            self._known[question] = self._ask(name, params)
        answer = self._known[question]
        if isinstance(answer, Permanent):
            raise answer
        return answer

    def _ask(self, name: str, params: Mapping[str, ParameterValue]) -> int | Permanent:
        if ":" not in name:
            try:
                return warmup_of(name, params)
            except Permanent as error:
                return error
        search = os.pathsep.join([*self.code_folders, *filter(None, [os.environ.get("PYTHONPATH", "")])])
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "same", str(allowance_bytes(None))]
        try:
            done = subprocess.run(
                [*launcher, sys.executable, "-m", "governor.local.strategies", name, json.dumps(dict(params))],
                env={**os.environ, "PYTHONPATH": search},
                capture_output=True,
                text=True,
                check=False,
                timeout=ASK_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return InvalidValue(f"strategy {name}: importing it took longer than {ASK_TIMEOUT_S:.0f} s")
        if done.returncode != 0:
            return InvalidValue((done.stderr.strip().splitlines() or [f"strategy {name} cannot be imported"])[-1])
        return int(done.stdout.strip().splitlines()[-1])


def main() -> int:
    """Print the warm-up of the strategy that the arguments name."""
    name, params = sys.argv[1], json.loads(sys.argv[2])
    try:
        sys.stdout.write(f"\n{warmup_of(name, params)}\n")
    except MemoryError:
        sys.stderr.write(f"strategy {name}: to import and make it needs more memory than a process may use here\n")
        return 2
    except Permanent as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
