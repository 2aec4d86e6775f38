"""What the supervisor asks of the database: bots come and go, consumers are registered, old rows are trimmed.

Like `ports`, these protocols have two implementations under one contract suite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.ids import BotKey, BotUid, StreamName
from tradefleet.domain.instrument import Instrument
from tradefleet.store.ports import LeaseName, RunId


class FleetStore(Protocol):
    """The rows that must stand before a fleet's processes start."""

    def create_fleet(self) -> None:
        """Make the fleet's row and its halt switch; harmless when they exist."""

    def put_instruments(self, exchange: str, instruments: Sequence[Instrument]) -> None:
        """Store the ticks, lots and scales of an exchange, for those who read amounts in SQL (`readable_*` views)."""

    def register_bot(self, bot: BotKey, uid: BotUid, *, db_role: str = "") -> None:
        """Make the bot's row, its two streams and its halt switch; `db_role` is the one login that may write the row.

        Harmless when they exist; another `db_role` is taken over.
        """

    def retire_bot(self, uid: BotUid, *, policy: DeletionPolicy) -> None:
        """Mark the bot as deleted: its lease is never given again, its running process is fenced."""


class RetentionStore(Protocol):
    """Trimming of the outbox (rule 6) and of old records (rule 19). Bars are history and stay."""

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        """Let nothing of `streams` be trimmed that the consumer, a bot or a gateway, has not passed."""

    def remove_consumer(self, consumer: LeaseName) -> None:
        """Forget a consumer: it will not come back. Harmless when it is unknown."""

    def forget_generations(self, uid: BotUid, *, before: int) -> int:
        """Delete the records of the bot's closed generations below `before`; return how many there were."""

    def forget_statistics(self, *, before_us: int) -> int:
        """Delete the statistics of steps before that market time; return how many there were."""

    def forget_progress(self, run: RunId, *, before_us: int) -> int:
        """Delete a run's rows of steps before that market time, which every participant has left behind."""

    def trim(self, *, limit: int) -> int:
        """Delete up to `limit` messages that nobody needs any more; return how many were deleted.

        A message goes when it is published, its stream has a registered consumer, every registered consumer has
        passed it, and no kept record of a bot starts before it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What somebody did to the fleet: `actor` halted, paused, deleted, changed (`action`) the `target`."""

    actor: str
    action: str
    target: str
    detail: Mapping[str, str] = field(default_factory=dict)


class ActionStore(Protocol):
    """The log of who did what. Switching halts writes into it by itself."""

    def record_action(self, action: Action) -> None:
        """Add an entry. Entries are never changed."""

    def actions(self, *, limit: int) -> list[Action]:
        """Return the newest entries, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicIdentity:
    """Which broker's topic our positions belong to (rule 7)."""

    cluster_id: str
    topic_id: str


class TopicStore(Protocol):
    """The identities of topics as they were when we last agreed with the broker."""

    def topic_identities(self) -> Mapping[str, TopicIdentity]:
        """Return what is stored, by topic name."""

    def remember_topic(self, topic: str, identity: TopicIdentity) -> None:
        """Store the identity of a topic in place of the one before."""
