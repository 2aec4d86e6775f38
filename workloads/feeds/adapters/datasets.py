"""Datasets in Postgres.

Bars go by COPY into a temporary table without an index, and from there into the table of bars by one INSERT. COPY
straight into that table would be a little faster, but Postgres refuses it to log-ins with row-level security, and it
could not leave out the bars that are stored already.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from struct import Struct
from typing import Any, Final, NamedTuple

import psycopg

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.errors import BarConflict, FleetError, OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import Symbol
from tradefleet.domain.times import format_time
from tradefleet.store.postgres.session import CONNECT_TIMEOUT_S, Session
from tradefleet.store.postgres.translation import translate
from workloads.feeds.coverage import Stretch, only_covered
from workloads.feeds.errors import DatasetChange
from workloads.feeds.ports import DatasetContent, DatasetKey, DatasetSeries, DatasetTarget

APPLICATION: Final = "tradefleet data"
PAGE_BARS: Final = 10_000
LOCK_TIMEOUT_S: Final = 10  # an import waits so long for another import of the same dataset
_CHUNK_BARS: Final = 512

Execute = Callable[[str, Mapping[str, object]], list[tuple[Any, ...]]]

# COPY's binary format (PostgreSQL 18 manual, COPY, "Binary Format"): a header, rows of a field count and fields each
# with its length, and -1 at the end.
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END: Final = b"\xff\xff"
_pack_row = Struct(">h iq id id id id id").pack

_LOCK_DATASET: Final = """
INSERT INTO tradefleet.dataset (fleet, dataset, exchange, is_synthetic, created_us)
VALUES (%(fleet)s, %(dataset)s, %(exchange)s, %(is_synthetic)s, tradefleet.now_us())
ON CONFLICT (fleet, dataset) DO UPDATE SET dataset = EXCLUDED.dataset
RETURNING exchange, is_synthetic"""

_DATASETS: Final = """
SELECT dataset, exchange, is_synthetic FROM tradefleet.dataset WHERE fleet = %(fleet)s ORDER BY dataset"""

_SERIES: Final = """
SELECT symbol, interval_us, content_hash FROM tradefleet.dataset_series
WHERE fleet = %(fleet)s AND dataset = %(dataset)s ORDER BY symbol, interval_us"""

_COVERAGE: Final = """
SELECT symbol, interval_us, first_open_us, last_open_us FROM tradefleet.dataset_coverage
WHERE fleet = %(fleet)s AND dataset = %(dataset)s ORDER BY symbol, interval_us, first_open_us"""

_PAGE: Final = """
SELECT open_us, open, high, low, close, volume FROM tradefleet.bar
WHERE fleet = %(fleet)s AND exchange = %(exchange)s AND symbol = %(symbol)s AND interval_us = %(interval_us)s
    AND open_us BETWEEN %(from_us)s AND %(to_us)s
ORDER BY open_us LIMIT %(limit)s"""

_STAGING: Final = """
CREATE TEMPORARY TABLE staged_bar (
    open_us bigint NOT NULL, open double precision NOT NULL, high double precision NOT NULL,
    low double precision NOT NULL, close double precision NOT NULL, volume double precision NOT NULL
) ON COMMIT DROP"""

_EMPTY_STAGING: Final = "TRUNCATE staged_bar"

_COPY: Final = "COPY staged_bar FROM STDIN (FORMAT binary)"

_OF_SERIES: Final = """bar.fleet = %(fleet)s AND bar.exchange = %(exchange)s AND bar.symbol = %(symbol)s
    AND bar.interval_us = %(interval_us)s"""

_OVERLAPS: Final = f"""
SELECT EXISTS (SELECT FROM tradefleet.bar
    WHERE {_OF_SERIES} AND bar.open_us BETWEEN %(first_us)s AND %(last_us)s)"""  # noqa: S608 - constants

_CONFLICT: Final = f"""
SELECT bar.open_us, bar.open, bar.high, bar.low, bar.close, bar.volume,
    staged.open, staged.high, staged.low, staged.close, staged.volume
FROM staged_bar AS staged JOIN tradefleet.bar ON {_OF_SERIES} AND bar.open_us = staged.open_us
WHERE (bar.open, bar.high, bar.low, bar.close, bar.volume)
    <> (staged.open, staged.high, staged.low, staged.close, staged.volume)
ORDER BY bar.open_us LIMIT 1"""  # noqa: S608 - constants

_INSERT: Final = """
INSERT INTO tradefleet.bar (fleet, exchange, symbol, interval_us, open_us, open, high, low, close, volume)
SELECT %(fleet)s, %(exchange)s, %(symbol)s, %(interval_us)s, open_us, open, high, low, close, volume
FROM staged_bar AS staged"""

_INSERT_MISSING: Final = f"""{_INSERT}
WHERE NOT EXISTS (SELECT FROM tradefleet.bar WHERE {_OF_SERIES} AND bar.open_us = staged.open_us)"""

_SAVE_SERIES: Final = """
INSERT INTO tradefleet.dataset_series (fleet, dataset, symbol, interval_us, bars, content_hash)
VALUES (%(fleet)s, %(dataset)s, %(symbol)s, %(interval_us)s, %(bars)s, %(content_hash)s)
ON CONFLICT (fleet, dataset, symbol, interval_us)
DO UPDATE SET bars = EXCLUDED.bars, content_hash = EXCLUDED.content_hash"""

_FORGET_COVERAGE: Final = """
DELETE FROM tradefleet.dataset_coverage WHERE fleet = %(fleet)s AND dataset = %(dataset)s AND symbol = %(symbol)s
    AND interval_us = %(interval_us)s"""

_SAVE_COVERAGE: Final = """
INSERT INTO tradefleet.dataset_coverage (fleet, dataset, symbol, interval_us, first_open_us, last_open_us, bars)
SELECT %(fleet)s, %(dataset)s, %(symbol)s, %(interval_us)s, first_us, last_us,
    (last_us - first_us) / %(interval_us)s + 1
FROM unnest(%(first_us)s::bigint[], %(last_us)s::bigint[]) AS stretch(first_us, last_us)"""

_SAVE_IMPORT: Final = """
INSERT INTO tradefleet.dataset_import (fleet, dataset, source_hash, source, bars, imported_us)
VALUES (%(fleet)s, %(dataset)s, %(source_hash)s, %(source)s, %(bars)s, tradefleet.now_us())
ON CONFLICT (fleet, dataset, source_hash) DO NOTHING"""


class PostgresDatasets:
    """Implements `DatasetStore` for one fleet. Reading uses one connection, each import one of its own."""

    def __init__(self, conninfo: str, *, fleet: str) -> None:
        self._conninfo = conninfo
        self._fleet = fleet
        self._session = Session(conninfo, fleet=fleet, application=APPLICATION)

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def load(self, dataset: DatasetKey) -> DatasetContent | None:
        """Return what is there, None for a dataset that was never imported."""
        found = [each for each in self._targets() if each.dataset == dataset]
        return _content(self._session.read, self._fleet, found[0]) if found else None

    def datasets(self) -> list[DatasetContent]:
        """Return all datasets, by name."""
        return [_content(self._session.read, self._fleet, target) for target in self._targets()]

    def read(self, dataset: DatasetContent, symbol: Symbol, interval_us: int) -> Iterator[Bar]:
        """Yield the bars of one series in the order of time, a page at a time."""
        series = next(each for each in dataset.series if (each.symbol, each.interval_us) == (symbol, interval_us))
        place = _Place(self._fleet, dataset.target.stored_under, symbol, interval_us)
        return _read(self._session.read, place, series.stretches)

    @contextmanager
    def importing(self, target: DatasetTarget) -> Iterator["PostgresDatasetTransaction"]:
        """Open a transaction on a connection of its own. Raises DatasetChange, Retryable, OutcomeUnknown."""
        is_committing = False
        try:
            connection = self._connect()
            try:
                connection.execute(_STAGING)
                yield PostgresDatasetTransaction(connection, self._fleet, target)
                is_committing = True
                connection.commit()
            finally:
                # Closing rolls back what is not committed. To ask for a rollback would fail after Ctrl-C, which
                # can leave a statement under way.
                connection.close()
        except psycopg.Error as error:
            raise _explain(error, target, committing=is_committing) from error

    def _targets(self) -> list[DatasetTarget]:
        rows = self._session.read(_DATASETS, {"fleet": self._fleet})
        return [_target(*row) for row in rows]

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            self._conninfo,
            application_name=APPLICATION,
            connect_timeout=CONNECT_TIMEOUT_S,
            # Without statistics of what was just written the planner would compare each bar with each: quadratic.
            options=f"-c lock_timeout={LOCK_TIMEOUT_S}s -c jit=off -c enable_nestloop=off",
        )


class PostgresDatasetTransaction:
    """Implements `DatasetTransaction`."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], fleet: str, target: DatasetTarget) -> None:
        self._connection = connection
        self._fleet = fleet
        self._target = target
        names = {"fleet": fleet, "dataset": target.dataset}
        values = names | {"exchange": target.stored_under, "is_synthetic": target.is_synthetic}
        # The update changes nothing but takes the row's lock, whether the row is new or not.
        held = _target(target.dataset, *self._execute(_LOCK_DATASET, values)[0])
        if held != target:
            raise DatasetChange(_why_not(held, target))
        self.before = _content(self._execute, fleet, held)

    def add(self, symbol: Symbol, interval_us: int, bars: Iterable[Bar]) -> int:
        """Store the bars that are not stored yet; return how many. Raises BarConflict."""
        self._connection.execute(_EMPTY_STAGING)
        first_us, last_us = self._stage(bars)
        place = self._place(symbol, interval_us)._asdict() | {"first_us": first_us, "last_us": last_us}
        if not self._execute(_OVERLAPS, place)[0][0]:
            return self._connection.execute(_INSERT, place).rowcount
        conflicts = self._execute(_CONFLICT, place)
        if conflicts:
            raise BarConflict(_conflict_message(self._target, symbol, interval_us, conflicts[0]))
        return self._connection.execute(_INSERT_MISSING, place).rowcount

    def read(self, symbol: Symbol, interval_us: int, stretches: Sequence[Stretch]) -> Iterator[Bar]:
        """Yield the stored bars of `stretches` in the order of time."""
        return _read(self._execute, self._place(symbol, interval_us), stretches)

    def save(self, series: DatasetSeries, *, source: str, source_hash: str, bars: int) -> None:
        """Write what the dataset holds of a series, and the import."""
        names: dict[str, object] = {
            "fleet": self._fleet,
            "dataset": self._target.dataset,
            "symbol": series.symbol,
            "interval_us": series.interval_us,
        }
        execute = self._connection.execute
        execute(_SAVE_SERIES, names | {"bars": series.bars, "content_hash": series.content_hash})
        execute(_FORGET_COVERAGE, names)
        ends = {
            "first_us": [stretch.first_us for stretch in series.stretches],
            "last_us": [stretch.last_us for stretch in series.stretches],
        }
        execute(_SAVE_COVERAGE, names | ends)
        execute(_SAVE_IMPORT, names | {"source_hash": source_hash, "source": source, "bars": bars})

    def _place(self, symbol: Symbol, interval_us: int) -> "_Place":
        return _Place(self._fleet, self._target.stored_under, symbol, interval_us)

    def _stage(self, bars: Iterable[Bar]) -> tuple[int, int]:
        """Copy bars into the staging table; return the open times of the first and the last."""
        first_us, last_us = 0, -1
        with self._connection.cursor().copy(_COPY) as copy:
            chunk = [_COPY_HEADER]
            for _, _, open_us, open_, high, low, close, volume in bars:
                if last_us < 0:
                    first_us = open_us
                last_us = open_us
                chunk.append(_pack_row(6, 8, open_us, 8, open_, 8, high, 8, low, 8, close, 8, volume))
                if len(chunk) >= _CHUNK_BARS:
                    copy.write(b"".join(chunk))
                    chunk.clear()
            chunk.append(_COPY_END)
            copy.write(b"".join(chunk))
        return first_us, last_us

    def _execute(self, query: str, params: Mapping[str, object]) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, params).fetchall()


def _target(dataset: str, stored_under: str, is_synthetic: bool) -> DatasetTarget:
    own = DatasetTarget(dataset=DatasetKey(dataset), is_synthetic=is_synthetic)
    if stored_under == own.stored_under:
        return own
    return DatasetTarget(dataset=own.dataset, exchange=stored_under, is_synthetic=is_synthetic)


def _why_not(held: DatasetTarget, wanted: DatasetTarget) -> str:
    if held.is_synthetic != wanted.is_synthetic:
        kind = "made-up" if held.is_synthetic else "real"
        return f"dataset {held.dataset}: holds {kind} candles; import the others into a dataset of their own"
    where = f"exchange {held.exchange}" if held.exchange else "no exchange"
    return f"dataset {held.dataset}: belongs to {where}; import with that exchange, or into another dataset"


class _Place(NamedTuple):
    """The key of a series in the table of bars."""

    fleet: str
    exchange: str
    symbol: Symbol
    interval_us: int


def _content(execute: Execute, fleet: str, target: DatasetTarget) -> DatasetContent:
    names = {"fleet": fleet, "dataset": target.dataset}
    stretches: dict[tuple[str, int], list[Stretch]] = {}
    for symbol, interval_us, first_us, last_us in execute(_COVERAGE, names):
        stretches.setdefault((symbol, interval_us), []).append(Stretch(first_us, last_us))
    series = [
        DatasetSeries(
            symbol=Symbol(symbol),
            interval_us=interval_us,
            stretches=tuple(stretches.get((symbol, interval_us), ())),
            content_hash=content_hash,
        )
        for symbol, interval_us, content_hash in execute(_SERIES, names)
    ]
    return DatasetContent(target=target, series=tuple(series))


def _read(execute: Execute, place: "_Place", stretches: Sequence[Stretch]) -> Iterator[Bar]:
    """Yield the bars of a series that lie in `stretches`, by pages: no cursor has to stay open in between."""
    if not stretches:
        return
    yield from only_covered(_pages(execute, place, stretches[0].first_us, stretches[-1].last_us), stretches)


def _pages(execute: Execute, place: "_Place", from_us: int, to_us: int) -> Iterator[Bar]:
    while True:
        rows = execute(_PAGE, place._asdict() | {"from_us": from_us, "to_us": to_us, "limit": PAGE_BARS})
        for row in rows:
            yield Bar(place.symbol, place.interval_us, *row)
        if len(rows) < PAGE_BARS:
            return
        from_us = rows[-1][0] + 1


def _conflict_message(target: DatasetTarget, symbol: Symbol, interval_us: int, row: tuple[Any, ...]) -> str:
    open_us, stored, came = row[0], row[1:6], row[6:]
    return (
        f"dataset {target.dataset}: the bar {symbol} {format_interval(interval_us)} of {format_time(open_us)} is "
        f"stored as {stored} and came as {came} (open, high, low, close, volume); nothing was imported; import into "
        "another dataset, or take the wrong bar out of the source"
    )


def _explain(error: psycopg.Error, target: DatasetTarget, *, committing: bool) -> FleetError:
    """Return the error of an import, with what to do about it."""
    what = f"dataset {target.dataset}"
    match error:
        case psycopg.errors.DiskFull():
            return Permanent(f"{what}: the database's disk is full; nothing was imported; free some space and repeat")
        case psycopg.errors.LockNotAvailable():
            return Retryable(f"{what}: another import of it is running; nothing was imported; repeat when it has ended")
        case psycopg.errors.UniqueViolation():
            return Retryable(f"{what}: somebody stored some of its bars meanwhile; nothing was imported; repeat")
    translated = translate(error, committing=committing)
    if isinstance(translated, OutcomeUnknown):
        return OutcomeUnknown(f"{what}: {translated}; repeat the import: what is stored is not stored again")
    return type(translated)(f"{what}: {translated}; nothing was imported")
