"""Datasets in memory, under the contract of the ones in Postgres."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import BarConflict
from tradefleet.domain.ids import Symbol
from workloads.feeds.coverage import Stretch, only_covered
from workloads.feeds.errors import DatasetChange
from workloads.feeds.ports import DatasetContent, DatasetKey, DatasetSeries, DatasetTarget

Place = tuple[str, Symbol, int]  # stored under, symbol, interval


@dataclass
class State:
    bars: dict[Place, dict[int, Bar]] = field(default_factory=dict)
    contents: dict[DatasetKey, DatasetContent] = field(default_factory=dict)
    imports: dict[tuple[DatasetKey, str], tuple[str, int]] = field(default_factory=dict)

    def sorted_bars(self, place: Place) -> list[Bar]:
        return [bar for _, bar in sorted(self.bars.get(place, {}).items())]


class MemoryDatasets:
    """Implements `DatasetStore`."""

    def __init__(self) -> None:
        self.state = State()

    def load(self, dataset: DatasetKey) -> DatasetContent | None:
        return self.state.contents.get(dataset)

    def datasets(self) -> list[DatasetContent]:
        return [content for _, content in sorted(self.state.contents.items())]

    def read(self, dataset: DatasetContent, symbol: Symbol, interval_us: int) -> Iterator[Bar]:
        series = next(each for each in dataset.series if (each.symbol, each.interval_us) == (symbol, interval_us))
        bars = self.state.sorted_bars((dataset.target.stored_under, symbol, interval_us))
        return only_covered(bars, series.stretches)

    def imports(self, dataset: DatasetKey) -> list[tuple[str, str, int]]:
        """Return (source hash, source, bars) of each import; for tests."""
        return sorted((key[1], *row) for key, row in self.state.imports.items() if key[0] == dataset)

    @contextmanager
    def importing(self, target: DatasetTarget) -> Iterator["MemoryDatasetTransaction"]:
        transaction = MemoryDatasetTransaction(copy.deepcopy(self.state), target)
        yield transaction
        self.state = transaction.state


class MemoryDatasetTransaction:
    """Implements `DatasetTransaction`: works on a copy."""

    def __init__(self, state: State, target: DatasetTarget) -> None:
        self.state = state
        self._target = target
        self.before = state.contents.setdefault(target.dataset, DatasetContent(target=target))
        if self.before.target != target:
            raise DatasetChange(f"dataset {target.dataset}: is {self.before.target}, not {target}")

    def add(self, symbol: Symbol, interval_us: int, bars: Iterable[Bar]) -> int:
        stored = self.state.bars.setdefault((self._target.stored_under, symbol, interval_us), {})
        added = 0
        for bar in bars:
            if stored.setdefault(bar.open_us, bar) is bar:
                added += 1
            elif stored[bar.open_us] != bar:
                raise BarConflict(f"dataset {self._target.dataset}: {bar} is stored as {stored[bar.open_us]}")
        return added

    def read(self, symbol: Symbol, interval_us: int, stretches: Sequence[Stretch]) -> Iterator[Bar]:
        return only_covered(self.state.sorted_bars((self._target.stored_under, symbol, interval_us)), stretches)

    def save(self, series: DatasetSeries, *, source: str, source_hash: str, bars: int) -> None:
        dataset = self._target.dataset
        held = {(each.symbol, each.interval_us): each for each in self.state.contents[dataset].series}
        held[series.symbol, series.interval_us] = series
        content = DatasetContent(target=self._target, series=tuple(each for _, each in sorted(held.items())))
        self.state.contents[dataset] = content
        self.state.imports.setdefault((dataset, source_hash), (source, bars))
