"""The tables, as SQLAlchemy metadata: what migrations are made from and compared with. Hot paths never import it."""

from tradefleet.store.tables import bots, fleets, gateways, history, market_data, streams
from tradefleet.store.tables.columns import SCHEMA, metadata

__all__ = ["SCHEMA", "bots", "fleets", "gateways", "history", "market_data", "metadata", "streams"]
