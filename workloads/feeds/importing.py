"""Import of candles into a dataset: checked, exactly once, whole or not at all.

All files of an import go into one transaction. A crash, Ctrl-C or a broken line leaves the dataset as it was; the same
import again finds every bar stored and adds none.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash
from workloads.feeds.coverage import Coverage, join_stretches
from workloads.feeds.errors import DatasetChange
from workloads.feeds.findings import Findings
from workloads.feeds.ports import (
    BarSource,
    DatasetContent,
    DatasetSeries,
    DatasetStore,
    DatasetTarget,
    DatasetTransaction,
)
from workloads.feeds.replay import merge_series, series_of

REPORT_BARS = 4_096  # progress is told after so many bars


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesImport:
    """What an import did to one series: of `read` bars, `added` were not stored before."""

    series: DatasetSeries
    read: int
    added: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did, and what the dataset holds now."""

    content: DatasetContent
    imported: tuple[SeriesImport, ...]
    findings: Findings

    @property
    def read(self) -> int:
        """Bars that the sources had."""
        return sum(each.read for each in self.imported)

    @property
    def added(self) -> int:
        """Bars that were not stored before."""
        return sum(each.added for each in self.imported)


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is: the part of all sources that is read (None: unknown), and bars so far."""

    part: float | None
    bars: int


def import_sources(
    store: DatasetStore,
    target: DatasetTarget,
    sources: Sequence[BarSource],
    *,
    on_progress: Callable[[ImportProgress], None] | None = None,
) -> ImportReport:
    """Return what was added to the dataset after reading all of `sources`, in any order.

    Raises BrokenData and UnusableSource for the first thing that is wrong, BarConflict for a bar that is stored with
    another content, DatasetChange when the dataset must not take the data. Nothing is changed then.
    """
    _check_origin(target, sources)
    findings = Findings()
    progress = _Progress(sources, on_progress)
    with store.importing(target) as transaction:
        held = {(each.symbol, each.interval_us): each for each in transaction.before.series}
        imported = []
        for (symbol, interval_us), group in series_of(sources).items():
            taken = _Taken(interval_us)
            bars = progress.watch(taken.watch(merge_series(group, findings)))
            added = transaction.add(symbol, interval_us, bars)
            series = _series_after(transaction, held.get((symbol, interval_us)), symbol, interval_us, taken)
            source_hash = dataset_hash([SeriesContent(symbol, interval_us, taken.count, taken.hexdigest())])
            label = ", ".join(source.description.label for source in group)
            transaction.save(series, source=label, source_hash=source_hash, bars=taken.count)
            held[symbol, interval_us] = series
            imported.append(SeriesImport(series=series, read=taken.count, added=added))
    series_now = tuple(series for _, series in sorted(held.items()))
    content = DatasetContent(target=target, series=series_now)
    return ImportReport(content=content, imported=tuple(imported), findings=findings)


def _check_origin(target: DatasetTarget, sources: Sequence[BarSource]) -> None:
    if not sources:
        raise DatasetChange(f"dataset {target.dataset}: nothing to import; name a file")
    for source in sources:
        if source.description.is_synthetic != target.is_synthetic:
            kinds = "made-up", "real"
            source_kind, target_kind = kinds if source.description.is_synthetic else kinds[::-1]
            raise DatasetChange(
                f"dataset {target.dataset}: {source.description.label} has {source_kind} candles, the dataset takes "
                f"{target_kind} ones; import them into a dataset of their own"
            )


class _Taken:
    """What the sources of a series had: count, hash and stretches, noted while the bars pass through."""

    def __init__(self, interval_us: int) -> None:
        self.count = 0
        self.coverage = Coverage(interval_us)
        self._hash = SeriesHash()

    def watch(self, bars: Iterator[Bar]) -> Iterator[Bar]:
        """Yield `bars` as they are."""
        add = self._hash.add
        for bar in self.coverage.watch(bars):
            add(bar)
            self.count += 1
            yield bar

    def hexdigest(self) -> str:
        """Return the hash of what passed."""
        return self._hash.hexdigest()


def _series_after(
    transaction: DatasetTransaction, before: DatasetSeries | None, symbol: Symbol, interval_us: int, taken: _Taken
) -> DatasetSeries:
    """Return what the dataset holds of a series now."""
    if before is None:
        stretches, content_hash = taken.coverage.stretches, taken.hexdigest()
    else:
        stretches = join_stretches((*before.stretches, *taken.coverage.stretches), interval_us)
        content_hash = before.content_hash
        if stretches != before.stretches:
            # New bars lie before or between the old ones, and a hash cannot be continued from there: read them all.
            joined = SeriesHash()
            for bar in transaction.read(symbol, interval_us, stretches):
                joined.add(bar)
            content_hash = joined.hexdigest()
    return DatasetSeries(symbol=symbol, interval_us=interval_us, stretches=stretches, content_hash=content_hash)


class _Progress:
    """Tells how far an import is, now and then."""

    def __init__(self, sources: Sequence[BarSource], tell: Callable[[ImportProgress], None] | None) -> None:
        self._sources = sources
        self._tell = tell
        self._bars = 0

    def watch(self, bars: Iterator[Bar]) -> Iterator[Bar]:
        """Yield `bars` as they are."""
        if self._tell is None:
            yield from bars
            return
        for bar in bars:
            if self._bars % REPORT_BARS == 0:
                self._tell(self._now())
            self._bars += 1
            yield bar
        self._tell(self._now())

    def _now(self) -> ImportProgress:
        parts = [source.progress for source in self._sources]
        known = [part for part in parts if part is not None]
        part = sum(known) / len(parts) if len(known) == len(parts) else None
        return ImportProgress(part=part, bars=self._bars)
