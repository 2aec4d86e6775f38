"""What Alembic runs: the connection comes from `tradefleet.store.schema`, never from a file."""

from alembic import context

from tradefleet.store.migrations import VERSION_TABLE
from tradefleet.store.tables import SCHEMA, metadata


def run() -> None:
    """Run the wanted migrations on the given connection, all in one transaction."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
