import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from sqlalchemy import make_url

from tests.unit.feeds.candles import bars, description, series
from tradefleet.domain.bar import Bar
from workloads.feeds.columns import ColumnNames, Layout
from workloads.feeds.errors import BrokenData, UnusableSource
from workloads.feeds.sources.sql_query import Secrets, SqlSelection, SqlSource

QUERY = "SELECT * FROM candles WHERE symbol = :symbol ORDER BY open_time"


def database(folder: Path, content: Sequence[Bar]) -> str:
    """Return the URL of a SQLite database with a table of candles."""
    path = folder / "prices.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE candles "
            "(symbol TEXT, open_time INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL)"
        )
        connection.executemany(
            "INSERT INTO candles VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(each.symbol, each.open_us // 1_000, *each[3:]) for each in content],
        )
    connection.close()
    return f"sqlite:///{path}"


def source(url: str, query: str = QUERY, layout: Layout | None = None, **parameters: str) -> SqlSource:
    return SqlSource(
        url, SqlSelection(query=query, parameters=parameters or {"symbol": "BTC-USD"}), description("prices"), layout
    )


def refused(candles: SqlSource) -> str:
    with pytest.raises((UnusableSource, BrokenData)) as caught:
        list(candles.bars())
    assert caught.value.__cause__ is None  # a cause would be printed with what the driver was given
    return str(caught.value)


@settings(deadline=None)  # the first one imports SQLAlchemy
@given(series())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: list[Bar]) -> None:
    url = database(tmp_path_factory.mktemp("prices"), content)

    assert list(source(url).bars()) == content


def test_a_table_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    url = database(tmp_path, bars([3, 1, 0, 2]))

    assert list(SqlSource(url, SqlSelection(table="candles"), description()).bars()) == bars(range(4))
    assert list(SqlSource(url, SqlSelection(table="main.candles"), description()).bars()) == bars(range(4))


def test_parameters_are_given_to_the_driver_and_never_pasted(tmp_path: Path) -> None:
    url = database(tmp_path, bars(range(3)))

    assert "holds no candle" in refused(source(url, symbol="BTC-USD' OR '1'='1"))


def test_moments_and_text_are_read_as_times(tmp_path: Path) -> None:
    url = database(tmp_path, bars(range(3)))
    query = "SELECT datetime(open_time / 1000, 'unixepoch') AS moment, open, high, low, close, volume FROM candles"

    assert list(source(url, query, Layout(columns=ColumnNames(open_time="moment"))).bars()) == bars(range(3))


def test_more_rows_than_are_held_at_a_time_are_read(tmp_path: Path) -> None:
    assert len(list(source(database(tmp_path, bars(range(5_001)))).bars())) == 5_001


def test_a_query_that_does_not_sort_is_refused_where_it_shows(tmp_path: Path) -> None:
    url = database(tmp_path, bars([1, 0]))

    message = refused(source(url, "SELECT * FROM candles"))

    assert (
        "prices row 2 (BTC-USD 1m), field open_time: 2018-04-04T00:00:00Z comes after 2018-04-04T00:01:00Z" in message
    )


def test_a_missing_value_is_refused_with_its_row(tmp_path: Path) -> None:
    url = database(tmp_path, bars(range(3)))

    message = refused(source(url, "SELECT open_time, open, high, low, NULL AS close, volume FROM candles"))

    assert "prices row 1 (BTC-USD 1m), field close: is missing; correct the row or take it out" in message


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM candles",
        "DELETE FROM candles RETURNING *",
        "DROP TABLE candles",
        "INSERT INTO candles DEFAULT VALUES",
    ],
)
def test_a_query_cannot_change_the_users_data(tmp_path: Path, statement: str) -> None:
    url = database(tmp_path, bars(range(3)))

    assert "sqlite database" in refused(source(url, statement)) or "gives no rows" in refused(source(url, statement))

    assert list(source(url).bars()) == bars(range(3))


def test_a_missing_database_file_is_not_made(tmp_path: Path) -> None:
    message = refused(source(f"sqlite:///{tmp_path}/typo.db"))

    assert "there is no database file" in message
    assert not (tmp_path / "typo.db").exists()


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    url = database(tmp_path, bars(range(3)))

    assert "no such table: prices" in refused(source(url, "SELECT * FROM prices"))
    with pytest.raises(UnusableSource, match="there is no table prices; check its name and schema"):
        list(SqlSource(url, SqlSelection(table="prices"), description()).bars())


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    url = database(tmp_path, bars(range(3)))

    assert "no column volume" in refused(source(url, "SELECT open_time, open, high, low, close FROM candles"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("secret-but-no-url", "the database URL cannot be read"),
        ("nosuchdb://user:hunter2@host/prices", "install the driver that the URL names"),
        ("mssql+pymssql://user:hunter2@host/prices", "install the driver that the URL names"),
        ("postgresql://user:hunter2@127.0.0.1:1/prices", "cannot be reached"),
    ],
)
def test_what_is_said_of_a_url_holds_no_secret(url: str, message: str) -> None:
    found = refused(source(url))

    assert message in found
    assert "hunter2" not in found
    assert "secret-but" not in found


def test_secrets_are_taken_out_of_what_a_driver_says() -> None:
    secrets = Secrets(make_url("postgresql://fleet:hunter2@db.example:5433/prices?sslpassword=opensesame"))

    assert secrets.place == "postgresql database prices on db.example:5433"
    assert secrets.hide(ValueError("bad hunter2 for fleet with opensesame\nmore")) == "bad *** for *** with ***"


def test_a_selection_is_either_a_query_or_a_table() -> None:
    for wrong in ({}, {"query": "SELECT 1", "table": "candles"}, {"table": "candles", "parameters": {"a": 1}}):
        with pytest.raises(UnusableSource):
            SqlSelection(**wrong)
