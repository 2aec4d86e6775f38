"""Upgrading, taking back and checking the schema, from Python and from the command line."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from governor.local.database import Database

from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.store import schema
from tradefleet.store.routines import ROUTINES, VIEWS
from tradefleet.store.tables import metadata

ROOT = Path(__file__).parents[3]


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tradefleet'").fetchall()
    return {name for (name,) in rows}


def command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tradefleet.cli.main", "db", *arguments],
        env=os.environ | {"TRADEFLEET_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )


def test_an_upgrade_makes_every_table(fresh_database: str) -> None:
    before = schema.upgrade(fresh_database)
    assert before.found is None
    assert tables(fresh_database) == {table.name for table in metadata.sorted_tables} | {"schema_version"}
    assert schema.current(fresh_database).is_current
    schema.require_current(fresh_database)


def test_an_upgraded_database_is_what_the_code_declares(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    assert schema.check(fresh_database) == []


def test_upgrading_twice_changes_nothing(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    assert schema.upgrade(fresh_database).is_current
    assert schema.check(fresh_database) == []


def test_a_downgrade_to_base_leaves_nothing_and_can_be_upgraded_again(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    schema.downgrade(fresh_database, "base")
    assert tables(fresh_database) == set()
    assert schema.current(fresh_database).found is None
    schema.upgrade(fresh_database)
    assert schema.check(fresh_database) == []


def test_each_step_can_be_taken_back_and_done_again(fresh_database: str) -> None:
    wanted = schema.upgrade(fresh_database).wanted
    for revision in schema.revisions():
        schema.downgrade(fresh_database, revision)
        assert schema.current(fresh_database).found == revision
        schema.upgrade(fresh_database)
        assert schema.current(fresh_database).found == wanted
    assert schema.check(fresh_database) == []


def test_a_database_of_a_newer_release_is_refused(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("UPDATE tradefleet.schema_version SET version_num = '9999'")
    for refused in (schema.upgrade, schema.check, schema.require_current):
        with pytest.raises(Permanent, match="9999 is of a newer tradefleet"):
            refused(fresh_database)
    with pytest.raises(Permanent, match="9999 is of a newer tradefleet"):
        schema.downgrade(fresh_database, "base")


def test_a_database_without_the_schema_is_told_the_remedy(fresh_database: str) -> None:
    with pytest.raises(Permanent, match="run `tradefleet db upgrade`"):
        schema.require_current(fresh_database)
    assert schema.check(fresh_database) == [
        f"revision: found None, needed {schema.current(fresh_database).wanted}: run `tradefleet db upgrade`"
    ]
    with pytest.raises(Permanent, match="nothing to take back"):
        schema.downgrade(fresh_database, "base")


def test_an_unknown_revision_is_refused(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    with pytest.raises(Permanent, match="revision '0815'"):
        schema.downgrade(fresh_database, "0815")
    assert schema.check(fresh_database) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE tradefleet.fill ADD COLUMN note text", "note"),
        ("ALTER TABLE tradefleet.statistics DROP COLUMN quote", "quote"),
        ("ALTER TABLE tradefleet.statistics ALTER COLUMN equity_atoms TYPE numeric(20, 0)", "equity_atoms"),
        ("DROP INDEX tradefleet.trade_order_request_key", "trade_order_request_key"),
        ("CREATE TABLE tradefleet.extra (i int)", "extra"),
        ("DROP TABLE tradefleet.dead_letter", "dead_letter"),
        ("ALTER TABLE tradefleet.fill DISABLE ROW LEVEL SECURITY", "table fill: row-level security is off"),
        ("DROP POLICY gateway_select ON tradefleet.fill", "policy gateway_select on fill: missing"),
        ("DROP VIEW tradefleet.readable_fill", "view tradefleet.readable_fill: missing"),
        (
            "CREATE OR REPLACE FUNCTION tradefleet.now_us() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
            "function tradefleet.now_us(): its text is not this release's",
        ),
    ],
)
def test_a_change_by_hand_is_named(fresh_database: str, change: str, named: str) -> None:
    schema.upgrade(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        connection.execute(change)
    assert any(named in difference for difference in schema.check(fresh_database))


def test_an_upgrade_mends_functions_views_and_policies(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("DROP VIEW tradefleet.readable_fill")
        connection.execute("DROP POLICY gateway_select ON tradefleet.fill")
        connection.execute("CREATE POLICY hole ON tradefleet.fill USING (true)")
    assert len(schema.check(fresh_database)) == 3
    schema.upgrade(fresh_database)
    assert schema.check(fresh_database) == []
    with psycopg.connect(fresh_database) as connection:
        rows = connection.execute("SELECT policyname FROM pg_policies WHERE policyname = 'hole'").fetchall()
    assert rows == []


def test_an_upgrade_replaces_a_function_that_returned_something_else(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    arguments = "(text, text, text, text, text, text, text, bigint, bigint)"
    with psycopg.connect(fresh_database) as connection:
        connection.execute(f"DROP FUNCTION tradefleet.acquire_gateway{arguments}")
        connection.execute(f"CREATE FUNCTION tradefleet.acquire_gateway{arguments} RETURNS bigint RETURN 1")
    schema.upgrade(fresh_database)
    assert schema.check(fresh_database) == []


def test_an_upgrade_takes_away_a_function_that_had_other_arguments(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("CREATE FUNCTION tradefleet.acquire_gateway(text, bigint) RETURNS bigint RETURN 1")
    stranger = "function tradefleet.acquire_gateway(text,bigint): is none of this release's"
    assert schema.check(fresh_database) == [stranger]

    schema.upgrade(fresh_database)

    assert schema.check(fresh_database) == []


def test_a_database_that_does_not_answer_is_worth_another_try() -> None:
    with pytest.raises(Retryable, match=r"postgresql://u:\*\*\*@127.0.0.1:1/x"):
        schema.current("postgresql://u:hidden@127.0.0.1:1/x")


def test_two_upgrades_at_once_wait_for_each_other(fresh_database: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from tradefleet.store import schema; schema.upgrade({fresh_database!r})"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert schema.check(fresh_database) == []


def test_the_command_goes_the_whole_way(fresh_database: str) -> None:
    wanted = schema.current(fresh_database).wanted
    first = command(fresh_database, "current")
    assert first.stdout == f"The database is at none, this release needs {wanted}: run `tradefleet db upgrade`.\n"
    assert command(fresh_database, "upgrade").stdout == f"Upgraded the schema from none to {wanted}.\n"
    assert "already" in command(fresh_database, "upgrade").stdout
    checked = command(fresh_database, "check")
    assert (checked.returncode, checked.stdout) == (0, "The database is what this release works with.\n")
    with psycopg.connect(fresh_database) as connection:
        connection.execute("ALTER TABLE tradefleet.fill ADD COLUMN note text")
    checked = command(fresh_database, "check")
    assert checked.returncode == 1
    assert "note" in checked.stdout
    refused = command(fresh_database, "downgrade", "base")
    assert refused.returncode != 0
    assert command(fresh_database, "downgrade", "base", "--yes").returncode == 0
    assert tables(fresh_database) == set()


def test_a_newer_database_ends_the_command_with_a_message(fresh_database: str) -> None:
    schema.upgrade(fresh_database)
    with psycopg.connect(fresh_database) as connection:
        connection.execute("UPDATE tradefleet.schema_version SET version_num = '9999'")
    refused = command(fresh_database, "upgrade")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: database: its schema revision 9999 is of a newer tradefleet")
    assert "Traceback" not in refused.stderr


def test_the_wheel_carries_the_migrations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tradefleet/store/migrations").rglob("*")
        if path.suffix in {".py", ".mako"}
    }
    assert len(wanted) >= 4
    assert wanted <= names


def test_functions_and_views_have_names_of_their_own() -> None:
    assert len({routine.signature for routine in ROUTINES}) == len(ROUTINES)
    assert not set(VIEWS) & {table.name for table in metadata.sorted_tables}


def test_a_database_that_cannot_hold_every_name_is_refused(database: Database) -> None:
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    url = urlsplit(database.dsn())._replace(path="/latin").geturl()
    with pytest.raises(Permanent, match="its encoding is LATIN1, must be UTF8"):
        schema.upgrade(url)
    assert tables(url) == set()
