"""What the checks of market data find: broken rows, gaps, duplicates, and what only looks strange."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from tradefleet.domain.bar import format_interval
from tradefleet.domain.ids import Symbol
from workloads.feeds.errors import BrokenData

KEPT_PER_RULE_MAX = 1_000  # findings of one rule that are kept in full; all are counted


class Severity(StrEnum):
    """What a finding means for the data."""

    ERROR = "error"  # the data is refused
    GAP = "gap"  # bars are missing; they are never filled in
    WARNING = "warning"  # possible, but worth a look


class Rule(StrEnum):
    """What was checked."""

    UNREADABLE = "unreadable"  # a file that is cut off or no text, a line with other columns
    NOT_A_NUMBER = "not-a-number"
    TIME = "time"  # an open time that cannot be read, or in another unit
    NOT_POSITIVE = "not-positive"
    TOO_LARGE = "too-large"
    HIGH_BELOW_LOW = "high-below-low"
    OUTSIDE_RANGE = "outside-range"  # open or close not between low and high
    MISALIGNED = "misaligned"
    OUT_OF_ORDER = "out-of-order"
    CONFLICT = "conflict"  # the same bar twice with other content
    INTERVAL = "interval"  # bars are regularly further apart than the interval
    CHANGED = "changed"  # stored bars are not those whose hash was taken
    GAP = "gap"
    ZERO_VOLUME = "zero-volume"
    OUTLIER = "outlier"
    DUPLICATE = "duplicate"  # the same bar twice with the same content

    @property
    def severity(self) -> Severity:
        """What a finding of this rule means."""
        match self:
            case Rule.GAP:
                return Severity.GAP
            case Rule.ZERO_VOLUME | Rule.OUTLIER:
                return Severity.WARNING
            case _:
                return Severity.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. `place` is "line 17" or "row 17"; `count` bars lie between `from_us` and `to_us`."""

    rule: Rule
    source: str
    message: str
    remedy: str = ""
    place: str = ""
    field: str = ""
    symbol: Symbol | None = None
    interval_us: int = 0
    from_us: int | None = None
    to_us: int | None = None
    count: int = 1

    @property
    def severity(self) -> Severity:
        """What it means for the data."""
        return self.rule.severity

    def __str__(self) -> str:
        where = f"{self.source} {self.place}".rstrip()
        if self.symbol is not None and self.symbol not in self.source:
            where += f" ({self.symbol} {format_interval(self.interval_us)})"
        subject = f", field {self.field}" if self.field else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{subject}: {self.message}{remedy}"


@dataclass(slots=True)
class Findings:
    """Collects findings. The first error raises BrokenData, unless `keep_going`: then it is kept like the others.

    At most `KEPT_PER_RULE_MAX` findings of a rule are kept, however broken the data is; `counts` holds them all.
    """

    keep_going: bool = False
    kept: list[Finding] = field(default_factory=list)
    counts: Counter[Rule] = field(default_factory=Counter)
    missing_bars: int = 0
    duplicates: int = 0

    def add(self, finding: Finding) -> None:
        """Take a finding. Raises BrokenData for an error that must stop the reading."""
        rule = finding.rule
        self.counts[rule] += 1
        if rule is Rule.GAP:
            self.missing_bars += finding.count
        elif rule is Rule.DUPLICATE:
            self.duplicates += finding.count
        if self.counts[rule] <= KEPT_PER_RULE_MAX:
            self.kept.append(finding)
        if finding.severity is Severity.ERROR and not self.keep_going:
            raise BrokenData(str(finding))

    def number_of(self, severity: Severity) -> int:
        """Return how many findings of `severity` there were, kept or not."""
        return sum(count for rule, count in self.counts.items() if rule.severity is severity)

    @property
    def gaps(self) -> list[Finding]:
        """The gaps that were kept, in the order in which they were found."""
        return [finding for finding in self.kept if finding.rule is Rule.GAP]
