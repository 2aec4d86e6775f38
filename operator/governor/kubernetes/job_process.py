"""A job in a pod: `python -m governor.kubernetes.job_process MODULE SETTINGS MESSAGE`.

A pod may not speak to the API server, and has 4,096 bytes for its last message (Kubernetes documentation, "Determine
the Reason for Pod Failure").
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from governor.tasks import DATASET_MODULE, STRATEGY_MODULE
from tradefleet.domain.errors import Permanent
from tradefleet.runtime.settings import read_secret

MESSAGE_BYTES_MAX: Final = 4_000
ERROR_LENGTH_MAX: Final = 900  # of at most four bytes each
MODULES: Final = (DATASET_MODULE, STRATEGY_MODULE)


def told(found: Mapping[str, Any]) -> bytes:
    """Return the message of a job that has found this: its result or its error, small enough for a pod."""
    if "error" in found:
        return _encoded({"error": str(found["error"])[:ERROR_LENGTH_MAX]})
    message = _encoded({"result": found["result"]})
    if len(message) <= MESSAGE_BYTES_MAX:
        return message
    return _encoded({"error": f"its result has {len(message)} bytes, a pod tells {MESSAGE_BYTES_MAX} at most"})


def work(module: str, settings: Path, environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a job has found, run as a process of its own: whatever ends that, there is something to tell."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        done = subprocess.run(
            [sys.executable, "-m", module, str(settings), str(output)], env=dict(environment), check=False
        )
        try:
            found: Mapping[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
            return {"error": f"its process {how}: kubectl logs shows its last lines"}
        return found


def _encoded(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def _environment() -> dict[str, str]:
    """Return our own environment, with the database's URL as a job reads it."""
    environment = {name: value for name, value in os.environ.items() if name != "TRADEFLEET_DATABASE_URL_FILE"}
    url = read_secret(os.environ, "database_url")
    return environment if url is None else {**environment, "TRADEFLEET_DATABASE_URL": url.reveal()}


def main(arguments: list[str]) -> int:
    """Work out a job and leave the message; return the exit status."""
    module, settings, message = arguments
    if module not in MODULES:
        raise Permanent(f"{module} is no job: there are {', '.join(MODULES)}")
    found = work(module, Path(settings), _environment())
    Path(message).write_bytes(told(found))
    return 1 if "error" in found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
