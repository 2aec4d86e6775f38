"""Everything that each kind of worker reads and writes, over one session. A bot's is in `bot_database`."""

from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.feeds import PostgresFeedStore
from tradefleet.store.postgres.gateways import PostgresGatewayStore
from tradefleet.store.postgres.halts import PostgresHaltStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.upkeep import PostgresTopicStore
from tradefleet.store.postgres.venues import PostgresVenueStore


class FeedDatabase(PostgresFeedStore, PostgresRuns):
    """For a feed."""

    def __init__(self, session: Session) -> None:
        PostgresFeedStore.__init__(self, session)
        PostgresRuns.__init__(self, session)


class VenueDatabase(PostgresVenueStore, PostgresRuns, PostgresTopicStore):
    """For a simulator."""

    def __init__(self, session: Session) -> None:
        PostgresVenueStore.__init__(self, session)
        PostgresRuns.__init__(self, session)


class GatewayDatabase(PostgresGatewayStore, PostgresRuns, PostgresHaltStore, PostgresCommandStore):
    """For a gateway."""

    def __init__(self, session: Session) -> None:
        PostgresGatewayStore.__init__(self, session)
        PostgresRuns.__init__(self, session)
