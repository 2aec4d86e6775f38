"""Candles from the user's own SQL database: any URL of SQLAlchemy whose driver is installed, and a query or a table.

The URL holds a password. It never reaches a message: errors name the kind of database, host and database, and what a
driver says is searched for every secret of the URL before it is shown. SQLAlchemy is imported when the first query
runs: no other process needs it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradefleet.domain.bar import Bar
from workloads.feeds.columns import FIELDS, Layout, find_columns
from workloads.feeds.errors import UnusableSource
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription
from workloads.feeds.sources.rows import RawRow, Unreadable, bars_of

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine, Executable

_FETCH_ROWS = 2_000  # rows that are held at a time; with a server-side cursor, as far as the driver has one
_SECRET_MIN = 3  # shorter values of a URL's query are switches, not secrets

ParameterOfQuery = str | int | float | Decimal | datetime

# How a session is told to refuse writes; others rely on the login and on the transaction that is always rolled back.
_READ_ONLY: Final = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSelection:
    """What to read: either a `query` with named parameters (`:symbol`), or a `table`, also written schema.table."""

    query: str | None = None
    table: str | None = None
    parameters: Mapping[str, ParameterOfQuery] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.query) == bool(self.table):
            raise UnusableSource("sql: give exactly one of query and table")
        if self.table and self.parameters:
            raise UnusableSource("sql: parameters belong to a query: a table takes none")


class SqlSource:
    """One query's candles. `url` is used and never shown. A query must give its rows ordered by open time."""

    def __init__(
        self, url: str, selection: SqlSelection, description: SourceDescription, layout: Layout | None = None
    ) -> None:
        self.description = description
        self._url = url
        self._selection = selection
        self._layout = layout or Layout()

    @property
    def progress(self) -> float | None:
        """None: a query does not say how many rows it will give."""
        return None

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        """Yield the query's bars. Raises UnusableSource, BrokenData."""
        label = self.description.label
        with self._connected() as (connection, secrets):
            result = self._run(connection, secrets)
            places = find_columns(list(result.keys()), self._layout.columns, label)
            yield from bars_of(
                self._rows(result, secrets),
                places,
                time_unit=self._layout.time_unit,
                description=self.description,
                findings=findings,
                place="row",
            )

    @contextmanager
    def _connected(self) -> Iterator[tuple["Connection", "Secrets"]]:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # heavy, and used only here

        url = _parse_url(self._url, self.description.label)
        secrets = Secrets(url)
        label = self.description.label
        try:
            engine = _engine(url, label)
        except (SQLAlchemyError, ImportError) as error:
            raise UnusableSource(
                f"{label}: {secrets.place}: {secrets.hide(error)}; install the driver that the URL names"
            ) from None
        try:
            connection = engine.connect()
        except SQLAlchemyError as error:
            engine.dispose()
            # Not `from error`: a traceback would show what the driver was given.
            raise UnusableSource(
                f"{label}: {secrets.place} cannot be reached: {secrets.hide(error)}; check the URL and the server"
            ) from None
        try:
            yield connection, secrets
        except BaseException:
            connection.invalidate()  # an interrupted driver may not be able to roll back; to be cut off is enough
            raise
        finally:
            connection.close()  # rolls back
            engine.dispose()

    def _run(self, connection: "Connection", secrets: "Secrets") -> "CursorResult[Any]":
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        try:
            read_only = _READ_ONLY.get(connection.dialect.name)
            if read_only is not None:
                connection.exec_driver_sql(read_only)
                if connection.dialect.name in ("mysql", "mariadb"):
                    connection.rollback()  # there the setting holds from the next transaction on
            streaming = connection.execution_options(stream_results=True, max_row_buffer=_FETCH_ROWS)
            result = streaming.execute(self._statement(connection), dict(self._selection.parameters))
        except SQLAlchemyError as error:
            raise UnusableSource(
                f"{self.description.label}: {secrets.place} refused the query: {secrets.hide(error)}"
            ) from None
        if not result.returns_rows:
            raise UnusableSource(f"{self.description.label}: the query gives no rows; it must be a SELECT")
        return result

    def _statement(self, connection: "Connection") -> "Executable":
        from sqlalchemy import MetaData, Table, select, text  # noqa: PLC0415
        from sqlalchemy.exc import NoSuchTableError  # noqa: PLC0415

        selection = self._selection
        if selection.query is not None:
            return text(selection.query)
        assert selection.table is not None
        schema, _, name = selection.table.rpartition(".")
        try:
            table = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
        except NoSuchTableError:
            raise UnusableSource(
                f"{self.description.label}: there is no table {selection.table}; check its name and schema"
            ) from None
        columns = list(table.columns)
        names = [column.name for column in columns]
        places = find_columns(names, self._layout.columns, self.description.label)
        wanted = [columns[place] for place in places]
        return select(*wanted).order_by(wanted[FIELDS.index("open_time")])

    def _rows(self, result: "CursorResult[Any]", secrets: "Secrets") -> Iterator[RawRow]:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        number = 0
        try:
            while rows := result.fetchmany(_FETCH_ROWS):
                for row in rows:
                    number += 1
                    yield number, row
        except SQLAlchemyError as error:
            raise Unreadable(number + 1, f"the query broke off: {secrets.hide(error)}", "run it again") from None


class Secrets:
    """What must not be shown of a database URL, and the part of it that may be."""

    def __init__(self, url: "URL") -> None:
        values = [url.password or "", url.username or ""]
        for value in url.query.values():
            values += [value] if isinstance(value, str) else value
        self._hidden = sorted({value for value in values if len(value) >= _SECRET_MIN}, key=len, reverse=True)
        host = f" on {url.host}{f':{url.port}' if url.port else ''}" if url.host else ""
        self.place = f"{url.get_backend_name()} database {url.database or ''}".rstrip() + host

    def hide(self, error: Exception) -> str:
        """Return the first line of what a driver said, without anything secret."""
        text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        for value in self._hidden:
            text = text.replace(value, "***")
        return text


def _parse_url(url: str, label: str) -> "URL":
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UnusableSource(
            f"{label}: the database URL cannot be read; write it as dialect+driver://user:password@host:port/database"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")  # the driver that every process of ours has
    return parsed


def _engine(url: "URL", label: str) -> "Engine":
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        # SQLite would make an empty database of a mistyped name.
        assert url.database is not None
        if not url.database.startswith("file:") and not Path(url.database).is_file():
            raise UnusableSource(f"{label}: there is no database file {url.database}; check the path in the URL")
    return create_engine(url, poolclass=NullPool, hide_parameters=True)
