"""Trimming: a message goes only when nobody can need it any more (rules 6 and 19)."""

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BOT,
    EXCHANGE,
    TTL_US,
    UID,
    bot_commit,
    executions,
    gateway_commit,
    message,
    statistics,
    take_bot,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import World
from tradefleet.domain.errors import StreamGap
from tradefleet.domain.ids import executions_stream, orders_stream
from tradefleet.domain.progress import VENUE, Phase, Progress
from tradefleet.store.ports import BotStore, Lease, RunId, bot_lease, gateway_lease, venue_lease

ORDERS = orders_stream(UID)
EXECUTIONS = executions_stream(UID)


def five_requests(world: World) -> BotStore:
    """Return a bot's handle after it made five requests in generation 1 and none yet in generation 2."""
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, generation=1)
    store.commit_bots([bot_commit(lease, record.version, requests=[1, 2, 3, 4, 5])])
    take_bot(store, generation=2)
    return store


def read_up_to(world: World, seq: int, version: int = 0) -> Lease:
    gateway = world.gateway()
    lease = take_gateway(gateway)
    write(gateway, gateway_commit(lease, version, positions={ORDERS: seq}))
    return lease


def test_a_stream_without_a_consumer_is_kept(world: World) -> None:
    store = five_requests(world)
    store.mark_published({ORDERS: 5})
    world.retention().forget_generations(UID, before=2)
    assert world.retention().trim(limit=100) == 0


def test_what_is_published_passed_and_of_no_record_goes(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    assert retention.forget_generations(UID, before=2) == 1
    read_up_to(world, 3)
    assert retention.trim(limit=100) == 0  # nothing is published yet
    store.mark_published({ORDERS: 4})
    assert retention.trim(limit=100) == 3
    assert retention.trim(limit=100) == 0
    assert store.read_stream(ORDERS, after=3, limit=10) == [message(ORDERS, 4), message(ORDERS, 5)]
    assert store.last_seq(ORDERS) == 5


def test_reading_what_was_trimmed_is_a_gap_and_not_silence(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    retention.forget_generations(UID, before=2)
    read_up_to(world, 5)
    store.mark_published({ORDERS: 5})
    assert retention.trim(limit=2) == 2
    with pytest.raises(StreamGap, match="message 2 is wanted, but 2 and below are trimmed"):
        store.read_stream(ORDERS, after=1, limit=10)
    assert retention.trim(limit=100) == 3
    with pytest.raises(StreamGap):
        store.read_stream(ORDERS, after=0, limit=10)
    assert store.read_stream(ORDERS, after=5, limit=10) == []
    with pytest.raises(StreamGap), world.gateway().gateway_transaction(ACCOUNT) as transaction:
        transaction.requests({ORDERS: 0}, limit=10)


def test_a_kept_record_keeps_its_requests(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    read_up_to(world, 5)
    store.mark_published({ORDERS: 5})
    assert retention.trim(limit=100) == 0
    retention.forget_generations(UID, before=2)
    assert retention.trim(limit=100) == 5


def test_a_kept_record_keeps_its_inputs(world: World) -> None:
    gateway, retention, store = world.gateway(), world.retention(), world.bot(BOT, UID)
    write(gateway, gateway_commit(take_gateway(gateway), executions=executions([1, 2, 3, 4])))
    gateway.mark_published({EXECUTIONS: 4})
    lease, record = take_bot(store, start={EXECUTIONS: 1})
    store.commit_bots([bot_commit(lease, record.version, positions={EXECUTIONS: 4}, sources=b"\x01\x01\x01")])
    retention.register_consumer(bot_lease(BOT, UID), [EXECUTIONS])
    assert retention.trim(limit=100) == 1
    assert store.read_stream(EXECUTIONS, after=1, limit=9) == executions([2, 3, 4])
    take_bot(store, generation=2, start={EXECUTIONS: 3})
    assert retention.trim(limit=100) == 0
    retention.forget_generations(UID, before=2)
    assert retention.trim(limit=100) == 2


def test_the_slowest_consumer_counts_until_it_is_removed(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    absent = gateway_lease(ACCOUNT)
    retention.register_consumer(absent, [ORDERS])
    retention.register_consumer(bot_lease(BOT, UID), [ORDERS])
    retention.forget_generations(UID, before=2)
    store.mark_published({ORDERS: 5})
    lease = store.acquire(bot_lease(BOT, UID), holder="slot-1", generation=2, ttl_us=TTL_US)
    record = store.load_bot(BOT, UID)
    assert record is not None
    store.commit_bots([bot_commit(lease, record.version, positions={ORDERS: 5})])
    assert retention.trim(limit=100) == 0
    retention.remove_consumer(absent)
    retention.remove_consumer(absent)
    assert retention.trim(limit=100) == 5


def test_registering_again_replaces_the_streams(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    retention.register_consumer(gateway_lease(ACCOUNT), [EXECUTIONS])
    retention.register_consumer(bot_lease(BOT, UID), [])
    retention.forget_generations(UID, before=2)
    store.mark_published({ORDERS: 5})
    read_up_to(world, 5)
    assert retention.trim(limit=100) == 0  # no consumer is left, so nobody says that it may go


def test_the_open_generation_is_never_forgotten(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    assert retention.forget_generations(UID, before=99) == 1
    assert store.load_bot(BOT, UID) is not None
    assert store.read_record(UID, 1, after=0, limit=9) == (b"", {})


def test_old_statistics_are_forgotten(world: World) -> None:
    gateway, retention = world.gateway(), world.retention()
    points = [statistics(index) for index in range(5)]
    write(gateway, gateway_commit(take_gateway(gateway), statistics=points))
    assert retention.forget_statistics(before_us=points[2].market_us) == 2
    assert retention.forget_statistics(before_us=points[2].market_us) == 0
    assert retention.forget_statistics(before_us=points[4].market_us + 1) == 3


def test_old_steps_of_a_run_are_forgotten(world: World) -> None:
    venue, retention, runs = world.venue(), world.retention(), world.runs()
    lease = venue.acquire(venue_lease(EXCHANGE), holder="v", generation=1, ttl_us=TTL_US)
    rows = [Progress(participant=VENUE, market_us=step, round=0, phase=Phase.VENUE_BARS) for step in range(1, 6)]
    for run in (RunId("one"), RunId("two")):
        for row in rows:
            venue.commit_venue_progress(lease, run, row)
    assert retention.forget_progress(RunId("one"), before_us=4) == 3
    assert runs.progress_from(RunId("one"), market_us=0, round_no=0, phase=0, limit=9) == rows[3:]
    assert runs.progress_from(RunId("two"), market_us=0, round_no=0, phase=0, limit=9) == rows
