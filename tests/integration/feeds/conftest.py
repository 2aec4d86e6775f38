"""A database with our schema for the tests of feeds, and a fleet of its own for each of them."""

import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from governor.local.database import Database
from psycopg import sql

from tradefleet.store import schema

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def feeds_database(database: Database) -> Iterator[str]:
    """The superuser's URL of a database with the schema in it."""
    name = "feeds"
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlunsplit(urlsplit(database.dsn())._replace(path=f"/{name}"))
    schema.upgrade(url)
    yield url
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def fleet() -> str:
    """A fleet that no other test uses."""
    return f"feeds{next(_numbers)}"
