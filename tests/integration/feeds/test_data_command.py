"""`tradefleet data` as a process of its own: what it prints, and what is left when it is stopped or killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.unit.feeds.candles import BTC, bar, bars, cells, csv_text, write_csv
from tests.unit.feeds.sources.test_parquet_file import table, write
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import Symbol
from tradefleet.store.logins import ensure_component_login
from tradefleet.store.roles import Component
from workloads.feeds.adapters.datasets import APPLICATION, PostgresDatasets
from workloads.feeds.ports import DatasetKey

ETH = Symbol("ETH-USD")
KILLS = 6
KILLS_MAX = 5 * KILLS
SEED = 20180404
PATIENCE_S = 60.0


class Command:
    """The command line against one fleet of a real database."""

    def __init__(self, url: str, fleet: str) -> None:
        self.url, self.fleet = url, fleet
        self.environment = {**os.environ, "TRADEFLEET_DATABASE_URL": url, "TRADEFLEET_FLEET": fleet}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tradefleet.cli.main", "data", *(str(each) for each in arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, status: int = 0) -> str:
        """Return what was printed, after checking the exit status."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, err
        return out if status == 0 else err

    def in_flight(self) -> str | None:
        """Return the statement under way in an import's transaction, None outside one."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT query FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL",
                (APPLICATION,),
            ).fetchone()
        return None if row is None else " ".join(row[0].split())[:40]

    def wait_in_flight(self, process: subprocess.Popen[str]) -> str:
        """Return the statement under way as soon as there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while (statement := self.in_flight()) is None:
            assert process.poll() is None, "the import ended before it was seen"
            assert time.monotonic() < deadline
        return statement

    def stored(self, dataset: str, symbol: Symbol = BTC) -> list[Bar] | None:
        """Return the dataset's bars, None when there is no such dataset."""
        store = PostgresDatasets(self.url, fleet=self.fleet)
        content = store.load(DatasetKey(dataset))
        found = None if content is None else list(store.read(content, symbol, MINUTE_US))
        store.close()
        return found

    def rows(self) -> int:
        """Return how many rows the fleet has in all tables that an import writes."""
        tables = ("bar", "dataset", "dataset_series", "dataset_coverage", "dataset_import")
        with psycopg.connect(self.url) as connection:
            counts = [
                connection.execute(f"SELECT count(*) FROM tradefleet.{name} WHERE fleet = %s", (self.fleet,)).fetchone()
                for name in tables
            ]
        return sum(count[0] for count in counts if count is not None)


@pytest.fixture
def command(feeds_database: str, fleet: str) -> Command:
    return Command(feeds_database, fleet)


@pytest.fixture
def big(tmp_path: Path) -> list[Path]:
    """Files that take a while."""
    return [
        write_csv(tmp_path / "coinbase_BTC-USD_1m.csv.gz", bars(range(30_000))),
        write(tmp_path / "coinbase_ETH-USD_1m.parquet", table(bars(range(8_000), ETH))),
    ]


def test_an_import_says_what_it_did_and_a_second_one_that_nothing_was_added(command: Command, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m_2018.csv.gz", bars([0, 1, 2, 6]))

    first = json.loads(command.run("import", path, "-o", "json"))
    again = command.run("import", path)

    assert (first["dataset"], first["read"], first["added"], first["bars"]) == ("default/coinbase", 4, 4, 4)
    assert first["series"][0]["gaps"] == [{"from": "2018-04-04T00:03:00Z", "to": "2018-04-04T00:06:00Z", "bars": 3}]
    assert "Nothing was added: every bar was there already." in again
    assert first["contentHash"] in again
    assert first["contentHash"] in command.run("check", "coinbase")
    (listed,) = json.loads(command.run("list", "-o", "json"))
    assert (listed["dataset"], listed["contentHash"]) == ("default/coinbase", first["contentHash"])


def test_a_gap_that_another_file_fills_is_none_and_one_between_files_is_named(command: Command, tmp_path: Path) -> None:
    files = [
        write_csv(tmp_path / "coinbase_BTC-USD_1m_a.csv", bars([0, 1, 2, 5, 6])),
        write_csv(tmp_path / "coinbase_BTC-USD_1m_b.csv", bars([3, 4])),
        write_csv(tmp_path / "coinbase_BTC-USD_1m_c.csv", bars([9, 10])),
    ]

    shown = command.run("import", *files)

    (gap,) = [line for line in shown.splitlines() if "missing" in line]
    assert gap.split(maxsplit=1) == [
        "gap",
        "BTC-USD 1m: 2 bars missing from 2018-04-04T00:07:00Z to 2018-04-04T00:09:00Z".ljust(len(gap) - 6),
    ]


def test_made_up_candles_are_labelled_wherever_they_show(command: Command, tmp_path: Path) -> None:
    made_up = write_csv(tmp_path / "synthetic_BTC-USD_1m.csv", bars(range(5)))
    real = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(5)))

    assert "default/synthetic (synthetic)" in command.run("import", made_up)
    assert "default/synthetic (synthetic)" in command.run("list")
    assert "dataset default/synthetic (synthetic)" not in command.run("check", "synthetic")  # its name says it
    command.run("import", made_up, "--dataset", "toy")
    assert "dataset default/toy (synthetic)" in command.run("check", "toy")
    assert "holds made-up candles" in command.run("import", real, "--dataset", "toy", status=2)
    assert "has made-up candles, the dataset takes real ones" in command.run(
        "import", real, made_up, "--dataset", "mixed", status=2
    )


@pytest.mark.parametrize("venue", ["coinbase", "synthetic"])
def test_what_is_exported_is_imported_again_with_the_same_hash(command: Command, tmp_path: Path, venue: str) -> None:
    content = [bar(0), bar(1, close=100.0 + 1e-12), *bars([5, 6])]
    write_csv(tmp_path / f"{venue}_BTC-USD_1m.csv", content)
    first = json.loads(command.run("import", tmp_path / f"{venue}_BTC-USD_1m.csv", "--dataset", "first", "-o", "json"))
    folder = tmp_path / "new" / "folder"

    out = command.run("export", "first", "--to", folder)

    name = "first" if venue == "coinbase" else "synthetic"
    path = folder / f"{name}_BTC-USD_1m.csv.gz"
    assert out == f"{path}: 4 bars\n"
    again = json.loads(command.run("import", path, "--dataset", "again", "-o", "json"))
    assert (again["contentHash"], again["added"]) == (first["contentHash"], 4)


def test_an_export_writes_over_nothing_and_names_what_is_missing(command: Command, tmp_path: Path) -> None:
    write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(3)))
    command.run("import", tmp_path / "coinbase_BTC-USD_1m.csv")
    mine = tmp_path / "coinbase_BTC-USD_1m.csv.gz"
    mine.write_text("mine")

    assert "is there already, and nothing is written over" in command.run(
        "export", "coinbase", "--to", tmp_path, status=2
    )
    assert mine.read_text() == "mine"
    assert "there is no such dataset" in command.run("export", "gone", "--to", tmp_path, status=2)
    in_a_file = command.run("export", "coinbase", "--to", mine / "folder", status=2)
    assert "cannot be written" in in_a_file
    assert "Traceback" not in in_a_file


def test_broken_data_is_refused_whole_with_2(command: Command, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "coinbase_ETH-USD_1m.csv", bars(range(2_000), ETH))
    rows = [cells(each) for each in bars(range(2_000))]
    rows[1_500][2] = "98"
    bad = tmp_path / "coinbase_BTC-USD_1m.csv"
    bad.write_text(csv_text(rows), encoding="utf-8")

    message = command.run("import", good, bad, status=2)

    assert f"error: {bad} line 1502, field high: 98.0 is below low 99.0; correct the line or take it out" in message
    assert command.rows() == 0


def test_a_conflict_with_what_is_stored_is_refused_with_2(command: Command, tmp_path: Path) -> None:
    command.run("import", write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(100))))
    other = write_csv(tmp_path / "coinbase_BTC-USD_1m_other.csv", [bar(99, close=101.75), bar(100)])

    message = command.run("import", other, status=2)

    assert "dataset default/coinbase: the bar BTC-USD 1m of 2018-04-04T01:39:00Z is stored as" in message
    assert command.stored("default/coinbase") == bars(range(100))


def test_an_import_that_is_killed_at_any_moment_is_whole_or_nothing_and_then_once(
    command: Command, big: list[Path]
) -> None:
    chance = random.Random(SEED)
    process = command.start("import", *big, "--dataset", "measured")
    command.wait_in_flight(process)
    started = time.monotonic()
    process.communicate(timeout=PATIENCE_S)
    in_flight_s = time.monotonic() - started
    before = command.rows()

    killed_in_flight = number = 0
    while number < KILLS or (killed_in_flight < KILLS // 2 and number < KILLS_MAX):
        number += 1
        dataset = f"killed-{number}"
        process = command.start("import", *big, "--dataset", dataset)
        seen = command.wait_in_flight(process)
        delay_s = chance.uniform(0, in_flight_s)
        time.sleep(delay_s)
        under_way = command.in_flight()
        process.kill()
        process.communicate()
        deadline = time.monotonic() + PATIENCE_S
        while command.in_flight() is not None:
            assert time.monotonic() < deadline, "the server never noticed that its client is gone"
        found = command.stored(f"default/{dataset}")
        print(f"seed {SEED} kill {number} after {delay_s:.3f} s: saw {seen}, hit {under_way}, left {found is not None}")
        assert found is None or found == bars(range(30_000))
        assert found is not None or command.rows() == before
        killed_in_flight += under_way is not None
        if under_way is None:
            in_flight_s = delay_s  # this machine has become faster since that was measured

        report = json.loads(command.run("import", *big, "--dataset", dataset, "-o", "json"))

        assert report["added"] == (38_000 if found is None else 0)
        assert command.stored(f"default/{dataset}") == bars(range(30_000))
        assert command.stored(f"default/{dataset}", ETH) == bars(range(8_000), ETH)
        before += 38_000 + 1 + 2 + 2 + 2  # bars, dataset, series, stretches, imports
        assert command.rows() == before
    assert killed_in_flight >= KILLS // 2


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2])  # while bars are copied, and while they are inserted
def test_ctrl_c_ends_an_import_with_130_and_leaves_nothing(command: Command, big: list[Path], delay_s: float) -> None:
    process = command.start("import", *big)
    command.wait_in_flight(process)
    time.sleep(delay_s)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert out == ""
    assert err == (
        "interrupted: dataset default/coinbase holds all of the import or nothing of it; repeat it to have all\n"
    )
    assert command.rows() == 0


def test_a_supervisors_log_in_may_import_and_sees_its_own_fleet_only(
    command: Command, feeds_database: str, tmp_path: Path
) -> None:
    command.run("import", write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(100))))
    own = f"{command.fleet}-own"
    with psycopg.connect(feeds_database) as connection:
        login = ensure_component_login(connection, fleet=own, component=Component.SUPERVISOR)
    parts = urlsplit(feeds_database)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{login.role}:{login.password}@{host}"))
    supervisor = Command(url, own)

    supervisor.run("import", tmp_path / "coinbase_BTC-USD_1m.csv")
    supervisor.run("import", tmp_path / "coinbase_BTC-USD_1m.csv")

    assert supervisor.stored("default/coinbase") == bars(range(100))
    assert Command(url, command.fleet).stored("default/coinbase") is None
    assert login.password not in Command(url, command.fleet).run("check", "coinbase", status=2)


def test_a_database_without_our_schema_is_said_with_the_remedy(fresh_database: str, fleet: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(3)))

    message = Command(fresh_database, fleet).run("import", path, status=2)

    assert "run `tradefleet db upgrade`" in message


def test_the_users_own_postgres_is_read_by_query_and_by_table_and_never_written(
    command: Command, fresh_database: str
) -> None:
    with psycopg.connect(fresh_database) as connection:
        connection.execute("CREATE SCHEMA market")
        connection.execute("CREATE SEQUENCE market.numbers")
        connection.execute(
            "CREATE TABLE market.candles (symbol text, moment timestamptz, open numeric, high numeric, low numeric, "
            "close double precision, volume double precision)"
        )
        with connection.cursor().copy("COPY market.candles FROM STDIN") as copy:
            for each in bars(range(5_000), ETH):
                copy.write_row((each.symbol, _moment(each), *each[3:]))
                copy.write_row((BTC, _moment(each), *(price + 1 for price in each[3:])))
    command.environment["PRICES_URL"] = fresh_database
    source = (
        "--sql-url-env",
        "PRICES_URL",
        "--interval",
        "1m",
        "--instrument",
        "ETH-USD",
        "--columns",
        "open_time=moment",
    )
    query = "SELECT * FROM market.candles WHERE symbol = :symbol ORDER BY moment"

    command.run("import", *source, "--query", query, "--param", "symbol=ETH-USD", "--dataset", "mine")

    assert command.stored("default/mine", ETH) == bars(range(5_000), ETH)
    # Two instruments in one table are two bars of the same time, and that is an error.
    message = command.run("import", *source, "--table", "market.candles", "--dataset", "mine", status=2)
    assert "market.candles of $PRICES_URL row 2 (ETH-USD 1m), field open: 10" in message
    for query, refusal in (
        ("DELETE FROM market.candles RETURNING *", "syntax error"),  # it is run as a cursor, so it must be a SELECT
        ("SELECT nextval('market.numbers')", "cannot execute nextval() in a read-only transaction"),
    ):
        message = command.run("import", *source, "--query", query, "--dataset", "mine", status=2)
        assert refusal in message
    with psycopg.connect(fresh_database) as connection:
        assert connection.execute("SELECT count(*) FROM market.candles").fetchone() == (10_000,)
    password = urlsplit(fresh_database).password
    assert password is not None
    assert password not in message


def _moment(each: Bar) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(each.open_us // 1_000_000))
