"""What replay, import and recorder need of the outside: sources of candles, and the stores that keep them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NewType, Protocol

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesContent, dataset_hash
from workloads.feeds.coverage import Stretch, bars_in, gaps_between
from workloads.feeds.findings import Findings

DatasetKey = NewType("DatasetKey", str)  # "namespace/name"


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


class ReplaySource(Protocol):
    """Recorded market data, the same at every call."""

    def steps(self) -> Iterable[tuple[int, list[Bar]]]:
        """Yield (market_us, bars closed then, sorted by (symbol, interval)), in time order."""

    def origin(self, symbol: Symbol) -> str:
        """Return what the bars of an instrument are read from, for messages."""


# --- datasets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetTarget:
    """Where an import goes. Without an `exchange` the dataset's bars are its own, and no other dataset's."""

    dataset: DatasetKey
    exchange: str = ""  # an Exchange as namespace/name: its stored history and this dataset are then one
    is_synthetic: bool = False

    @property
    def stored_under(self) -> str:
        """The key under which bars are stored; three parts, so it is never an Exchange's."""
        return self.exchange or f"dataset/{self.dataset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSeries:
    """One instrument and interval of a dataset."""

    symbol: Symbol
    interval_us: int
    stretches: tuple[Stretch, ...]
    content_hash: str

    @property
    def bars(self) -> int:
        """How many bars there are."""
        return bars_in(self.stretches, self.interval_us)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Each gap as the open time of its first missing bar and of the next that is there."""
        return gaps_between(self.stretches, self.interval_us)

    @property
    def missing_bars(self) -> int:
        """How many bars are missing in all gaps together."""
        return sum((to_us - from_us) // self.interval_us for from_us, to_us in self.gaps)

    @property
    def content(self) -> SeriesContent:
        """What the dataset's hash is made of."""
        return SeriesContent(self.symbol, self.interval_us, self.bars, self.content_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetContent:
    """What a dataset holds; `series` are sorted by symbol and interval."""

    target: DatasetTarget
    series: tuple[DatasetSeries, ...] = ()

    @property
    def content_hash(self) -> str:
        """The hash of all bars, whatever files they came in (see `content_hash`)."""
        return dataset_hash(each.content for each in self.series)

    @property
    def bars(self) -> int:
        """How many bars there are."""
        return sum(each.bars for each in self.series)


class DatasetTransaction(Protocol):
    """One import under way: nobody else changes the dataset, and nothing of it is seen before its end."""

    @property
    def before(self) -> DatasetContent:
        """What the dataset held when the transaction began."""

    def add(self, symbol: Symbol, interval_us: int, bars: Iterable[Bar]) -> int:
        """Store those of `bars`, which come in the order of time, that are not stored yet; return how many were.

        Raises BarConflict for a bar that is stored with another content.
        """

    def read(self, symbol: Symbol, interval_us: int, stretches: Sequence[Stretch]) -> Iterator[Bar]:
        """Yield the stored bars of `stretches` in the order of time, those that this transaction added included."""

    def save(self, series: DatasetSeries, *, source: str, source_hash: str, bars: int) -> None:
        """Set what the dataset holds of a series, and note the import: `bars` of `source`, whose hash is given."""


class DatasetStore(Protocol):
    """Datasets and their bars."""

    def load(self, dataset: DatasetKey) -> DatasetContent | None:
        """Return what is there, None for a dataset that was never imported."""

    def datasets(self) -> list[DatasetContent]:
        """Return all datasets, by name."""

    def read(self, dataset: DatasetContent, symbol: Symbol, interval_us: int) -> Iterator[Bar]:
        """Yield the bars of one series in the order of time, in bounded memory."""

    def importing(self, target: DatasetTarget) -> AbstractContextManager[DatasetTransaction]:
        """Open a transaction; it commits at the end of the block and rolls back on any error in it.

        Raises DatasetChange when the dataset exists with another exchange, or made up where this one is real.
        """
