"""Candles of a dataset in our own Postgres, behind the port of the dataset store."""

from collections.abc import Iterator

from tradefleet.domain.bar import Bar
from workloads.feeds.checks import check_rows
from workloads.feeds.content_hash import SeriesHash
from workloads.feeds.errors import DatasetChange
from workloads.feeds.findings import Finding, Findings, Rule
from workloads.feeds.ports import (
    BarSource,
    DatasetContent,
    DatasetKey,
    DatasetSeries,
    DatasetStore,
    SourceDescription,
)


class StoredSource:
    """One series of a dataset. Its bars were checked when they were imported.

    With `findings` they are checked again, and their hash is compared with the one that was taken then.
    """

    def __init__(self, store: DatasetStore, content: DatasetContent, series: DatasetSeries) -> None:
        self.description = SourceDescription(
            label=f"dataset {content.target.dataset}",
            symbol=series.symbol,
            interval_us=series.interval_us,
            is_synthetic=content.target.is_synthetic,
        )
        self._store = store
        self._content = content
        self._series = series
        self._read = 0

    @property
    def progress(self) -> float | None:
        """The part of the bars that has been read."""
        return self._read / self._series.bars if self._series.bars else 1.0

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        """Yield the series' bars. Raises BrokenData when what is stored is not what was imported."""
        self._read = 0
        stored = self._counted()
        yield from stored if findings is None else self._checked(stored, findings)

    def _counted(self) -> Iterator[Bar]:
        for bar in self._store.read(self._content, self._series.symbol, self._series.interval_us):
            self._read += 1
            yield bar

    def _checked(self, stored: Iterator[Bar], findings: Findings) -> Iterator[Bar]:
        taken = SeriesHash()

        def hashed() -> Iterator[Bar]:
            for bar in stored:
                taken.add(bar)
                yield bar

        rows = ((number, *bar[2:]) for number, bar in enumerate(hashed(), start=1))
        yield from check_rows(rows, self.description, findings, place="bar")
        if taken.hexdigest() != self._series.content_hash:
            findings.add(
                Finding(
                    rule=Rule.CHANGED,
                    source=self.description.label,
                    message=f"the {self._read} bars that are stored are not the {self._series.bars} that were imported",
                    remedy="import the dataset under another name, and find out who changed this one",
                    symbol=self._series.symbol,
                    interval_us=self._series.interval_us,
                )
            )


def open_dataset(store: DatasetStore, dataset: DatasetKey) -> list[BarSource]:
    """Return the sources of a dataset, one for each of its series. Raises DatasetChange when there is none."""
    content = store.load(dataset)
    if content is None or not content.series:
        there = ", ".join(each.target.dataset for each in store.datasets()) or "none"
        raise DatasetChange(f"dataset {dataset}: there is no such dataset; there are: {there}")
    return [StoredSource(store, content, series) for series in content.series]
