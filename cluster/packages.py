"""The system's packages that a node of our own needs."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent, Retryable

from .binaries import Tell

# What must be there, and Debian's package that brings it.
NODE: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "sysctl": "procps",
}

INSTALL_TIMEOUT_S: Final = 600.0


def ensure(needed: dict[str, str], tell: Tell) -> None:
    """Return when every program in `needed` is there, after installing what is missing.

    Raises Permanent, naming the packages, where we may not install or do not know how.
    """
    packages = missing(needed)
    if not packages:
        return
    listed = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Permanent(f"a node needs what Debian calls the packages {listed}: install them, then run this again")
    tell(f"installing the packages {listed}")
    _apt("update")
    # Recommended packages would start services of their own.
    _apt("install", "--yes", "--no-install-recommends", *packages)


def missing(needed: dict[str, str]) -> list[str]:
    """Return the packages of which something is not there."""
    return sorted({package for program, package in needed.items() if not _is_there(program)})


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet=2", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise Retryable(f"apt-get {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
