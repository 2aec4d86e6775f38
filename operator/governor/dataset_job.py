"""Reads a Dataset whole: how many bars, which gaps, which content. Run as `python -m … SETTINGS RESULT`."""

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash
from workloads.feeds.findings import Findings, Severity
from workloads.feeds.settings import ReplaySettings


def read_dataset(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return bars, gaps, missing bars, first and last open time and content hash. Raises BrokenData, UnusableSource."""
    replay = msgspec.convert(settings["replay"], ReplaySettings).open()
    findings = Findings()
    hashes: dict[tuple[Symbol, int], SeriesHash] = {}
    counts: dict[tuple[Symbol, int], int] = {}
    first_us: int | None = None
    last_us: int | None = None
    for _, bars in replay.steps(findings):
        for bar in bars:
            place = (bar.symbol, bar.interval_us)
            hashes.setdefault(place, SeriesHash()).add(bar)
            counts[place] = counts.get(place, 0) + 1
            first_us = bar.open_us if first_us is None else min(first_us, bar.open_us)
            last_us = bar.open_us if last_us is None else max(last_us, bar.open_us)
    content = [
        SeriesContent(symbol, interval_us, counts[symbol, interval_us], digest.hexdigest())
        for (symbol, interval_us), digest in sorted(hashes.items())
    ]
    return {
        "bars": sum(counts.values()),
        "gaps": findings.number_of(Severity.GAP),
        "missingBars": findings.missing_bars,
        "firstUs": first_us,
        "lastUs": last_us,
        "contentHash": dataset_hash(content),
    }


if __name__ == "__main__":
    from governor.job_process import run_job

    sys.exit(run_job(read_dataset, (FleetError,)))
