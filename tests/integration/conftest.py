"""One broker and one Postgres for all integration tests of a run, and a corner of each for every test."""

import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from governor.local.broker import Broker
from governor.local.database import Database
from psycopg import sql

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker: `broker.bootstrap`. Do not kill it: tests that kill make their own."""
    service = Broker(tmp_path_factory.mktemp("kafka"))
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A running Postgres: `database.dsn()`. Do not kill it: tests that kill make their own."""
    service = Database(tmp_path_factory.mktemp("postgres"))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for the names of topics that no other test uses."""
    return f"test{next(_numbers)}."


@pytest.fixture
def fresh_database(database: Database) -> Iterator[str]:
    """The superuser's URL of an empty database of this test alone; dropped afterwards, with whoever is connected."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield urlunsplit(urlsplit(database.dsn())._replace(path=f"/{name}"))
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
