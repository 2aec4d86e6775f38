"""Everything that a bot host reads and writes, over one session.

Apart from the other workers' databases: there are many bots, and what they do not import they need not load.
"""

from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session


class BotDatabase(PostgresBotStore, PostgresRuns, PostgresCommandStore):
    """For a bot host."""

    def __init__(self, session: Session) -> None:
        PostgresBotStore.__init__(self, session)
        PostgresRuns.__init__(self, session)
