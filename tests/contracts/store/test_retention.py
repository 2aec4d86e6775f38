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
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import StreamGap
from tradefleet.domain.ids import executions_stream, orders_stream
from tradefleet.domain.progress import VENUE, Phase, Progress
from tradefleet.store.ports import BotStore, DeadLetter, Lease, RunId, bot_lease, gateway_lease, venue_lease

ORDERS = orders_stream(UID)
EXECUTIONS = executions_stream(UID)
HOUR_US = 3_600_000_000


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
    world.retention().forget_generations(kept_us=0, limit=9)
    assert world.retention().trim(limit=100) == 0


def test_what_is_published_passed_and_of_no_record_goes(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    assert retention.forget_generations(kept_us=0, limit=9) == 1
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
    retention.forget_generations(kept_us=0, limit=9)
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
    retention.forget_generations(kept_us=0, limit=9)
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
    retention.forget_generations(kept_us=0, limit=9)
    assert retention.trim(limit=100) == 2


def test_the_slowest_consumer_counts_until_it_is_removed(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    absent = gateway_lease(ACCOUNT)
    retention.register_consumer(absent, [ORDERS])
    retention.register_consumer(bot_lease(BOT, UID), [ORDERS])
    retention.forget_generations(kept_us=0, limit=9)
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
    retention.forget_generations(kept_us=0, limit=9)
    store.mark_published({ORDERS: 5})
    read_up_to(world, 5)
    assert retention.trim(limit=100) == 0  # no consumer is left, so nobody says that it may go


def test_the_open_generation_is_never_forgotten(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    assert retention.forget_generations(kept_us=0, limit=9) == 1
    assert store.load_bot(BOT, UID) is not None
    assert store.read_record(UID, 1, after=0, limit=9) == (b"", {})


def test_a_generation_that_was_closed_lately_is_kept(world: World) -> None:
    five_requests(world)
    assert world.retention().forget_generations(kept_us=HOUR_US, limit=9) == 0


def test_one_call_forgets_no_more_than_its_limit(world: World) -> None:
    store, retention = five_requests(world), world.retention()
    take_bot(store, generation=3)
    assert [retention.forget_generations(kept_us=0, limit=1) for _ in range(3)] == [1, 1, 0]


def test_a_deleted_bots_record_is_closed_and_forgotten_with_its_messages_and_statistics(world: World) -> None:
    gateway, retention, store = world.gateway(), world.retention(), world.bot(BOT, UID)
    account = take_gateway(gateway)
    write(gateway, gateway_commit(account, executions=executions([1, 2]), statistics=[statistics(1), statistics(2)]))
    lease, record = take_bot(store, start={EXECUTIONS: 0})
    commit = bot_commit(lease, record.version, positions={EXECUTIONS: 1}, sources=b"\x01", requests=[1, 2, 3])
    store.commit_bots([commit])
    write(gateway, gateway_commit(account, 1, positions={ORDERS: 2}))
    gateway.mark_published({EXECUTIONS: 1})
    world.fleets().retire_bot(UID, policy=DeletionPolicy.CANCEL_ORDERS)
    assert retention.trim(limit=100) == 0  # its record begins before them
    assert retention.forget_statistics([UID], kept_us=HOUR_US, limit=9) == 0
    assert store.read_record(UID, 1, after=0, limit=9) == (b"\x01", {})
    assert retention.forget_generations(kept_us=0, limit=9) == 1
    assert retention.trim(limit=100) == 4  # two executions that nobody reads, two requests that the gateway applied
    assert retention.forget_statistics([], kept_us=HOUR_US, limit=9) == 2
    assert store.read_stream(ORDERS, after=2, limit=9) == [message(ORDERS, 3)]
    assert gateway.unpublished([EXECUTIONS, ORDERS], limit=9) == [message(ORDERS, 3)]
    assert (gateway.published_seq(EXECUTIONS), gateway.published_seq(ORDERS)) == (2, 2)


def test_old_statistics_are_forgotten_by_the_age_that_they_have_in_their_market(world: World) -> None:
    gateway, retention = world.gateway(), world.retention()
    write(gateway, gateway_commit(take_gateway(gateway), statistics=[statistics(index) for index in range(5)]))
    assert retention.forget_statistics([], kept_us=0, limit=9) == 0
    assert retention.forget_statistics([UID], kept_us=2 * MINUTE_US, limit=1) == 1
    assert retention.forget_statistics([UID], kept_us=2 * MINUTE_US, limit=9) == 1
    assert retention.forget_statistics([UID], kept_us=2 * MINUTE_US, limit=9) == 0
    assert retention.forget_statistics([UID], kept_us=0, limit=9) == 2  # the newest stays


def test_of_a_finished_run_the_end_stays_and_who_had_left_before(world: World) -> None:
    venue, retention, runs = world.venue(), world.retention(), world.runs()
    lease = venue.acquire(venue_lease(EXCHANGE), holder="v", generation=1, ttl_us=TTL_US)
    rows = [
        Progress(participant=VENUE, market_us=step, round=0, phase=Phase.VENUE_BARS, left=step == 2)
        for step in range(1, 6)
    ]
    for run in (RunId("one"), RunId("two")):
        for row in rows:
            venue.commit_venue_progress(lease, run, row)
    assert retention.forget_progress(RunId("one"), limit=2) == 2
    assert retention.forget_progress(RunId("one"), limit=9) == 1
    assert runs.progress_from(RunId("one"), market_us=0, round_no=0, phase=0, limit=9) == [rows[1], rows[4]]
    assert runs.progress_from(RunId("two"), market_us=0, round_no=0, phase=0, limit=9) == rows


def test_the_log_of_actions_is_forgotten_by_age(world: World) -> None:
    world.halts().set_halt("fleet", reason="lunch", set_by="ops")
    assert world.retention().forget_actions(kept_us=HOUR_US, limit=9) == 0
    assert world.retention().forget_actions(kept_us=0, limit=9) == 1
    assert world.actions() == []
    assert [halt.scope for halt in world.halts().active_halts()] == ["fleet"]


def test_dead_letters_of_market_data_are_forgotten_by_age_and_those_that_bear_money_stay(world: World) -> None:
    gateway, retention = world.gateway(), world.retention()

    def letter(topic: str) -> DeadLetter:
        return DeadLetter(topic=topic, stream=ORDERS, seq=0, key="key", reason="why", payload=b"payload")

    write(gateway, gateway_commit(take_gateway(gateway), dead_letters=[letter("trading.orders")]))
    world.dead_letters().put_aside([letter("market.ohlc.stable"), letter("market.ticker")])
    assert retention.forget_dead_letters(kept_us=HOUR_US, limit=9) == 0
    assert retention.forget_dead_letters(kept_us=0, limit=1) == 1
    assert retention.forget_dead_letters(kept_us=0, limit=9) == 1
    assert retention.forget_dead_letters(kept_us=0, limit=9) == 0


def test_consumers_are_listed_with_their_streams(world: World) -> None:
    retention = world.retention()
    retention.register_consumer(gateway_lease(ACCOUNT), [ORDERS])
    retention.register_consumer(bot_lease(BOT, UID), [EXECUTIONS])
    assert retention.consumers() == {
        gateway_lease(ACCOUNT): frozenset({ORDERS}),
        bot_lease(BOT, UID): frozenset({EXECUTIONS}),
    }
    retention.remove_consumer(bot_lease(BOT, UID))
    assert retention.consumers() == {gateway_lease(ACCOUNT): frozenset({ORDERS})}
