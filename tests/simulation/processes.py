"""Simulated processes: a worker that lives, dies, hangs and comes back, and what it sees of clock and database."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tests.fakes.memory_database import BotRow, FleetRows, GatewayRow, Generation, LeaseRow, MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.simulation.faults import OFTEN, Faults
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.numbered import OutboxPublisher
from tradefleet.domain.ids import AccountId, BotKey, StreamName
from tradefleet.runtime.ports import Worker
from tradefleet.store.ports import BotCommit, GatewayCommit, GatewayTransaction, Halt, Lease, LeaseName, OutboxMessage

READS_A_STEP = 6  # looks at the clock after which somebody is waiting
WAIT_US = 5_000


class Time:
    """The world's time. A process that looks again and again within one step is waiting, so time goes on for it."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self._reads = 0

    def advance(self, duration_us: int) -> None:
        """Let time pass between two steps."""
        self.now_us += duration_us
        self._reads = 0

    def monotonic_us(self) -> int:
        """Return the time: every process's monotonic clock, since one that is stopped does not stop time."""
        self._reads += 1
        if self._reads > READS_A_STEP:
            self.now_us += WAIT_US
        return self.now_us

    def wall_us(self) -> int:
        """Return the same, without a look that counts."""
        return self.now_us

    def sleep_us(self, duration_us: int) -> None:
        """Return at once: a worker that sleeps has nothing to do, and others shall have their turn."""


@dataclass(slots=True, eq=False)
class Process:
    """A place in the fleet where an instance of a worker runs. `holder` is who it says it is to the database."""

    name: str
    role: str
    holder: str
    make: Callable[["Process"], tuple[Worker, MemoryBus]]
    worker: Worker | None = None
    bus: MemoryBus | None = None
    is_started: bool = False
    is_busy: bool = False  # in the middle of a step, standing still
    is_retired: bool = False  # fenced by a newer instance, or its bot is deleted: it ended for good
    down_until_us: int = 0
    incarnation: int = 0

    def kill(self, until_us: int) -> None:
        """Lose everything in memory."""
        if self.bus is not None:
            self.bus.close()
        self.worker = None
        self.is_started = False
        self.down_until_us = until_us


class Watch(Protocol):
    """Sees what becomes durable, at the moment it does."""

    def gateway_wrote(self, commit: GatewayCommit) -> None:
        """Look at a gateway's commit and the rows after it."""

    def bot_wrote(self, commit: BotCommit) -> None:
        """Look at a bot's commit."""


class Damage:
    """Which requests no gateway can read: decided when the first one comes upon them, and so for ever."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._seen: set[tuple[StreamName, int]] = set()
        self.places: set[tuple[StreamName, int]] = set()

    def spoils(self, row: OutboxMessage) -> bool:
        """Return whether a request cannot be read."""
        place = (row.stream, row.seq)
        if place not in self._seen and self._faults.strikes("request: unreadable"):
            self.places.add(place)
        self._seen.add(place)
        return place in self.places


class DamagedRequests:
    """A gateway's transaction in which some requests are in a language that it does not know."""

    def __init__(self, transaction: GatewayTransaction, damage: Damage) -> None:
        self._transaction = transaction
        self._damage = damage
        self.halts = transaction.halts
        self.write = transaction.write

    def requests(
        self, after: Mapping[StreamName, int], *, limit: int, sharing: Sequence[BotKey] = ()
    ) -> list[OutboxMessage]:
        """Return the committed requests, as far as they can be read."""
        found = self._transaction.requests(after, limit=limit, sharing=sharing)
        return [replace(row, payload=b"?") if self._damage.spoils(row) else row for row in found]


class WatchedStore(MemoryStore):
    """A process's handle on the database: a commit may find the process standing still before and after it."""

    def __init__(self, database: MemoryDatabase, faults: Faults, watch: Watch, damage: Damage | None) -> None:
        super().__init__(database, faults=faults)
        self._points = faults
        self._watch = watch
        self._damage = damage
        self.taken_over_us = 0  # when the lease of another holder ran out that this process took over

    def acquire(self, name: LeaseName, **wishes: Any) -> Lease:
        """Take a lease; one that somebody else let run out is noted."""
        before = replace(self._lease_row(name))
        lease = super().acquire(name, **wishes)
        if lease.took_over:
            self.taken_over_us = before.until_us
        return lease

    def _commit(self, check: Callable[[], Callable[[], None]]) -> None:
        self._points.pause("commit: paused before")
        super()._commit(check)
        self._points.pause("commit: paused after")

    @contextmanager
    def gateway_transaction(self, account: AccountId) -> Iterator[GatewayTransaction]:
        """Open a transaction; some of what it reads is damaged."""
        with super().gateway_transaction(account) as transaction:
            yield transaction if self._damage is None else DamagedRequests(transaction, self._damage)

    @contextmanager
    def sending(self, account: AccountId, bots: Sequence[BotKey]) -> Iterator[list[Halt]]:
        """Hold the halt switches while orders are sent; the process may stand still before it."""
        self._points.pause("send: paused before", OFTEN)
        with super().sending(account, bots) as halts:
            yield halts

    def _held(self, lease: Lease) -> LeaseRow:
        row = super()._held(lease)
        assert row.epoch == lease.epoch, f"lease {lease.name}: epoch {lease.epoch} committed, newest is {row.epoch}"
        return row

    def _write_gateway(self, commit: GatewayCommit, row: GatewayRow) -> None:
        assert row.lease.epoch == commit.lease.epoch, f"gateway: epoch {commit.lease.epoch} committed"
        assert row.version == commit.version, f"gateway: version {commit.version} committed over {row.version}"
        super()._write_gateway(commit, row)
        self._watch.gateway_wrote(commit)

    def _write_bots(self, ours: Iterable[tuple[BotCommit, BotRow, Generation]]) -> None:
        ours = list(ours)
        for commit, row, _ in ours:
            assert row.lease.epoch == commit.epoch, f"bot {commit.bot}: epoch {commit.epoch} committed"
            assert row.version == commit.version, f"bot {commit.bot}: version {commit.version} over {row.version}"
        super()._write_bots(ours)
        for commit, _, _ in ours:
            self._watch.bot_wrote(commit)


class WatchedBroker(MemoryBroker):
    """Remembers every message that arrived, or that it said had arrived."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.seen: set[bytes] = set()

    def send(self, topic: str, key: str, value: bytes) -> bool:
        """Take a message; return whether it is acknowledged."""
        is_acknowledged = super().send(topic, key, value)
        if is_acknowledged:
            self.seen.add(value)
        return is_acknowledged

    def _append(self, topic: str, key: str, value: bytes) -> int:
        self.seen.add(value)
        return super()._append(topic, key, value)


class CrashingPublisher(OutboxPublisher):
    """The real publisher of a process that may die between a commit and publishing what was committed."""

    faults: Faults
    rows: FleetRows

    def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Publish, or die before it. Only what was committed may leave."""
        for message in messages:
            row = self.rows.streams.get(message.stream)
            assert row is not None, f"{message.stream}: the stream is not known"
            assert message.seq <= row.last_seq, f"{message.stream}: {message.seq} is not committed"
            committed = row.bars or row.messages[message.seq - 1].payload == message.payload
            assert committed, f"{message.stream}: another message {message.seq} was committed"
        self.faults.crash("publish: before it, crash")
        super().publish(messages)
