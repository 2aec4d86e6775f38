"""The Helm that was built with the API server."""

import subprocess
from pathlib import Path

from cluster.binaries import find

CHART = Path(__file__).parents[2] / "helm" / "tradefleet"
TIMEOUT_S = 120


def helm(*arguments: str, config: Path | None = None) -> "subprocess.CompletedProcess[str]":
    kubeconfig = ["--kubeconfig", str(config)] if config else []
    return subprocess.run(
        [str(find("helm")), *arguments, *kubeconfig],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )
