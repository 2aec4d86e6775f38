"""What replay and import need of the outside: sources of candles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.ids import Symbol
from workloads.feeds.findings import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDescription:
    """What a source holds: bars of one instrument and interval. `label` names it in tables, reports and errors."""

    label: str
    symbol: Symbol
    interval_us: int
    is_synthetic: bool = False
    venue: str = ""  # whose market it is, when the source says so

    def __str__(self) -> str:
        made_up = ", synthetic" if self.is_synthetic else ""
        return f"{self.label} ({self.symbol} {format_interval(self.interval_us)}{made_up})"


class BarSource(Protocol):
    """History of one instrument and interval."""

    @property
    def description(self) -> SourceDescription:
        """What the source holds; known before anything is read."""

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        """Yield checked bars in the order of time, each once, in bounded memory; every call starts again.

        What the checks find goes to `findings`; without one the first error raises BrokenData. Raises
        UnusableSource when nothing can be read.
        """

    @property
    def progress(self) -> float | None:
        """How much of the source the last call of `bars` has read, 0 to 1; None when that cannot be known."""
