"""Putting the schema in place, and saying which one a database has. Used by `tradefleet db` and by the supervisor."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.store.migrations import VERSION_TABLE
from tradefleet.store.postgres.translation import translate
from tradefleet.store.roles import install_roles, remove_policies, role_differences
from tradefleet.store.routines import ROUTINES, VIEWS
from tradefleet.store.tables import SCHEMA, metadata

MIGRATIONS = "tradefleet.store:migrations"
CONNECT_TIMEOUT_S = 10
SERVER_MAJOR_MIN = 16  # grants WITH INHERIT and SET
_LOCK = 7_239_451_880_112  # any number: two upgrades at once wait for each other


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """The revision of a database (None before the first upgrade) and the one this release needs."""

    found: str | None
    wanted: str

    @property
    def is_current(self) -> bool:
        """True when the database is what this release works with."""
        return self.found == self.wanted


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Yield one connection in a transaction that commits at the end. Raises Retryable when nobody answers.

    `url` is a libpq URL (postgresql://user:password@host:port/database).
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        raise Retryable(f"database {make_url(url).render_as_string()}: {error.orig}") from error
    except DBAPIError as error:
        raise Permanent(f"database {make_url(url).render_as_string()}: {error.orig}") from error
    except psycopg.Error as error:
        raise translate(error, committing=False) from error
    finally:
        engine.dispose()


def upgrade(url: str) -> SchemaVersion:
    """Bring the database to this release's schema and return what it was before. Nothing changes when it is current.

    Raises Permanent when the database belongs to a newer release.
    """
    with connected(url) as connection:
        _check_server(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        version = _version(connection)
        _refuse_newer(version)
        # A column that a policy or a view uses cannot be changed, nor can what a function returns; all of them are made
        # anew below.
        remove_policies(_driver(connection))
        _drop_routines(connection)
        command.upgrade(_config(connection), "head")
        _install_routines(connection)
        install_roles(_driver(connection))
        return version


def downgrade(url: str, revision: str) -> SchemaVersion:
    """Take the schema back to `revision` ("base" removes it with all its data) and return what it was before."""
    with connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        version = _version(connection)
        _refuse_newer(version)
        if version.found is None:
            raise Permanent("database: it has no tradefleet schema, so there is nothing to take back")
        if revision != "base" and revision not in revisions():
            raise Permanent(f"revision {revision!r}: this release knows {sorted(revisions())} and base")
        remove_policies(_driver(connection))
        _drop_routines(connection)
        command.downgrade(_config(connection), revision)
        if revision != "base":
            return version
        connection.execute(text(f"DROP TABLE IF EXISTS {SCHEMA}.{VERSION_TABLE}"))
        connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA}"))
        return version


def current(url: str) -> SchemaVersion:
    """Return which revision the database has and which this release needs."""
    with connected(url) as connection:
        return _version(connection)


def check(url: str) -> list[str]:
    """Return the differences between the database and this release, one line each; nothing when they agree."""
    with connected(url) as connection:
        version = _version(connection)
        _refuse_newer(version)
        if not version.is_current:
            return [f"revision: found {version.found}, needed {version.wanted}: run `tradefleet db upgrade`"]
        context = MigrationContext.configure(connection, opts=_COMPARE)
        differences = [_line(difference) for difference in compare_metadata(context, metadata)]
        return differences + _routine_differences(connection) + role_differences(_driver(connection))


def require_current(url: str) -> None:
    """Raise Permanent, with the remedy, unless the database has this release's schema."""
    version = current(url)
    _refuse_newer(version)
    if not version.is_current:
        raise Permanent(
            f"database: its schema revision is {version.found}, this release needs {version.wanted}: "
            "run `tradefleet db upgrade`"
        )


_COMPARE = {
    "version_table": VERSION_TABLE,
    "version_table_schema": SCHEMA,
    "include_schemas": True,
    "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
    "compare_server_default": True,
}


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    return ScriptDirectory.from_config(config)


def revisions() -> tuple[str, ...]:
    """Return every revision this release knows, the newest first."""
    return tuple(script.revision for script in _scripts().walk_revisions())


def _driver(connection: Connection) -> psycopg.Connection:
    """Return the psycopg connection below: the same session, in the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _version(connection: Connection) -> SchemaVersion:
    head = _scripts().get_current_head()
    assert head is not None, "the package holds no migrations"
    context = MigrationContext.configure(connection, opts=_COMPARE)
    return SchemaVersion(found=context.get_current_revision(), wanted=head)


def _check_server(connection: Connection) -> None:
    """Raise Permanent for a server that cannot hold our schema: roles need Postgres 16, text needs UTF-8."""
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if number // 10_000 < SERVER_MAJOR_MIN:
        raise Permanent(f"database: the server is Postgres {number // 10_000}, at least {SERVER_MAJOR_MIN} is needed")
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise Permanent(f"database: its encoding is {encoding}, must be UTF8: create it with ENCODING 'UTF8'")


def _refuse_newer(version: SchemaVersion) -> None:
    if version.found is not None and version.found not in revisions():
        raise Permanent(
            f"database: its schema revision {version.found} is of a newer tradefleet than this one, which ends at "
            f"{version.wanted}: use the newer release, or restore a backup made with this one"
        )


def _install_routines(connection: Connection) -> None:
    for routine in ROUTINES:
        connection.exec_driver_sql(routine.statement)
    for view, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {SCHEMA}.{view} WITH (security_invoker = true) AS {query}")


def _drop_views(connection: Connection) -> None:
    for view in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {SCHEMA}.{view}")


def _drop_routines(connection: Connection) -> None:
    """Drop every function of the schema: one of an earlier release would stay beside ours, and be called as before."""
    _drop_views(connection)
    for signature in _signatures(connection):
        connection.exec_driver_sql(f"DROP FUNCTION {signature}")


def _signatures(connection: Connection) -> list[str]:
    """Return the functions that the schema has."""
    found = connection.execute(
        text("SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = to_regnamespace(:schema)"),
        {"schema": SCHEMA},
    )
    return sorted(found.scalars())


def _routine_differences(connection: Connection) -> list[str]:
    """Return the functions and views that are missing or whose text is not the code's."""
    differences = []
    for routine in ROUTINES:
        source = connection.execute(
            text("SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(:signature)"), {"signature": routine.signature}
        ).scalar()
        if source is None:
            differences.append(f"function {routine.signature}: missing")
        elif source not in routine.statement:
            differences.append(f"function {routine.signature}: its text is not this release's")
    ours = connection.execute(
        text("SELECT to_regprocedure(each)::text FROM unnest(CAST(:signatures AS text[])) AS each"),
        {"signatures": [routine.signature for routine in ROUTINES]},
    )
    strangers = set(_signatures(connection)) - set(ours.scalars())
    differences += [f"function {signature}: is none of this release's" for signature in sorted(strangers)]
    there = set(inspect(connection).get_view_names(schema=SCHEMA))
    return differences + [f"view {SCHEMA}.{view}: missing" for view in VIEWS if view not in there]


def _line(difference: object) -> str:
    """Return one difference that Alembic found, as a line: what it would do, and to which object."""
    first = difference[0] if isinstance(difference, list | tuple) else difference
    if isinstance(first, tuple):  # column changes come as a list of tuples
        return " ".join(str(part) for part in first if not isinstance(part, dict))
    return " ".join(str(part) for part in difference) if isinstance(difference, tuple) else str(difference)
