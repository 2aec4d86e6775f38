"""What `tradefleet data` prints: tables for people, the same facts as plain values for programs."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tradefleet.cli import printing
from tradefleet.domain.bar import format_interval
from tradefleet.domain.times import format_time
from workloads.feeds.checking import CheckedSource, content_hash_of
from workloads.feeds.checks import missing_text
from workloads.feeds.findings import Finding, Findings, Rule, Severity
from workloads.feeds.importing import ImportReport
from workloads.feeds.ports import DatasetContent, DatasetSeries
from workloads.feeds.sources.synthetic import LABEL as SYNTHETIC

SHOWN_MAX: Final = 40  # findings in a table; -o json has all that were kept
_STYLES: Final = {
    Severity.ERROR: "bold red",
    Severity.GAP: "yellow",
    Severity.WARNING: "yellow",
}


def print_import(report: ImportReport, output: str) -> None:
    """Print what an import did and what the dataset holds now."""
    if output != "table":
        values = {
            **_content_values(report.content),
            "read": report.read,
            "added": report.added,
            "findings": [_finding_values(each) for each in report.findings.kept],
        }
        printing.print_values(values, output)
        return
    rows = [
        [
            each.series.symbol,
            format_interval(each.series.interval_us),
            f"{each.read:,}",
            f"{each.added:,}",
            *_held(each.series),
        ]
        for each in report.imported
    ]
    names = ["Instrument", "Interval", "Read", "Added", "Bars", "From", "To", "Gaps", "Missing"]
    printing.print_rows(names, rows, numbers={2, 3, 4, 7, 8}, title=_title(report.content))
    # The gaps are those of the dataset: files that were imported together, or before, may fill each other's.
    gaps = [gap for each in report.imported for gap in _gap_lines(each.series)]
    others = [(each.severity, str(each)) for each in _worst_first(report.findings) if each.rule is not Rule.GAP]
    _print_lines([*gaps, *others], len(gaps) + sum(report.findings.counts.values()) - report.findings.counts[Rule.GAP])
    if not report.added:
        _say("Nothing was added: every bar was there already.")
    _say(f"Content hash {report.content.content_hash}")


def print_check(checked: Sequence[CheckedSource], output: str) -> None:
    """Print what sources hold and what is wrong with them."""
    content_hash = content_hash_of(checked)
    if output != "table":
        values = {"contentHash": content_hash, "sources": [_checked_values(each) for each in checked]}
        printing.print_values(values, output)
        return
    rows = [
        [
            each.description.label + (f" ({SYNTHETIC})" if _needs_label(each) else ""),
            each.description.symbol,
            format_interval(each.description.interval_us),
            f"{each.bars:,}",
            *_range(each.first_us, each.last_us),
            f"{each.findings.number_of(Severity.GAP):,}",
            f"{each.findings.missing_bars:,}",
            f"{each.findings.duplicates:,}",
            f"{each.findings.number_of(Severity.WARNING):,}",
            f"{each.findings.number_of(Severity.ERROR):,}",
        ]
        for each in checked
    ]
    names = ["Source", "Instrument", "Interval", "Bars", "From", "To"]
    names += ["Gaps", "Missing", "Merged", "Warnings", "Errors"]
    printing.print_rows(names, rows, numbers={3, 6, 7, 8, 9, 10})
    lines = [(finding.severity, str(finding)) for finding in _worst_first(*(each.findings for each in checked))]
    _print_lines(lines, sum(sum(each.findings.counts.values()) for each in checked))
    if content_hash is not None and not any(each.is_broken for each in checked):
        _say(f"Content hash {content_hash}")


def print_datasets(contents: Sequence[DatasetContent], output: str) -> None:
    """Print the datasets that are there, a line for each of their series."""
    if output != "table":
        printing.print_values([_content_values(each) for each in contents], output)
        return
    if not contents:
        _say("There are no datasets. `tradefleet data import FILES` makes one.")
        return
    rows = [
        [_title(content), series.symbol, format_interval(series.interval_us), *_held(series)]
        for content in contents
        for series in content.series
    ]
    names = ["Dataset", "Instrument", "Interval", "Bars", "From", "To", "Gaps", "Missing"]
    printing.print_rows(names, rows, numbers={3, 6, 7})


def _worst_first(*found: Findings) -> list[Finding]:
    """Return the findings that were kept, errors before gaps before warnings."""
    order = list(Severity)
    return sorted((finding for each in found for finding in each.kept), key=lambda each: order.index(each.severity))


def _gap_lines(series: DatasetSeries) -> list[tuple[Severity, str]]:
    what = f"{series.symbol} {format_interval(series.interval_us)}"
    return [
        (Severity.GAP, f"{what}: {missing_text(from_us, to_us, series.interval_us)}") for from_us, to_us in series.gaps
    ]


def _print_lines(lines: Sequence[tuple[Severity, str]], count: int) -> None:
    """Print what was found, and how much more of it there is."""
    shown = lines[:SHOWN_MAX]
    if not shown:
        return
    _say("")
    styles = [[_STYLES[severity], ""] for severity, _ in shown]
    printing.print_rows(["Kind", "Found"], [[severity, line] for severity, line in shown], styles=styles)
    if count > len(shown):
        _say(f"… and {count - len(shown):,} more; -o json shows up to a thousand of each rule.")
    _say("")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _title(content: DatasetContent) -> str:
    made_up = f" ({SYNTHETIC})" if content.target.is_synthetic else ""
    return f"{content.target.dataset}{made_up}"


def _needs_label(checked: CheckedSource) -> bool:
    return checked.description.is_synthetic and SYNTHETIC not in checked.description.label


def _range(first_us: int | None, last_us: int | None) -> list[str]:
    return ["-" if each is None else format_time(each) for each in (first_us, last_us)]


def _held(series: DatasetSeries) -> list[str]:
    return [
        f"{series.bars:,}",
        *_range(*_ends(series)),
        f"{len(series.gaps):,}",
        f"{series.missing_bars:,}",
    ]


def _ends(series: DatasetSeries) -> tuple[int | None, int | None]:
    """Return the open times of the first and the last bar."""
    if not series.stretches:
        return None, None
    return series.stretches[0].first_us, series.stretches[-1].last_us


def _content_values(content: DatasetContent) -> dict[str, Any]:
    return {
        "dataset": content.target.dataset,
        "exchange": content.target.exchange or None,
        "synthetic": content.target.is_synthetic,
        "bars": content.bars,
        "contentHash": content.content_hash,
        "series": [_series_values(each) for each in content.series],
    }


def _series_values(series: DatasetSeries) -> dict[str, Any]:
    first, last = (None if each is None else format_time(each) for each in _ends(series))
    return {
        "instrument": series.symbol,
        "interval": format_interval(series.interval_us),
        "bars": series.bars,
        "firstBarTime": first,
        "lastBarTime": last,
        "missingBars": series.missing_bars,
        "gaps": _gap_values((from_us, to_us, series.interval_us) for from_us, to_us in series.gaps),
        "contentHash": series.content_hash,
    }


def _gap_values(gaps: Iterable[tuple[int, int, int]]) -> list[dict[str, Any]]:
    return [
        {"from": format_time(from_us), "to": format_time(to_us), "bars": (to_us - from_us) // interval_us}
        for from_us, to_us, interval_us in gaps
    ]


def _checked_values(checked: CheckedSource) -> dict[str, Any]:
    description, findings = checked.description, checked.findings
    return {
        "source": description.label,
        "instrument": description.symbol,
        "interval": format_interval(description.interval_us),
        "synthetic": description.is_synthetic,
        "bars": checked.bars,
        "firstBarTime": None if checked.first_us is None else format_time(checked.first_us),
        "lastBarTime": None if checked.last_us is None else format_time(checked.last_us),
        "gaps": findings.number_of(Severity.GAP),
        "missingBars": findings.missing_bars,
        "duplicates": findings.duplicates,
        "warnings": findings.number_of(Severity.WARNING),
        "errors": findings.number_of(Severity.ERROR),
        "contentHash": checked.content_hash,
        "findings": [_finding_values(each) for each in findings.kept],
    }


def _finding_values(finding: Finding) -> dict[str, Any]:
    return {
        "kind": str(finding.severity),
        "rule": str(finding.rule),
        "source": finding.source,
        "place": finding.place or None,
        "field": finding.field or None,
        "message": finding.message,
        "remedy": finding.remedy or None,
        "from": None if finding.from_us is None else format_time(finding.from_us),
        "to": None if finding.to_us is None else format_time(finding.to_us),
        "bars": finding.count,
    }
