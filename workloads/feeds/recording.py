"""What a recording holds of one series, kept up bar by bar: its stretches without a gap and its content hash."""

from collections.abc import Iterable

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol
from workloads.feeds.content_hash import SeriesHash
from workloads.feeds.coverage import Stretch
from workloads.feeds.ports import DatasetSeries


class SeriesRecord:
    """Takes the bars of one series that lie whole between `from_us` and `to_us`; those outside are passed over.

    Hash and stretches go by time. `is_in_order` turns False when an older bar came than one before: a feed played
    another part of history. Then the record is to be made anew, of bars that are sorted.
    """

    def __init__(
        self, symbol: Symbol, interval_us: int, *, from_us: int | None = None, to_us: int | None = None
    ) -> None:
        self.symbol = symbol
        self.interval_us = interval_us
        self.is_in_order = True
        self.bars = 0
        self._from_us = from_us
        self._to_us = to_us
        self._hash = SeriesHash()
        self._stretches: list[Stretch] = []

    def take(self, bars: Iterable[Bar]) -> int:
        """Return how many of `bars` belong to the record, after noting them."""
        before = self.bars
        for bar in bars:
            if self._is_inside(bar):
                self._note(bar)
        return self.bars - before

    def _is_inside(self, bar: Bar) -> bool:
        starts = self._from_us is None or bar.open_us >= self._from_us
        return starts and (self._to_us is None or bar.close_us <= self._to_us)

    def _note(self, bar: Bar) -> None:
        self.bars += 1
        self._hash.add(bar)
        last = self._stretches[-1] if self._stretches else None
        if last is not None and bar.open_us == last.last_us + self.interval_us:
            self._stretches[-1] = Stretch(last.first_us, bar.open_us)
            return
        if last is not None and bar.open_us <= last.last_us:
            self.is_in_order = False
        self._stretches.append(Stretch(bar.open_us, bar.open_us))

    @property
    def series(self) -> DatasetSeries:
        """What the record holds."""
        assert self.is_in_order, "a record whose bars came out of order must be made anew"
        return DatasetSeries(
            symbol=self.symbol,
            interval_us=self.interval_us,
            stretches=tuple(self._stretches),
            content_hash=self._hash.hexdigest(),
        )
