"""Runs the figures, each in a process of its own, and writes them to bench/RESULTS.md.

    python -m bench [NAME...] [--list] [--quick] [--write]

Without names all of them run. A full run replaces RESULTS.md, as some named figures do with --write; else the results
are printed only. The exit status is 1 when a figure could not be measured; a missed goal is a finding, and is said in
the results.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.figure import RESULTS_VARIABLE, Result, read_results
from bench.machine import PEERS, describe

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = Path(__file__).with_name("RESULTS.md")
PEER_PYTHON: Final = ROOT / ".venv" / "bench" / "bin" / "python"
LINES_KEPT: Final = 40  # of what a figure says, to be shown when it could not be measured


@dataclass(frozen=True, slots=True)
class Figure:
    """One script of this folder: its name, and what it measures."""

    name: str
    about: str

    def command(self, *, quick: bool) -> list[str]:
        """Return how the figure is measured alone, after the interpreter."""
        return ["-m", f"bench.{self.name}", *(["--quick"] if quick else [])]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure's results; `failure` holds the end of its output when it could not be measured."""

    figure: Figure
    results: Sequence[Result]
    seconds: float
    failure: str = ""


FIGURES: Final = (
    Figure("latency", "from a bar to the venue's answer at the bot, through Kafka and Postgres, beside a bare loop"),
    Figure("gateway", "orders a second through the gateway, beside the same rows written bare"),
    Figure("codec", "encoding and decoding a message, beside fastavro on a plain dict"),
    Figure("candle_import", "importing candles, beside a bare COPY"),
    Figure("bot_process", "memory and start of a dedicated bot's process, beside an empty one"),
    Figure("governor", "1,000 bots in a cluster: children, memory, rest, restart, beside the Deployment controller"),
    Figure("shared_host", "memory of a bot among 1,000 in one process, and how many decisions that makes a second"),
    Figure("fleet_memory", "memory of the demo's fleet with its broker and database"),
    Figure("backtest", "bars a second, beside backtrader and nautilus_trader"),
    Figure("lockstep", "steps a second of eight bots as processes, and the backtest's ledger under kills"),
    Figure("governor_chaos", "the Governor killed in storms of changes, and every kind's spec changed in long series"),
    Figure("simulation", "ten thousand fleets under faults, and the deliberate bugs they find"),
)


def measure(figure: Figure, *, quick: bool) -> Measured:
    """Run one figure, with everything it says shown, and return what it found."""
    print(f"== {figure.name}: {figure.about}", flush=True)
    began_s = time.perf_counter()
    last: deque[str] = deque(maxlen=LINES_KEPT)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        told.touch()
        with subprocess.Popen(
            [sys.executable, *figure.command(quick=quick)],
            cwd=ROOT,
            env={**os.environ, RESULTS_VARIABLE: str(told)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                last.append(line)
        results = read_results(told)
    failure = "" if results else f"It ended with status {process.returncode}:\n{''.join(last)}"
    return Measured(figure, results, time.perf_counter() - began_s, failure)


def page(measured: Sequence[Measured], machine: Sequence[str]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Figures",
        "",
        "Written by `make bench`; do not edit. Ratios are against a peer or a limit in the same run, taken in turns.",
        "",
        f"- Date: {datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC",
        *(f"- {line}" for line in machine),
        "",
        "| figure | goal | found | |",
        "|---|---|---|---|",
    ]
    for each in measured:
        lines += [
            f"| {result.name} | {result.goal} | {result.found} | {_verdict(result)} |" for result in each.results
        ] or [f"| {each.figure.name} | | could not be measured | **failed** |"]
    for each in measured:
        lines += ["", f"## {each.figure.name}", "", f"{each.figure.about[0].upper()}{each.figure.about[1:]}.", ""]
        lines += [f"    python {' '.join(each.figure.command(quick=False))}", ""]
        for result in each.results:
            short = "" if result.is_met is not False else " This falls short of the goal."
            lines += [f"**{result.name}**: {result.found}; goal: {result.goal}.{short}", "", "```text"]
            lines += [*result.numbers, "```", ""]
        if each.failure:
            lines += ["```text", each.failure, "```"]
        lines += [f"Took {each.seconds:.0f} s."]
    return "\n".join(lines) + "\n"


def _verdict(result: Result) -> str:
    return {True: "met", False: "**falls short**", None: ""}[result.is_met]


def _peer_versions() -> str:
    script = f"from importlib.metadata import version; print(', '.join(n + ' ' + version(n) for n in {PEERS!r}))"
    if not PEER_PYTHON.exists():
        return "not installed"
    done = subprocess.run([str(PEER_PYTHON), "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not installed"


def main() -> int:
    """Run what was asked for."""
    names = [figure.name for figure in FIGURES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(names)}")
    parser.add_argument("--list", action="store_true", help="show the figures and run nothing")
    parser.add_argument("--quick", action="store_true", help="only see that they run: fewer rounds, nothing written")
    parser.add_argument("--write", action="store_true", help="replace RESULTS.md by the figures that are named")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in names]
    if unknown:
        parser.error(f"there is no figure {unknown[0]}; there are {', '.join(names)}")
    if given.list:
        for figure in FIGURES:
            print(f"{figure.name:14s} {figure.about}")
        return 0
    machine = [*describe(), f"Peers: {_peer_versions()}"]
    wanted = [figure for figure in FIGURES if not given.names or figure.name in given.names]
    measured = [measure(figure, quick=given.quick) for figure in wanted]
    text = page(measured, machine)
    if (given.names and not given.write) or given.quick:
        print(f"\n{text}", end="")
    else:
        RESULTS.write_text(text, encoding="utf-8")
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}")
    return int(any(each.failure for each in measured))


if __name__ == "__main__":
    sys.exit(main())
