"""The embedded Postgres: what it keeps through a crash, who may log in, and what it refuses."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from governor.local import identity as identities
from governor.local.database import Database
from governor.local.identity import Identity, choose_identity

from tests.integration.local.sockets import listening_addresses
from tradefleet.domain.errors import Permanent

# Root can run the server in two ways, everybody else in one.
IDENTITIES = [choose_identity(), *([choose_identity(namespaces=False)] if os.geteuid() == 0 else [])]


@pytest.fixture(params=IDENTITIES, ids=lambda identity: identity.launch.partition(":")[0])
def own_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A Postgres of this test alone, which it may kill; in a folder that only we may enter."""
    service = Database(tmp_path / "postgres", identity=request.param)
    yield service
    service.stop()


def count(database: Database) -> int:
    with psycopg.connect(database.dsn()) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_what_was_committed_survives_sigkill_while_others_are_busy(own_database: Database) -> None:
    own_database.start()
    url = own_database.dsn()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 100)")
    busy = psycopg.connect(url, autocommit=True)
    failed = threading.Event()

    def work() -> None:
        try:
            busy.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
        except psycopg.OperationalError:
            failed.set()

    worker = threading.Thread(target=work)
    worker.start()

    own_database.kill()
    own_database.start()

    worker.join(30)
    assert failed.is_set()
    assert own_database.dsn() == url  # port and password stay
    assert count(own_database) == 100


def test_it_never_runs_as_root(own_database: Database) -> None:
    own_database.start()

    with psycopg.connect(own_database.dsn()) as connection:
        connection.execute("CREATE TEMP TABLE who (line text)")
        connection.execute("COPY who FROM PROGRAM '/usr/bin/id -u'")
        row = connection.execute("SELECT line FROM who").fetchone()

    assert row is not None
    assert int(row[0]) != 0


@pytest.mark.parametrize("order", [IDENTITIES, IDENTITIES[::-1]], ids=["forwards", "backwards"])
def test_data_made_under_one_identity_serve_under_another(tmp_path: Path, order: list[Identity]) -> None:
    first, last = Database(tmp_path, identity=order[0]), Database(tmp_path, identity=order[-1])
    first.start()
    with psycopg.connect(first.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    first.stop()

    last.start()

    assert count(last) == 1
    last.stop()


def test_an_explicit_port_that_is_taken_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = Database(tmp_path, port=port)

        with pytest.raises(Permanent, match=rf"postgres: port {port} on 127.0.0.1 is taken .* set another port"):
            service.start()

    assert service.child is None
    assert not (tmp_path / "cluster").exists()


def test_it_listens_on_loopback_only(database: Database) -> None:
    assert database.child is not None

    assert listening_addresses(database.child.pid) == {("127.0.0.1", database.port)}


def test_commits_are_durable_and_the_clock_is_utc(database: Database) -> None:
    with psycopg.connect(database.dsn()) as connection:
        settings = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "synchronous_commit", "full_page_writes", "timezone", "data_checksums")
        }

    assert settings == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "timezone": ("UTC",),
        "data_checksums": ("on",),
    }


def test_a_wrong_password_is_refused(database: Database) -> None:
    wrong = psycopg.conninfo.make_conninfo(database.dsn(), password="wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_a_login_keeps_its_password_and_has_no_rights_of_its_own(database: Database) -> None:
    first = database.ensure_login("a_bot")
    second = database.ensure_login("a_bot")

    assert first == second == database.dsn("a_bot")
    with psycopg.connect(first) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("a_bot",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE another")


def test_its_address_is_known_to_other_processes_and_nowhere_else(database: Database, tmp_path: Path) -> None:
    assert Database(database._folder.path).dsn() == database.dsn()
    with pytest.raises(Permanent, match=r"postgres: nothing was ever started in /"):
        _ = Database(tmp_path).port


def test_a_user_nobody_made_is_named(database: Database) -> None:
    with pytest.raises(Permanent, match="user stranger has no password here"):
        database.dsn("stranger")


def test_a_password_appears_in_no_log_and_in_no_readable_file(database: Database) -> None:
    url = database.ensure_login("quiet")
    password = psycopg.conninfo.conninfo_to_dict(url)["password"]
    assert isinstance(password, str)

    holding = [
        path
        for path in database._folder.path.rglob("*")
        if path.is_file() and password.encode() in path.read_bytes() and path.name != "settings.json"
    ]

    assert holding == []


def test_data_of_another_major_version_are_refused(tmp_path: Path) -> None:
    service = Database(tmp_path)
    service.start()
    service.stop()
    (tmp_path / "cluster" / "PG_VERSION").write_text("17\n")

    with pytest.raises(Permanent, match="was made by Postgres 17, this release runs 18"):
        service.start()

    assert not service.is_alive()


def test_an_initialisation_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "cluster.new").mkdir()
    (tmp_path / "cluster.new" / "PG_VERSION").write_text("18\n")
    (tmp_path / "initdb.password").write_text("old")
    service = Database(tmp_path)

    service.start()

    assert service.is_alive()
    assert not (tmp_path / "cluster.new").exists()
    assert not (tmp_path / "initdb.password").exists()
    service.stop()


def test_a_copy_of_the_programs_runs_on_its_own(tmp_path: Path) -> None:
    programs = identities._copy_of_programs(tmp_path)

    assert identities._runs("same", programs)
    assert tmp_path in programs.parents
    assert identities._copy_of_programs(tmp_path) == programs
