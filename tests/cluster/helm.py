"""The Helms that were built with the API server: the newest, and the one before it."""

import subprocess
from pathlib import Path

from cluster.binaries import find

CHART = Path(__file__).parents[2] / "helm" / "tradefleet"
TIMEOUT_S = 120


def helm(*arguments: str, config: Path | None = None, program: str = "helm") -> "subprocess.CompletedProcess[str]":
    kubeconfig = ["--kubeconfig", str(config)] if config else []
    return subprocess.run(
        [str(find(program)), *arguments, *kubeconfig],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )
