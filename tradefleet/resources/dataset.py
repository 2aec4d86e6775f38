"""Dataset: history that was checked, with its gaps and content hash known; what a backtest's evidence names."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from tradefleet.resources.common import KindNames, PrinterColumn, Reference, Resource, Status, TimeRange
from tradefleet.resources.market_data import DataVolume, FileSource, SqlSource, SyntheticSource
from tradefleet.resources.model import rule, transition
from tradefleet.resources.values import InstrumentSymbol, Interval, Many, ManyDistinct, Whole

DEFAULT_INTERVAL = "1m"
SOURCES_MAX = 256
INSTRUMENTS_MAX = 256
INTERVALS_MAX = 16


class GapPolicy(StrEnum):
    """What missing bars mean for the dataset; they are never filled in."""

    REPORT = "Report"
    FAIL = "Fail"


class TickChannel(StrEnum):
    """Market data finer than bars, which is recorded as it comes."""

    TICKER = "ticker"
    TRADES = "trades"


class SourceKind(StrEnum):
    """Where a dataset comes from."""

    EXCHANGE = "exchange"
    FILES = "files"
    SQL = "sql"
    SYNTHETIC = "synthetic"


class DatasetSpec(TimeRange):
    """What history is wanted. Exactly one of exchangeRef, files, sql and synthetic says where it comes from."""

    exchange_ref: Reference | None = Field(
        default=None,
        description="Download from this Exchange, and keep up with it unless frozen. Of a simulator there is nothing "
        "to download: the bars that its feeds bring are recorded. A recording can be played once it is frozen.",
    )
    files: Many[FileSource] = Field(default=(), max_length=SOURCES_MAX, description="Files of candles, CSV or Parquet.")
    volume: DataVolume | None = Field(
        default=None,
        description="Where the files are, in a cluster, which needs it. A local fleet reads them from its own disk.",
    )
    sql: Many[SqlSource] = Field(default=(), max_length=SOURCES_MAX, description="Queries against your own database.")
    synthetic: SyntheticSource | None = Field(
        default=None,
        description="Made-up candles from a seed, labelled as such wherever they show. No evidence for anything.",
    )
    instruments: ManyDistinct[InstrumentSymbol] = Field(
        default=(),
        max_length=INSTRUMENTS_MAX,
        description="What to download or make up. Files and queries name their own.",
    )
    intervals: ManyDistinct[Interval] = Field(
        default=(),
        max_length=INTERVALS_MAX,
        description="Lengths of bars to download or make up. Default: 1m. Files and queries name their own.",
    )
    ticks: ManyDistinct[Annotated[TickChannel, Strict(False)]] = Field(
        default=(),
        max_length=2,
        description="What to record of the Exchange beside bars: ticker, the best prices; trades.",
    )
    gap_policy: GapPolicy = Field(
        default=GapPolicy.REPORT,
        strict=False,
        description="Report: missing bars are listed in status. Fail: with any, the dataset is not Ready. None is ever "
        "filled in.",
    )
    frozen: bool = Field(
        default=False,
        description="true: the content stays as it is, and so does its hash. The spec cannot change meanwhile.",
    )
    suspend: bool = Field(default=False, description="true: no import or download runs.")

    @rule(
        cel="(has(self.exchangeRef) ? 1 : 0) + (size(self.files) > 0 ? 1 : 0) + (size(self.sql) > 0 ? 1 : 0) "
        "+ (has(self.synthetic) ? 1 : 0) == 1",
        message="a dataset has one source: give exactly one of exchangeRef, files, sql, synthetic",
    )
    def _one_source(self) -> bool:
        return len(self._sources()) == 1

    @rule(
        cel="!(has(self.exchangeRef) || has(self.synthetic)) || size(self.instruments) > 0",
        message="a dataset that is downloaded or made up names its instruments",
        field="instruments",
    )
    def _instruments_are_named(self) -> bool:
        return (self.exchange_ref is None and self.synthetic is None) or bool(self.instruments)

    @rule(
        cel="(size(self.files) == 0 && size(self.sql) == 0) || "
        "(size(self.instruments) == 0 && size(self.intervals) == 0)",
        message="each file and query names its own instrument and interval: take out instruments and intervals",
        field="instruments",
    )
    def _sources_name_their_own(self) -> bool:
        return not (self.files or self.sql) or not (self.instruments or self.intervals)

    @rule(
        cel="!has(self.volume) || size(self.files) > 0",
        message="volume is where files are: name some, or take it out",
        field="volume",
    )
    def _volume_has_files(self) -> bool:
        return self.volume is None or bool(self.files)

    @rule(
        cel="size(self.ticks) == 0 || has(self.exchangeRef)",
        message="ticks are recorded from an Exchange: name it with exchangeRef, or take out ticks",
        field="ticks",
    )
    def _ticks_are_of_an_exchange(self) -> bool:
        return not self.ticks or self.exchange_ref is not None

    @rule(
        cel="!has(self.synthetic) || self.synthetic.startPrices.all(symbol, symbol in self.instruments)",
        message="startPrices names an instrument that is not made up here: add it to instruments",
        field="synthetic.startPrices",
    )
    def _prices_are_of_instruments(self) -> bool:
        return self.synthetic is None or set(self.synthetic.start_prices) <= set(self.instruments)

    @transition(
        cel="!oldSelf.frozen || !self.frozen || self == oldSelf",
        message="the dataset is frozen: set frozen to false first, or create another Dataset",
        field="frozen",
    )
    def _frozen_stays(self, old: "DatasetSpec") -> bool:
        return not (old.frozen and self.frozen) or self == old

    def _sources(self) -> list[SourceKind]:
        given = {
            SourceKind.EXCHANGE: self.exchange_ref,
            SourceKind.FILES: self.files,
            SourceKind.SQL: self.sql,
            SourceKind.SYNTHETIC: self.synthetic,
        }
        return [kind for kind, source in given.items() if source]

    @property
    def source(self) -> SourceKind:
        """Where the dataset comes from."""
        return self._sources()[0]

    @property
    def is_synthetic(self) -> bool:
        """Whether the candles are made up, which every table and report must say."""
        return self.synthetic is not None

    @property
    def series(self) -> tuple[tuple[str, str], ...]:
        """The (instrument, interval) pairs that the dataset holds, each once, in the order in which they are named."""
        intervals = self.intervals or (DEFAULT_INTERVAL,)
        named = [
            *((each.instrument, each.interval) for each in self.files),
            *((each.instrument, each.interval) for each in self.sql),
            *((instrument, interval) for instrument in self.instruments for interval in intervals),
        ]
        return tuple(dict.fromkeys(named))


class DatasetStatus(Status):
    """What history is there."""

    source: SourceKind | None = Field(default=None, strict=False, description="exchange, files, sql or synthetic.")
    bars: Whole | None = Field(default=None, description="Bars that are there.")
    gaps: Whole | None = Field(default=None, description="Stretches in which bars are missing.")
    missing_bars: Whole | None = Field(default=None, description="Bars that are missing in all gaps together.")
    first_bar_time: str | None = Field(default=None, description="Open time of the first bar, UTC.")
    last_bar_time: str | None = Field(default=None, description="Open time of the last bar, UTC.")
    content_hash: str | None = Field(
        default=None, description="SHA-256 of all bars in order: evidence names it, so that it says what was tested on."
    )
    progress_percent: Whole | None = Field(default=None, description="How far the import is.")


class Dataset(Resource):
    """History that was checked, with its gaps and content hash known."""

    names: ClassVar[KindNames] = KindNames(plural="datasets", short="dset")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Source", path=".status.source", description="exchange, files, sql or synthetic."),
        PrinterColumn(name="Bars", path=".status.bars", description="Bars that are there.", type="integer"),
        PrinterColumn(name="Gaps", path=".status.gaps", description="Stretches with missing bars.", type="integer"),
        PrinterColumn(name="From", path=".status.firstBarTime", description="First bar.", priority=1),
        PrinterColumn(name="To", path=".status.lastBarTime", description="Last bar.", priority=1),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["Dataset"] = Field(default="Dataset", description="Dataset.")
    spec: DatasetSpec = Field(description="What history is wanted.")
    status: DatasetStatus = Field(
        default=DatasetStatus(), description="What history is there; written by the fleet, not by you."
    )
