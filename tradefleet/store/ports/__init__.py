"""What the workers need of the database: values that commit together, and the transactions that take them.

Two things stand behind these protocols and pass one contract suite: Postgres (`tradefleet.store.postgres`) and the
twin in memory that the simulation crashes (`tests/fakes`). A commit is a plain value, so both check the same rules:

- the fence: a commit whose epoch is not the row's newest changes nothing and raises `Fenced` (rule 2);
- compare-and-set: a commit whose `version` is not the row's changes nothing and raises `Fenced` (rule 7);
- streams: the numbers of outgoing messages continue the stream without a gap, or nothing is written (rule 5).

An error while committing is `OutcomeUnknown`: the caller throws its machine away and loads again (rule 8).
"""

from tradefleet.store.ports.bot import ADOPTION_AND_COMMANDS, EXECUTIONS, FIRST_BARS, BotCommit, BotRecord, BotStore
from tradefleet.store.ports.commands import CommandStore
from tradefleet.store.ports.feed import FeedCommit, FeedStore
from tradefleet.store.ports.gateway import (
    Absences,
    FillRow,
    GatewayCommit,
    GatewayRecord,
    GatewayStore,
    GatewayTransaction,
    OrderRow,
    VenueRequestRow,
)
from tradefleet.store.ports.halts import Halt, HaltStore
from tradefleet.store.ports.leases import (
    Lease,
    LeaseName,
    LeaseStore,
    bot_lease,
    feed_lease,
    gateway_lease,
    venue_lease,
)
from tradefleet.store.ports.letters import DeadLetter, DeadLetterStore
from tradefleet.store.ports.runs import BOTS_ROLE, GATEWAY_ROLE, VENUE_ROLE, RunId, RunStore, woken_by
from tradefleet.store.ports.streams import OutboxMessage, StreamStore
from tradefleet.store.ports.venue import VenueSnapshot, VenueStore

__all__ = [
    "ADOPTION_AND_COMMANDS",
    "BOTS_ROLE",
    "EXECUTIONS",
    "FIRST_BARS",
    "GATEWAY_ROLE",
    "VENUE_ROLE",
    "Absences",
    "BotCommit",
    "BotRecord",
    "BotStore",
    "CommandStore",
    "DeadLetter",
    "DeadLetterStore",
    "FeedCommit",
    "FeedStore",
    "FillRow",
    "GatewayCommit",
    "GatewayRecord",
    "GatewayStore",
    "GatewayTransaction",
    "Halt",
    "HaltStore",
    "Lease",
    "LeaseName",
    "LeaseStore",
    "OrderRow",
    "OutboxMessage",
    "RunId",
    "RunStore",
    "StreamStore",
    "VenueRequestRow",
    "VenueSnapshot",
    "VenueStore",
    "bot_lease",
    "feed_lease",
    "gateway_lease",
    "venue_lease",
    "woken_by",
]
