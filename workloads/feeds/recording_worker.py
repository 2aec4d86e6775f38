"""The edge of a recorder: a dataset takes in what an exchange's market brings.

Bars are there already, committed by their feed, and the dataset says which of them it holds; ticks are written here.

Ticks are read from the beginning of their topics at each start, as far as the broker still has them; what is recorded
already is passed over, and what comes twice changes nothing. So a recorder that was away for less than the topics keep
(a day) has lost nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from tradefleet.bus.ports import Bus, Reader, Source, Start
from tradefleet.bus.ports import Record as BusRecord
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import StreamName, Symbol, bars_stream
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.topics import market_key
from tradefleet.runtime.ports import Clock
from workloads.feeds.adapters.records import record_of
from workloads.feeds.ports import DatasetSeries, DatasetTarget
from workloads.feeds.recorder import MarketTrade, Recorder, RecordStore, Ticker
from workloads.feeds.recording import SeriesRecord

BARS_MAX = 5_000  # read of one series at a time
TICKS_MAX = 1_000  # taken from the bus at a time
LOOK_US = 1_000_000  # between two looks for new bars
OVERLAP_US = 60_000_000  # ticks so much older than the newest recorded one are taken for recorded


class RecordingStore(Protocol):
    """Recordings and the bars that they are of."""

    def claim(self, target: DatasetTarget) -> None:
        """Make the dataset's row. Raises DatasetChange when a dataset of that name is of another origin."""

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        """Return committed closed bars with their numbers, in the order of the stream."""

    def sorted_bars(self, exchange: str, symbol: Symbol, interval_us: int, *, until: int) -> Iterator[Bar]:
        """Yield the bars of a stream up to number `until` in the order of time."""

    def save(self, target: DatasetTarget, series: DatasetSeries) -> None:
        """Set what the recording holds of a series, unless somebody has set more."""

    def newest_ticks(self, exchange: str, symbols: list[Symbol]) -> Mapping[Symbol, tuple[int, int]]:
        """Return the times of the last recorded ticker and trade of each symbol, 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """What is recorded. `target` names the dataset and its exchange; `tick_topics` are read for ticks."""

    target: DatasetTarget
    series: tuple[tuple[Symbol, int], ...]
    from_us: int | None = None
    to_us: int | None = None
    tick_topics: tuple[str, ...] = ()


class RecordingWorker:
    """Records one dataset."""

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        store: RecordingStore,
        ticks: RecordStore,
        bus: Bus,
        clock: Clock,
        put_aside: Callable[[BusRecord, FleetError], None],
    ) -> None:
        self._plan = plan
        self._store = store
        self._bus = bus
        self._clock = clock
        self._put_aside = put_aside
        self._recorder = Recorder(ticks)
        self._reader: Reader | None = None
        self._recorded: Mapping[Symbol, tuple[int, int]] = {}
        self._series: dict[StreamName, SeriesRecord] = {}
        self._positions: dict[StreamName, int] = {}
        self._look_at_us = 0

    @property
    def ticks(self) -> int:
        """How many ticks were written since this process began."""
        return self._recorder.written

    @property
    def bars(self) -> int:
        """How many bars the recording holds."""
        return sum(each.bars for each in self._series.values())

    def start(self) -> None:
        """Claim the dataset and begin with the first bar; memory is what is read again."""
        plan = self._plan
        self._store.claim(plan.target)
        self._series, self._positions, self._look_at_us = {}, {}, 0
        for symbol, interval_us in plan.series:
            stream = bars_stream(plan.target.exchange, symbol, interval_us)
            self._series[stream] = self._new(symbol, interval_us)
            self._positions[stream] = 0
        self._recorder.drop()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if plan.tick_topics:
            symbols = sorted({symbol for symbol, _ in plan.series})
            self._recorded = self._store.newest_ticks(plan.target.exchange, symbols)
            keys = frozenset(market_key(plan.target.exchange, symbol) for symbol in symbols)
            sources = [Source(topic=topic, keys=keys, start=Start.BEGINNING) for topic in plan.tick_topics]
            self._reader = self._bus.reader(sources)

    def _new(self, symbol: Symbol, interval_us: int) -> SeriesRecord:
        return SeriesRecord(symbol, interval_us, from_us=self._plan.from_us, to_us=self._plan.to_us)

    def step(self, timeout_us: int) -> bool:
        """Take what came."""
        worked = self._clock.monotonic_us() >= self._look_at_us and self._read_bars()
        if self._reader is None:
            if not worked:
                self._clock.sleep_us(timeout_us)
            return worked
        return self._read_ticks(self._reader, 0 if worked else timeout_us) or worked

    def stop(self) -> None:
        """Write what waits."""
        self._recorder.flush()

    def _read_bars(self) -> bool:
        """Take the bars that were committed since the last look; True when there were any."""
        found = False
        for stream, record in list(self._series.items()):
            rows = self._store.read_bars(stream, after=self._positions[stream], limit=BARS_MAX)
            if not rows:
                continue
            found = True
            taken = record.take(bar for _, bar in rows)
            self._positions[stream] = rows[-1][0]
            if not record.is_in_order:
                record = self._series[stream] = self._sorted(record, self._positions[stream])  # noqa: PLW2901
            if taken:
                self._store.save(self._plan.target, record.series)
        if not found:
            self._look_at_us = self._clock.monotonic_us() + LOOK_US
        return found

    def _sorted(self, record: SeriesRecord, until: int) -> SeriesRecord:
        anew = self._new(record.symbol, record.interval_us)
        exchange = self._plan.target.exchange
        anew.take(self._store.sorted_bars(exchange, record.symbol, record.interval_us, until=until))
        return anew

    def _read_ticks(self, reader: Reader, timeout_us: int) -> bool:
        records = reader.poll(TICKS_MAX, timeout_us)
        for record in records:
            try:
                tick = record_of(decode(record.value))
            except UndecodableMessage as error:
                self._put_aside(record, error)
                continue
            if tick is None or tick.exchange != self._plan.target.exchange:
                self._put_aside(record, UndecodableMessage(f"is no tick of {self._plan.target.exchange}"))
            elif not self._is_recorded(tick):
                self._recorder.take(tick, self._clock.monotonic_us())
        self._recorder.write_due(self._clock.monotonic_us())
        return bool(records)

    def _is_recorded(self, tick: Ticker | MarketTrade) -> bool:
        newest_us = self._recorded.get(tick.symbol, (0, 0))[isinstance(tick, MarketTrade)]
        return tick.event_us < newest_us - OVERLAP_US
