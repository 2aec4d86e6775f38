"""A database with the schema in it, on the server that all integration tests share, and a fleet for each test."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from governor.local.database import Database

from tests.contracts.store.worlds import PostgresWorld
from tradefleet.store import schema


@pytest.fixture(scope="session")
def store_url(database: Database) -> str:
    """The owner's URL of a database with the schema in it."""
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE store")
        connection.execute("ALTER DATABASE store SET synchronous_commit = off")
        connection.execute("ALTER DATABASE store SET scram_iterations = 1")
    url = urlsplit(database.dsn())._replace(path="/store").geturl()
    schema.upgrade(url)
    return url


@pytest.fixture
def world(store_url: str) -> Iterator[PostgresWorld]:
    world = PostgresWorld(store_url)
    yield world
    world.close()
