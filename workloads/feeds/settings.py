"""What a replaying feed is told when it starts, and how its sources are opened from that."""

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from tradefleet.domain.bar import format_interval
from tradefleet.domain.ids import Symbol
from tradefleet.domain.money import parse_decimal
from tradefleet.runtime.settings import PREFIX, read_secret
from workloads.feeds.columns import ColumnNames, Layout
from workloads.feeds.errors import DatasetChange, UnusableSource
from workloads.feeds.ports import BarSource, DatasetKey, SourceDescription
from workloads.feeds.replay import Replay, Selection
from workloads.feeds.sources.files import open_file
from workloads.feeds.times import TimeUnit


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="file"):
    """A file of candles. `columns` maps a field to the name of its column, where that differs."""

    path: str
    symbol: str
    interval_us: int
    format: str | None = None
    columns: dict[str, str] = {}
    time_unit: TimeUnit = TimeUnit.AUTO

    def open(self) -> BarSource:
        """Return the source. Raises UnusableSource."""
        return open_file(
            Path(self.path),
            symbol=self.symbol,
            interval=format_interval(self.interval_us),
            layout=Layout(columns=ColumnNames(**self.columns), time_unit=self.time_unit),
            file_format=self.format,
        )


class SqlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sql"):
    """A query against the user's database; its URL is in the environment variable `url_env`."""

    url_env: str
    query: str
    symbol: str
    interval_us: int
    columns: dict[str, str] = {}
    time_unit: TimeUnit = TimeUnit.AUTO

    def open(self) -> BarSource:
        """Return the source. Raises UnusableSource."""
        from workloads.feeds.sources.sql_query import SqlSelection, SqlSource  # noqa: PLC0415 - only who needs it

        url = os.environ.get(self.url_env)
        if not url:
            raise UnusableSource(f"sql source of {self.symbol}: environment variable {self.url_env} is not set")
        description = SourceDescription(
            label=f"query of ${self.url_env}", symbol=Symbol(self.symbol), interval_us=self.interval_us
        )
        layout = Layout(columns=ColumnNames(**self.columns), time_unit=self.time_unit)
        return SqlSource(url, SqlSelection(query=self.query), description, layout)


class SyntheticSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="synthetic"):
    """Made-up candles of one instrument. Volatility and drift are fractions per year, as decimal text."""

    seed: int
    symbol: str
    interval_us: int
    start_us: int
    bars: int
    start_price: str = "100"
    tick: str = "0.01"
    annual_volatility: str = "0.6"
    annual_drift: str = "0"

    def open(self) -> BarSource:
        """Return the source. Raises InvalidValue."""
        from workloads.feeds.sources.synthetic import (  # noqa: PLC0415 - only who needs it
            SyntheticInstrument,
            SyntheticSource,
        )

        instrument = SyntheticInstrument(
            symbol=Symbol(self.symbol),
            start_price=self._decimal("start_price"),
            tick=self._decimal("tick"),
            annual_volatility=float(self._decimal("annual_volatility")),
            annual_drift=float(self._decimal("annual_drift")),
        )
        return SyntheticSource(
            instrument, seed=self.seed, interval_us=self.interval_us, start_us=self.start_us, bars=self.bars
        )

    def _decimal(self, name: str) -> Decimal:
        return parse_decimal(getattr(self, name), f"synthetic {self.symbol}: {name}")


class StoredSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="stored"):
    """One series of a dataset ("namespace/name") in the fleet's own database, which the environment names."""

    dataset: str
    symbol: str
    interval_us: int

    def open(self) -> BarSource:
        """Return the source. Raises UnusableSource without a database, DatasetChange when it holds no such series."""
        from workloads.feeds.adapters.datasets import PostgresDatasets  # noqa: PLC0415 - only who needs it
        from workloads.feeds.sources.stored import open_dataset  # noqa: PLC0415

        fleet, url = os.environ.get(f"{PREFIX}FLEET"), read_secret(os.environ, "database_url")
        if fleet is None or url is None:
            raise UnusableSource(
                f"dataset {self.dataset}: is recorded in a fleet's database, and {PREFIX}DATABASE_URL and "
                f"{PREFIX}FLEET name none: let the fleet play it, as a Feed or Backtest"
            )
        for source in open_dataset(PostgresDatasets(url.reveal(), fleet=fleet), DatasetKey(self.dataset)):
            if (source.description.symbol, source.description.interval_us) == (self.symbol, self.interval_us):
                return source
        raise DatasetChange(
            f"dataset {self.dataset}: holds no {format_interval(self.interval_us)} bars of {self.symbol}: none were "
            "recorded before it was frozen"
        )


SourceSettings = FileSettings | SqlSettings | SyntheticSettings | StoredSettings


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is played. No symbols or intervals: all that the sources have."""

    sources: tuple[SourceSettings, ...]
    symbols: tuple[str, ...] = ()
    intervals_us: tuple[int, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    def open(self) -> Replay:
        """Return the replay. Raises UnusableSource."""
        sources: Sequence[BarSource] = [source.open() for source in self.sources]
        return Replay(
            sources,
            Selection(
                from_us=self.from_us,
                to_us=self.to_us,
                symbols=frozenset(Symbol(symbol) for symbol in self.symbols),
                intervals_us=frozenset(self.intervals_us),
            ),
        )


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A replaying feed's process. `speed` is lockstep, max or a multiple of real time such as 60x."""

    feed: str  # "namespace/name"
    uid: str
    exchange: str
    generation: int
    replay: ReplaySettings
    ticks: dict[str, str] = {}  # of the exchange's instruments, as decimal text
    speed: str = "lockstep"
    run: str | None = None

    def tick_of(self) -> dict[Symbol, Decimal]:
        """Return the tick of each instrument. Raises InvalidValue."""
        return {Symbol(symbol): parse_decimal(tick, f"tick of {symbol}") for symbol, tick in self.ticks.items()}


class SeriesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One instrument and length of bars."""

    symbol: str
    interval_us: int


class RecorderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recorder's process: which dataset it fills, from which exchange; `ticks` are `ticker` and `trades`."""

    dataset: str  # "namespace/name"
    exchange: str
    series: tuple[SeriesSettings, ...]
    is_synthetic: bool = False
    from_us: int | None = None
    to_us: int | None = None
    ticks: tuple[Literal["ticker", "trades"], ...] = ()
