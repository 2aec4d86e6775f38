"""The worlds in which the contract of the store is tested: the twin in memory and a real Postgres."""

from collections.abc import Iterator

import psycopg
import pytest
from governor.local.database import DATABASE, Database
from psycopg import sql

from tests.contracts.store.worlds import MemoryWorld, PostgresWorld, World
from tradefleet.store import schema


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The owner's URL of a database with the schema in it, on a server that is ours for the session."""
    server = Database(tmp_path_factory.mktemp("postgres"))
    server.start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        # Nobody needs these data after the test: a commit need not wait for the disk, a log-in not for its hash.
        for setting in ("synchronous_commit = off", "scram_iterations = 1"):
            statement = sql.SQL("ALTER DATABASE {} SET {}").format(sql.Identifier(DATABASE), sql.SQL(setting))
            connection.execute(statement)
    schema.upgrade(server.dsn())
    yield server.dsn()
    server.stop()


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    world = PostgresWorld(request.getfixturevalue("store_url"))
    yield world
    world.close()


@pytest.fixture
def postgres_world(store_url: str) -> Iterator[PostgresWorld]:
    world = PostgresWorld(store_url)
    yield world
    world.close()
