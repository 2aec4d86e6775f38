"""The rows of one fleet in memory: what Postgres keeps, as plain dictionaries that many handles share."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, DeletionPolicy
from tradefleet.domain.errors import StreamGap
from tradefleet.domain.ids import AccountId, BotKey, BotUid, ClientOrderId, StreamName, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.ledger import LedgerEntry
from tradefleet.domain.progress import Participant, Progress
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.trials import Trial, TrialRun
from tradefleet.store.ports import (
    DeadLetter,
    FillRow,
    LeaseName,
    OrderRow,
    OutboxMessage,
    RunId,
    VenueRequestRow,
    VenueSnapshot,
)
from tradefleet.store.upkeep import Action, TopicIdentity

ProgressPlace = tuple[int, int, int, Participant]


@dataclass(slots=True)
class LeaseRow:
    """Who may write, and until when. An empty holder means released."""

    epoch: int = 0
    holder: str = ""
    generation: int = 0
    until_us: int = 0
    owner: str = ""


@dataclass(slots=True)
class Stream:
    """A numbered stream: its messages above the trimmed ones, or its bars."""

    last_seq: int = 0
    published: int = 0
    trimmed: int = 0
    messages: list[OutboxMessage] = field(default_factory=list)
    bars: list[tuple[int, Bar]] = field(default_factory=list)

    def after(self, name: StreamName, seq: int, limit: int) -> list[OutboxMessage]:
        """Return up to `limit` messages above `seq`. Raises StreamGap when the first of them is trimmed."""
        if seq < self.trimmed:
            raise StreamGap(f"stream {name}: message {seq + 1} is wanted, but {self.trimmed} and below are trimmed")
        start = seq - self.trimmed
        return self.messages[start : start + limit]


@dataclass(slots=True)
class Generation:
    """The record of one generation of a bot."""

    number: int
    start: dict[StreamName, int]
    first_request_seq: int
    sources: bytearray = field(default_factory=bytearray)
    payloads: dict[int, bytes] = field(default_factory=dict)
    request_count: int = 0
    request_hash: str = ""
    snapshot: bytes | None = None
    snapshot_ordinal: int = 0
    snapshot_positions: dict[StreamName, int] = field(default_factory=dict)
    snapshot_request_count: int = 0
    snapshot_request_hash: str = ""
    closed_us: int = 0


@dataclass(slots=True)
class BotRow:
    """A bot: its lease, its positions and the records of its generations."""

    key: BotKey
    lease: LeaseRow
    version: int = 0
    positions: dict[StreamName, int] = field(default_factory=dict)
    record: Generation | None = None
    closed: dict[int, Generation] = field(default_factory=dict)
    retired: DeletionPolicy | None = None
    db_role: str = ""
    host: str = ""
    trouble: str = ""

    def close_record(self, now_us: int) -> None:
        """Put the open record among the closed ones."""
        if self.record is not None:
            self.record.closed_us = now_us
            self.closed[self.record.number], self.record = self.record, None


@dataclass(slots=True)
class GatewayRow:
    """An account: its lease, its positions and the state rows of its machine."""

    lease: LeaseRow
    version: int = 0
    positions: dict[StreamName, int] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    open_orders: dict[ClientOrderId, OrderRow] = field(default_factory=dict)
    requests: dict[int, VenueRequestRow] = field(default_factory=dict)
    unsettled: dict[int, VenueRequestRow] = field(default_factory=dict)
    request_no: int = 0


@dataclass(slots=True)
class HaltRow:
    """A halt switch. `shares` counts the transactions that hold it FOR SHARE."""

    on: bool = False
    reason: str = ""
    set_by: str = ""
    shares: int = 0


@dataclass(slots=True)
class RunRow:
    """A lockstep run. `places` holds the keys of `rows` in their order."""

    feed: str | None = None
    participants: frozenset[Participant] = frozenset()
    terms: dict[str, object] = field(default_factory=dict)
    rows: dict[ProgressPlace, Progress] = field(default_factory=dict)
    places: list[ProgressPlace] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class FleetRows:
    """All rows of one fleet."""

    def __init__(self) -> None:
        self.leases: dict[LeaseName, LeaseRow] = {}
        self.retired_owners: set[str] = set()
        self.bots: dict[BotUid, BotRow] = {}
        self.gateways: dict[AccountId, GatewayRow] = {}
        self.streams: dict[StreamName, Stream] = {}
        self.bars: dict[tuple[StreamName, int], tuple[int, Bar]] = {}
        self.orders: dict[ClientOrderId, tuple[AccountId, OrderRow]] = {}
        self.order_of_request: dict[tuple[BotUid, int], ClientOrderId] = {}
        self.fills: dict[tuple[ClientOrderId, str], FillRow] = {}
        self.entries: dict[tuple[BotUid, int], LedgerEntry] = {}
        self.statistics: dict[tuple[BotUid, int], BotStatistics] = {}
        self.snapshots: dict[str, VenueSnapshot] = {}
        self.commands: dict[BotUid, tuple[AccountId, BotCommand]] = {}
        self.halts: dict[str, HaltRow] = {"fleet": HaltRow()}
        self.runs: dict[RunId, RunRow] = defaultdict(RunRow)
        self.consumers: dict[LeaseName, frozenset[StreamName]] = {}
        self.topics: dict[str, TopicIdentity] = {}
        self.actions: list[tuple[int, Action]] = []  # each with when it was noted
        self.instruments: dict[tuple[str, Symbol], Instrument] = {}
        self.dead_letters: list[tuple[int, DeadLetter]] = []  # each with when it was recorded
        self.trial_runs: dict[tuple[str, str], tuple[TrialRun, int]] = {}  # by UID and question, with when asked last
        self.trials: dict[tuple[str, str], dict[int, Trial]] = {}

    def generations(self) -> Iterator[tuple[BotUid, Generation]]:
        """Yield every kept record, open and closed."""
        for uid, bot in self.bots.items():
            if bot.record is not None:
                yield uid, bot.record
            for generation in bot.closed.values():
                yield uid, generation


class MemoryDatabase:
    """What all processes share. `clock_us` is the database's clock: only leases look at it."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self.clock_us = clock_us
        self.changed = threading.Condition(threading.RLock())
        self.fleets: dict[str, FleetRows] = defaultdict(FleetRows)
