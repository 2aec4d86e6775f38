"""What `tradefleet data check` says of sources: what they hold, and everything that is wrong with them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash
from workloads.feeds.errors import UnusableSource
from workloads.feeds.findings import Finding, Findings, Rule, Severity
from workloads.feeds.ports import BarSource, SourceDescription

REPORT_BARS = 4_096  # progress is told after so many bars


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSource:
    """One source after it was read whole. Hash and times are of the bars that are sound."""

    description: SourceDescription
    bars: int
    first_us: int | None
    last_us: int | None
    content_hash: str
    findings: Findings

    @property
    def is_broken(self) -> bool:
        """True when an import would refuse the source."""
        return self.findings.number_of(Severity.ERROR) > 0

    @property
    def is_clean(self) -> bool:
        """True when there is nothing to say: no error, no gap, no warning."""
        return not any(self.findings.number_of(each) for each in (Severity.ERROR, Severity.GAP, Severity.WARNING))


def check_source(source: BarSource, on_progress: Callable[[int], None] | None = None) -> CheckedSource:
    """Return what `source` holds after reading all of it; a source that cannot be read is one of the findings."""
    findings = Findings(keep_going=True)
    taken = SeriesHash()
    count, first_us, last_us = 0, None, None
    try:
        for bar in source.bars(findings):
            taken.add(bar)
            if first_us is None:
                first_us = bar.open_us
            last_us = bar.open_us
            count += 1
            if on_progress is not None and count % REPORT_BARS == 0:
                on_progress(count)
    except UnusableSource as error:
        label = source.description.label
        message = str(error).removeprefix(label).lstrip(": ")
        findings.add(Finding(rule=Rule.UNREADABLE, source=label, message=message))
    return CheckedSource(
        description=source.description,
        bars=count,
        first_us=first_us,
        last_us=last_us,
        content_hash=taken.hexdigest(),
        findings=findings,
    )


def content_hash_of(checked: Iterable[CheckedSource]) -> str | None:
    """Return the hash of the dataset that these sources make; None when two of them share a series."""
    content = [
        SeriesContent(each.description.symbol, each.description.interval_us, each.bars, each.content_hash)
        for each in checked
    ]
    series = {(each.symbol, each.interval_us) for each in content}
    return dataset_hash(content) if len(series) == len(content) else None
