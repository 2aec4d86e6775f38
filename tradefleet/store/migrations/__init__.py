"""The steps from one schema to the next, run by `tradefleet.store.schema` through Alembic."""

VERSION_TABLE = "schema_version"
