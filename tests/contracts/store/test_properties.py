"""Properties of the store under any order of events: one epoch writes, numbers have no holes, amounts stay exact."""

import itertools
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.contracts.store.samples import (
    ACCOUNT,
    EXCHANGE,
    TTL_US,
    bar,
    bot_commit,
    entry,
    executions,
    gateway_commit,
    statistics,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import MemoryWorld, PostgresWorld, World
from tradefleet.domain.errors import Fenced, LeaseHeld, StreamGap
from tradefleet.domain.ids import BotKey, BotUid, Symbol, bars_stream, executions_stream, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.ledger import Book
from tradefleet.domain.money import from_atoms
from tradefleet.store.checks import CHUNK_INPUTS
from tradefleet.store.ports import BotStore, FeedCommit, Lease, bot_lease, feed_lease

# The world is made once for a test; each example has names of its own in it.
slow_world = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
_numbers = itertools.count()

EVENTS = st.lists(
    st.tuples(st.sampled_from(["acquire", "commit", "request", "expire", "release", "renew", "open"]), st.booleans()),
    max_size=30,
)


@dataclass
class Holder:
    """What one process believes."""

    name: str
    store: BotStore
    lease: Lease | None = None
    version: int = 0
    ordinal: int = 0
    requests: int = 0


@dataclass
class Truth:
    """What must be true of the row."""

    epoch: int = 0
    version: int = 0
    inputs: int = 0
    requests: int = 0
    holder: str = ""
    expired: bool = True
    opened: bool = False
    commits: list[int] = field(default_factory=list)


@example(events=[("acquire", False), ("open", False), ("expire", False), ("acquire", True), ("commit", False)])
@example(events=[("acquire", False), ("open", False), ("acquire", False), ("release", False), ("acquire", True)])
@slow_world
@given(events=EVENTS)
def test_only_the_newest_epoch_commits(world: World, events: list[tuple[str, bool]]) -> None:
    number = next(_numbers)
    bot, uid = BotKey(f"ns/bot-{number}"), BotUid(f"uid-{number}")
    world.register(bot, uid)
    holders = [Holder("one", _shared(world, "one")), Holder("two", _shared(world, "two"))]
    truth = Truth()
    for event, second in events:
        _step(world, holders[second], truth, event, bot, uid)
    loaded = holders[0].store.load_bot(bot, uid)
    assert (loaded is not None) == truth.opened
    if loaded is not None:
        assert (loaded.version, loaded.input_count, loaded.request_seq) == (truth.version, truth.inputs, truth.requests)
        sources, _ = holders[0].store.read_record(uid, 1, after=0, limit=1_000)
        assert len(sources) == truth.inputs
    found = holders[0].store.read_stream(orders_stream(uid), after=0, limit=1_000)
    assert [message.seq for message in found] == list(range(1, truth.requests + 1))
    assert truth.commits == sorted(truth.commits), "an older epoch committed after a newer one"


def _step(world: World, holder: Holder, truth: Truth, event: str, bot: BotKey, uid: BotUid) -> None:
    """Let one thing happen and check it against the truth."""
    if event == "expire":
        world.expire(bot_lease(bot, uid))
        truth.expired = True
    elif event == "acquire":
        _acquire(holder, truth, bot, uid)
    elif holder.lease is None:
        return
    elif event == "open":
        if holder.lease.epoch != truth.epoch:
            with pytest.raises(Fenced):
                holder.store.open_generation(holder.lease, bot=bot, uid=uid, start={})
            return
        record = holder.store.open_generation(holder.lease, bot=bot, uid=uid, start={})
        truth.version += 0 if truth.opened else 1
        truth.opened = True
        holder.version, holder.ordinal, holder.requests = record.version, record.input_count, record.request_seq
    elif event in {"commit", "request"}:
        _commit(holder, truth, bot, uid, requests=int(event == "request"))
    elif event == "release":
        holder.store.release(holder.lease)
        if holder.lease.epoch == truth.epoch:
            truth.holder, truth.expired = "", True
    elif event == "renew":
        ours = holder.lease.epoch == truth.epoch and truth.holder == holder.name
        if ours:
            holder.store.renew(holder.lease, ttl_us=TTL_US)
            truth.expired = False
        else:
            with pytest.raises(Fenced):
                holder.store.renew(holder.lease, ttl_us=TTL_US)


def _acquire(holder: Holder, truth: Truth, bot: BotKey, uid: BotUid) -> None:
    free = truth.expired or truth.holder in {"", holder.name}
    try:
        holder.lease = holder.store.acquire(bot_lease(bot, uid), holder=holder.name, generation=1, ttl_us=TTL_US)
    except LeaseHeld:
        assert not free
        return
    assert free
    truth.epoch, truth.holder, truth.expired = truth.epoch + 1, holder.name, False
    assert holder.lease.epoch == truth.epoch


def _commit(holder: Holder, truth: Truth, bot: BotKey, uid: BotUid, *, requests: int) -> None:
    assert holder.lease is not None
    if not truth.opened:
        return
    ours = holder.lease.epoch == truth.epoch and holder.version == truth.version
    commit = bot_commit(
        holder.lease,
        holder.version,
        bot=bot,
        uid=uid,
        first_ordinal=holder.ordinal,
        requests=[holder.requests + 1] if requests else [],
    )
    if ours and holder.ordinal != truth.inputs:
        return  # cannot happen to a process that loaded what it commits upon
    done = holder.store.commit_bots([commit])
    assert done == (frozenset({bot}) if ours else frozenset())
    if done:
        truth.commits.append(holder.lease.epoch)
        truth.version += 1
        truth.inputs += 1
        truth.requests += requests
        holder.version, holder.ordinal, holder.requests = truth.version, truth.inputs, truth.requests


@slow_world
@given(batches=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 4)), min_size=1, max_size=12))
def test_a_streams_numbers_have_no_holes_whatever_is_offered(world: World, batches: list[tuple[int, int]]) -> None:
    uid = BotUid(f"uid-{next(_numbers)}")
    stream = executions_stream(uid)
    store = _shared_gateway(world)
    lease = take_gateway(store)
    for offset, count in batches:
        before = store.last_seq(stream)
        loaded = store.load_gateway(ACCOUNT)
        first = before + offset
        offered = executions(range(first, first + count), uid)
        commit = gateway_commit(lease, loaded.version if loaded else 0, executions=offered)
        if offset == 1:
            write(store, commit)
        else:
            with pytest.raises(StreamGap):
                write(store, commit)
    found = store.read_stream(stream, after=0, limit=1_000)
    assert [message.seq for message in found] == list(range(1, store.last_seq(stream) + 1))
    assert store.last_seq(stream) == sum(count for offset, count in batches if offset == 1)


@slow_world
@given(batches=st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=4), min_size=1, max_size=8))
def test_a_bar_has_one_number_whatever_is_offered(world: World, batches: list[list[int]]) -> None:
    symbol = Symbol(f"S{next(_numbers)}-USD")
    stream = bars_stream(EXCHANGE, symbol, bar(0).interval_us)
    store = _shared_feed(world)
    lease = store.acquire(feed_lease("ns/candles"), holder="f", generation=1, ttl_us=TTL_US)
    known: dict[int, int] = {}
    for batch in batches:
        numbers = dict(known)
        rows = []
        for index in batch:
            numbers.setdefault(index, len(numbers) + 1)
            rows.append((stream, numbers[index], bar(index)._replace(symbol=symbol)))
        store.commit_feed(FeedCommit(lease=lease, bars=rows, exchange=EXCHANGE))
        known = numbers
    found = store.read_bars(stream, after=0, limit=100)
    assert [number for number, _ in found] == list(range(1, len(known) + 1))
    assert {row.open_us: number for number, row in found} == {bar(index).open_us: seq for index, seq in known.items()}


@slow_world
@given(sizes=st.lists(st.integers(1, 2 * CHUNK_INPUTS), min_size=1, max_size=8), data=st.data())
def test_a_record_reads_back_as_it_was_written(world: World, sizes: list[int], data: st.DataObject) -> None:
    number = next(_numbers)
    bot, uid = BotKey(f"ns/bot-{number}"), BotUid(f"uid-{number}")
    world.register(bot, uid)
    store = _shared(world, "one")
    lease = store.acquire(bot_lease(bot, uid), holder="one", generation=1, ttl_us=TTL_US)
    version = store.open_generation(lease, bot=bot, uid=uid, start={}).version
    whole = b""
    for size in sizes:
        part = bytes((len(whole) + index) % 256 for index in range(size))
        commit = bot_commit(lease, version, bot=bot, uid=uid, first_ordinal=len(whole), sources=part)
        assert store.commit_bots([commit]) == {bot}
        whole += part
        version += 1
    after = data.draw(st.integers(0, len(whole)))
    limit = data.draw(st.integers(1, len(whole) + 1))
    assert store.read_record(uid, 1, after=after, limit=limit)[0] == whole[after : after + limit]


ATOMS = st.integers(-(10**38) + 1, 10**38 - 1)


@example(atoms=10**38 - 1, scale=18)
@example(atoms=-(2**63) - 1, scale=0)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(atoms=ATOMS, scale=st.integers(0, 18))
def test_an_amount_survives_exactly_both_ways(postgres_world: PostgresWorld, atoms: int, scale: int) -> None:
    world, number = postgres_world, next(_numbers)
    bot, uid, asset = BotKey(f"ns/bot-{number}"), BotUid(f"uid-{number}"), f"A{number}"
    instrument = Instrument(
        symbol=Symbol(f"{asset}-ZZZ"), base=asset, quote="ZZZ", tick=Decimal(1), lot=Decimal(1), base_scale=scale
    )
    _handle(world, "fleets", world.fleets).put_instruments(EXCHANGE, [instrument])
    store = _shared_gateway(world)
    lease = take_gateway(store)
    loaded = store.load_gateway(ACCOUNT)
    point = statistics(0, atoms, bot=bot)
    deposit = entry(1, (Book.FREE, asset, atoms), (Book.EXTERNAL, asset, -atoms), bot=bot)
    write(
        store,
        gateway_commit(lease, loaded.version if loaded else 0, entries=[deposit], statistics=[point], uids={bot: uid}),
    )
    rows = world.admin.execute(
        "SELECT atoms, amount FROM tradefleet.readable_posting WHERE fleet = %s AND uid = %s ORDER BY line",
        (world.fleet, uid),
    ).fetchall()
    assert [int(found) for found, _ in rows] == [atoms, -atoms]
    assert [amount for _, amount in rows] == [from_atoms(atoms, scale), from_atoms(-atoms, scale)]
    row = world.admin.execute(
        "SELECT equity_atoms FROM tradefleet.statistics WHERE fleet = %s AND uid = %s", (world.fleet, uid)
    ).fetchone()
    assert row == (Decimal(atoms),)


def _shared(world: World, name: str) -> BotStore:
    """Return the handle of one of the two processes: the same in every example, since a log-in has few connections."""
    return _handle(world, name, lambda: world.bot(BotKey("ns/first"), BotUid("uid-first")))


def _shared_gateway(world: World):
    return _handle(world, "gateway", world.gateway)


def _shared_feed(world: World):
    return _handle(world, "feed", world.feed)


def _handle(world: World, name: str, make):
    assert isinstance(world, MemoryWorld | PostgresWorld)
    if name not in world.kept:
        world.kept[name] = make()
    return world.kept[name]
