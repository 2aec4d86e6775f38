"""A Kubernetes in Docker, by kind, for machines that have Docker."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Retryable

from .binaries import find

ASK_TIMEOUT_S: Final = 20.0
CREATE_TIMEOUT_S: Final = 900.0  # its node's image comes from a registry
READY_WAIT: Final = "180s"
NAME_DIGITS: Final = 8


def is_usable() -> bool:
    """Return whether Docker is here and answers."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def name_for(state: Path) -> str:
    """Return the name of the cluster of a state folder: other checkouts have others."""
    return f"tradefleet-{hashlib.sha256(str(state).encode()).hexdigest()[:NAME_DIGITS]}"


def create(name: str, kubeconfig: Path) -> None:
    """Return once the cluster is ready. Raises Retryable with what kind said."""
    _kind("create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", READY_WAIT)


def load(name: str, archive: Path) -> None:
    """Put the images of an archive into the cluster."""
    _kind("load", "image-archive", str(archive), "--name", name)


def delete(name: str) -> None:
    """Return once the cluster is gone, also when there was none."""
    _kind("delete", "cluster", "--name", name)


def _kind(*arguments: str) -> None:
    done = subprocess.run(
        [str(find("kind")), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=CREATE_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise Retryable(f"kind {' '.join(arguments)}: {done.stderr.strip()}")
