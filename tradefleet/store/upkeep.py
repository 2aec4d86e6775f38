"""What the supervisor asks of the database: bots come and go, consumers are registered, old rows are trimmed.

Like `ports`, these protocols have two implementations under one contract suite.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, BotUid, StreamName
from tradefleet.domain.instrument import Instrument
from tradefleet.store.ports import LeaseName, RunId


class FleetStore(Protocol):
    """The rows that must stand before a fleet's processes start."""

    def create_fleet(self) -> None:
        """Make the fleet's row and its halt switch; harmless when they exist."""

    def put_instruments(self, exchange: str, instruments: Sequence[Instrument]) -> None:
        """Store the ticks, lots and scales of an exchange, for those who read amounts in SQL (`readable_*` views)."""

    def register_bot(self, bot: BotKey, uid: BotUid, *, db_role: str = "", host: str = "") -> None:
        """Make the bot's row, its two streams and its halt switches; `db_role` is the one login that may write the row.

        `host` is the shared process that runs it, empty for one of its own. Harmless when they exist. With another
        `db_role` the bot moves: the process that ran it is fenced, and the next one may take its lease at once.
        """

    def register_bots(self, bots: Sequence[tuple[BotKey, BotUid, str, str]]) -> None:
        """Do the same for many, each with its `db_role` and its `host`, all of them or none."""

    def retire_bot(self, uid: BotUid, *, policy: DeletionPolicy) -> None:
        """Mark the bot as deleted: its lease is never given again, its process is fenced, its record is closed."""

    def retire_owner(self, uid: str) -> None:
        """Mark an Exchange or a Feed as deleted: it never gets a lease again, and its processes are fenced."""


class RetentionStore(Protocol):
    """Trimming of the outbox (rule 6) and of old records (rule 19). Bars are history and stay, like the books.

    `kept_us` is an age by the database's clock, but of statistics, which have market time. Each call deletes at most
    `limit` of what it counts and returns how many it deleted.
    """

    def consumers(self) -> Mapping[LeaseName, frozenset[StreamName]]:
        """Return who is registered, each with its streams."""

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        """Let nothing of `streams` be trimmed that the consumer, a bot or a gateway, has not passed."""

    def remove_consumer(self, consumer: LeaseName) -> None:
        """Forget a consumer: it will not come back. Harmless when it is unknown."""

    def forget_generations(self, *, kept_us: int, limit: int) -> int:
        """Delete the records of generations that were closed longer ago, with their snapshots. The open one stays."""

    def forget_statistics(self, uids: Collection[BotUid], *, kept_us: int, limit: int) -> int:
        """Delete what is older than each of these bots' newest statistics by more than `kept_us` of market time.

        Of deleted bots whose records are forgotten it deletes everything.
        """

    def forget_progress(self, run: RunId, *, limit: int) -> int:
        """Delete the rows of a run that is over, but its last step's and those of participants that left it."""

    def forget_actions(self, *, kept_us: int, limit: int) -> int:
        """Delete entries of the log of actions that are older. The periods of halts stay."""

    def forget_dead_letters(self, *, kept_us: int, limit: int) -> int:
        """Delete dead letters of market data that are older; one that bears money waits for its resolution."""

    def forget_trials(self, kept: Mapping[str, tuple[str, int]], *, gone_us: int, limit: int) -> int:
        """Delete trials of Backtests that nobody asks for any more; return how many. The rows of runs stay.

        `kept` says by UID what a Backtest asks now, and how many earlier questions keep their trials beside it. Of
        Backtests that are not in it, which are deleted, trials go when they were asked longer ago than `gone_us`.
        """

    def trim(self, *, limit: int) -> int:
        """Delete messages that nobody needs any more.

        A message goes when it is published, its stream has a registered consumer, every registered consumer has
        passed it, and no kept record of a bot starts before it. The streams of a deleted bot need no consumer: of its
        requests those go that its gateway has applied.
        """


@frozen()
class Action:
    """What somebody did to the fleet: `actor` halted, paused, deleted, changed (`action`) the `target`."""

    actor: str
    action: str
    target: str
    detail: Mapping[str, str] = field(default_factory=dict)


@frozen()
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
