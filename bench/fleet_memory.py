"""The whole demo's fleet, with broker, database, supervisor and the command that watches it: memory while it trades.

It runs `tradefleet demo` on the synthetic market in lockstep, and adds up the proportional set sizes (shared pages are
counted once) of the command and all its descendants, twice a second. The figure is the greatest sum.

Run alone: python -m bench.fleet_memory [--quick]
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from bench.figure import Result, is_quick, tell
from bench.machine import family, name_of, pss_kib
from bench.services import running

LIMIT_MIB: Final = 2_048
LOOK_S: Final = 0.5
QUICK_S: Final = 45.0  # a quick look ends the demo early
END_S: Final = 900.0
KINDS: Final = (
    ("workloads.strategy", "bots"),
    ("workloads.exchange.main gateway", "gateway"),
    ("workloads.exchange.main venue", "venue"),
    ("workloads.feeds", "feed"),
    ("governor.local.supervisor", "supervisor"),
    ("java", "broker (JVM)"),
    ("postgres", "database"),
    ("tradefleet demo", "the command that watches"),
)


def weigh(pid: int) -> tuple[Counter[str], Counter[str]]:
    """Return the KiB and the number of the processes below `pid` and of itself, by kind."""
    weights: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for each in family(pid):
        try:
            weight, name = pss_kib(each), name_of(each)
        except (OSError, ValueError):
            continue  # it has just ended, or has no memory any more
        kind = next((label for part, label in KINDS if part in name), name or "other")
        weights[kind] += weight
        counts[kind] += 1
    return weights, counts


def watch(process: "subprocess.Popen[bytes]") -> tuple[Counter[str], Counter[str], int]:
    """Return the weights and counts at the moment of the greatest sum, and how often it was looked."""
    most: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    looks = 0
    deadline_s = time.monotonic() + (QUICK_S if is_quick() else END_S)
    while process.poll() is None and time.monotonic() < deadline_s:
        found = weigh(process.pid)
        looks += 1
        if found[0].total() > most[0].total():
            most = found
        time.sleep(LOOK_S)
    return (*most, looks)


def measure() -> Result:
    """Return the figure."""
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as name:
        folder = Path(name)
        log = folder / "demo.log"
        command = [str(Path(sys.executable).with_name("tradefleet")), "demo", "--report", str(folder / "report.html")]
        with running(command, {}, log) as process:
            weights, counts, looks = watch(process)
            status = process.poll()
        said = log.read_text(encoding="utf-8", errors="replace")
    if not weights["bots"] or status not in (None, 0):
        raise SystemExit(f"the demo ended with status {status}:\n{said[-2_000:]}")
    total = weights.total() / 1024
    lines = [f"{counts[kind]:3d} × {kind:26s} {weight / 1024:7.1f} MiB" for kind, weight in weights.most_common()]
    lines.append(f"PSS, the greatest of {looks} sums{'' if status == 0 else ', ended early'}")
    return Result(
        name="The demo's whole fleet: memory",
        goal="≤ 2 GiB with broker and database",
        found=f"{total:,.0f} MiB at most, {counts['bots']} bots",
        is_met=total <= LIMIT_MIB,
        numbers=tuple(lines),
    )


if __name__ == "__main__":
    raise SystemExit(tell(measure()))
