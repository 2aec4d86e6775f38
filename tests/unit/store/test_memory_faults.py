"""The places where the twin may break: what is written then, and what is not."""

from dataclasses import dataclass, field

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BOT,
    UID,
    bot_commit,
    executions,
    gateway_commit,
    order,
    take_bot,
    take_gateway,
    write,
)
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tradefleet.domain.errors import Fenced, OutcomeUnknown
from tradefleet.store.ports import bot_lease

POINTS = ["before_commit", "inside_commit_lost", "inside_commit_applied", "after_commit"]


@dataclass
class OneFault:
    """Raises at one point, once it is armed."""

    point: str = ""
    seen: list[str] = field(default_factory=list)

    def at(self, point: str) -> None:
        self.seen.append(point)
        if point == self.point:
            self.point = ""
            raise OutcomeUnknown(point)


def broken_and_sound(faults: OneFault) -> tuple[MemoryStore, MemoryStore]:
    """Return two processes' handles on one database, the first of which breaks."""
    database = MemoryDatabase(lambda: 0)
    return MemoryStore(database, faults=faults), MemoryStore(database)


def test_every_commit_passes_every_point_in_order() -> None:
    faults = OneFault()
    store, _ = broken_and_sound(faults)
    lease, record = take_bot(store)
    faults.seen.clear()
    store.commit_bots([bot_commit(lease, record.version)])
    assert faults.seen == POINTS


@pytest.mark.parametrize("point", POINTS)
def test_a_bots_commit_is_written_whole_or_not_at_all(point: str) -> None:
    faults = OneFault()
    store, other = broken_and_sound(faults)
    lease, record = take_bot(store)
    faults.point = point
    with pytest.raises(OutcomeUnknown, match=point):
        store.commit_bots([bot_commit(lease, record.version, requests=[1])])
    loaded = other.load_bot(BOT, UID)
    assert loaded is not None
    written = point in POINTS[2:]
    assert (loaded.input_count, loaded.request_seq) == ((1, 1) if written else (0, 0))


@pytest.mark.parametrize("point", POINTS)
def test_a_gateways_commit_is_written_whole_or_not_at_all(point: str) -> None:
    faults = OneFault()
    store, other = broken_and_sound(faults)
    lease = take_gateway(store)
    faults.point = point
    with pytest.raises(OutcomeUnknown):
        write(store, gateway_commit(lease, orders=[order(1)], executions=executions([1]), blobs={"a": b"1"}))
    loaded = other.load_gateway(ACCOUNT)
    assert (loaded is not None) == (point in POINTS[2:])
    other.set_halt("fleet", reason="drill", set_by="ana")  # would wait for ever, were a switch still held


@pytest.mark.parametrize("point", POINTS)
def test_a_lease_may_be_taken_by_a_call_that_failed(point: str) -> None:
    faults = OneFault(point)
    store, other = broken_and_sound(faults)
    with pytest.raises(OutcomeUnknown):
        store.acquire(bot_lease(BOT, UID), holder="one", generation=1, ttl_us=1_000)
    lease = other.acquire(bot_lease(BOT, UID), holder="one", generation=1, ttl_us=1_000)
    assert lease.epoch == (2 if point in POINTS[2:] else 1)


def test_a_commit_that_is_refused_reaches_no_point() -> None:
    faults = OneFault()
    store, other = broken_and_sound(faults)
    lease = take_gateway(store, holder="one")
    other.acquire(lease.name, holder="one", generation=1, ttl_us=1_000)
    faults.seen.clear()
    with pytest.raises(Fenced):
        write(store, gateway_commit(lease))
    assert faults.seen == []


def test_a_gateway_that_lost_its_epoch_in_the_block_writes_nothing() -> None:
    store, other = broken_and_sound(OneFault())
    lease = take_gateway(store, holder="one")

    def take_over_in_between() -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            transaction.write(gateway_commit(lease))
            other.acquire(lease.name, holder="one", generation=1, ttl_us=1_000)

    with pytest.raises(Fenced):
        take_over_in_between()
    assert other.load_gateway(ACCOUNT) is None
