"""Numbered streams over a bus that loses, doubles and reorders, and the publisher that leaves nothing behind."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    EXCHANGE,
    SYMBOL,
    TTL_US,
    UID,
    bar,
    bot_commit,
    take_bot,
)
from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import AppendFate, Fate, MemoryBroker
from tradefleet.bus.numbered import GRACE_US, MARK_US, MESSAGES_MAX, REOPEN_US, NumberedStreams, OutboxPublisher, Place
from tradefleet.bus.ports import Source, Start
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import StreamName, Symbol, bars_stream, orders_stream
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE, ORDERS, TOPICS, market_key
from tradefleet.messages.trading import CancelRequested
from tradefleet.runtime.ports import StreamItem
from tradefleet.store.ports import FeedCommit, OutboxMessage, StreamStore, feed_lease

REQUESTS = orders_stream(UID)
OTHER_SYMBOL = Symbol("AAA-USD")
PLACES = {
    REQUESTS: Place(ORDERS.name, ACCOUNT),
    BARS: Place(OHLC_STABLE.name, market_key(EXCHANGE, SYMBOL)),
}


class Faults:
    """What becomes of the next messages; then everything arrives."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []
        self.cut_off: set[str] = set()

    def publish(self, topic: str, key: str) -> Fate:
        return self.fates.pop(0) if self.fates else Fate()

    def append(self, topic: str, key: str) -> AppendFate:
        return AppendFate.DONE

    def is_cut_off(self, client: str) -> bool:
        return client in self.cut_off


def cancel(seq: int) -> CancelRequested:
    return CancelRequested(stream=REQUESTS, stream_seq=seq, event_time_us=seq, bot=BOT, client_order_id=f"A{seq}")


def outbox(seq: int) -> OutboxMessage:
    return OutboxMessage(
        stream=REQUESTS, seq=seq, topic=ORDERS.name, key=ACCOUNT, market_us=seq, payload=encode(cancel(seq))
    )


def bar_outbox(stream: StreamName, seq: int, closed: Bar) -> OutboxMessage:
    payload = encode(bar_message(stream, seq, EXCHANGE, closed))
    place = PLACES[stream]
    return OutboxMessage(stream=stream, seq=seq, topic=place.topic, key=place.key, market_us=0, payload=payload)


class Scene:
    """A bot that commits requests and a feed that commits bars, a broker, and one who reads both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.broker = MemoryBroker(self.faults)
        self.store = MemoryStore(MemoryDatabase(self.clock.monotonic_us))
        self.writer = MemoryBus(self.broker, "writer")
        self.writer.ensure_topics(TOPICS.values())
        self.streams = self.new_reader()
        self.publisher = OutboxPublisher(self.writer, self.store, self.clock, bar_outbox)
        self._lease, _ = take_bot(self.store)
        self._feed_lease = self.store.acquire(feed_lease("ns/feed"), holder="h", generation=1, ttl_us=TTL_US)
        self._version = self.store.load_bot(BOT, UID).version
        self._ordinal = 0
        self.requests = 0
        self.bars = 0

    def new_reader(self) -> NumberedStreams:
        return NumberedStreams(
            MemoryBus(self.broker, "reader"),
            self.store,
            self.clock,
            PLACES,
            wakes=[Place(EXECUTIONS.name, BOT)],
            on_undecodable=lambda record, error: self.undecodable.append(record.value),
        )

    undecodable: list[bytes]

    def commit(self, count: int = 1) -> list[OutboxMessage]:
        """Commit requests and return them, unpublished."""
        messages = [outbox(self.requests + number) for number in range(1, count + 1)]
        self.requests += count
        commit = bot_commit(self._lease, self._version, first_ordinal=self._ordinal, request_count=self.requests)
        assert self.store.commit_bots([replace(commit, requests=messages)]) == {BOT}
        self._ordinal += len(commit.sources)
        self._version += 1
        return messages

    def commit_bars(self, count: int = 1) -> list[OutboxMessage]:
        found = [(BARS, self.bars + number, bar(self.bars + number)) for number in range(1, count + 1)]
        self.store.commit_feed(FeedCommit(lease=self._feed_lease, bars=found, exchange=EXCHANGE))
        self.bars += count
        return [bar_outbox(*each) for each in found]

    def publish(self, count: int = 1) -> None:
        self.publisher.publish(self.commit(count))

    def read(self) -> list[int]:
        """Poll once; return the numbers of the requests."""
        return [item.seq for item in self.streams.poll(0) if item.stream == REQUESTS]


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.undecodable = []
    scene.streams.start({REQUESTS: 0, BARS: 0})
    return scene


# --- reading in the order of arrival ---


def test_what_is_published_comes_with_its_payload(scene: Scene) -> None:
    scene.publish(2)
    items = scene.streams.poll(0)
    assert [(item.stream, item.seq, item.bar) for item in items] == [(REQUESTS, 1, None), (REQUESTS, 2, None)]
    assert [decode(item.payload) for item in items] == [cancel(1), cancel(2)]


def test_bars_come_as_bars(scene: Scene) -> None:
    scene.publisher.publish(scene.commit_bars(2))
    items = scene.streams.poll(0)
    assert items == [StreamItem(BARS, seq, bar(seq), market_us=bar(seq).close_us) for seq in (1, 2)]


@pytest.mark.parametrize(("of_one", "of_other"), [(3, 3), (1300, 700), (20, 1300), (0, 5)])
def test_streams_are_caught_up_with_in_the_order_of_market_time(scene: Scene, of_one: int, of_other: int) -> None:
    other = bars_stream(EXCHANGE, OTHER_SYMBOL, MINUTE_US)
    places = {**PLACES, other: Place(OHLC_STABLE.name, market_key(EXCHANGE, OTHER_SYMBOL))}
    streams = NumberedStreams(MemoryBus(scene.broker, "reader"), scene.store, scene.clock, places)
    scene.commit_bars(of_one)
    rows = [(other, seq, bar(seq)._replace(symbol=OTHER_SYMBOL)) for seq in range(1, of_other + 1)]
    scene.store.commit_feed(FeedCommit(lease=scene._feed_lease, bars=rows, exchange=EXCHANGE))
    streams.start({BARS: 0, other: 0})

    items = [item for _ in range(8) for item in streams.poll(0)]

    closes_us = [item.bar.close_us for item in items if item.bar is not None]
    assert closes_us == sorted(closes_us)
    assert [item.seq for item in items if item.stream == BARS] == [*range(1, of_one + 1)]
    assert [item.seq for item in items if item.stream == other] == [*range(1, of_other + 1)]


def test_what_was_committed_before_the_start_comes_from_the_database(scene: Scene) -> None:
    scene.commit(5)
    scene.streams.start({REQUESTS: 2, BARS: 0})
    assert scene.read() == [3, 4, 5]


def test_a_long_past_comes_in_bounded_pieces(scene: Scene) -> None:
    scene.commit(MESSAGES_MAX * 2 + 1)
    scene.streams.start({REQUESTS: 0, BARS: 0})
    pieces = [scene.read(), scene.read(), scene.read(), scene.read()]
    assert [len(piece) for piece in pieces] == [MESSAGES_MAX, MESSAGES_MAX, 1, 0]
    assert list(chain(*pieces)) == list(range(1, MESSAGES_MAX * 2 + 2))


def test_a_message_that_came_before_is_skipped(scene: Scene) -> None:
    scene.faults.fates = [Fate(copies=(0, 0)), Fate(copies=(0, 1))]
    scene.publish(2)
    assert scene.read() == [1, 2]
    scene.broker.tick()
    assert scene.read() == []


def test_a_lost_message_is_read_from_the_database_when_the_next_one_comes(scene: Scene) -> None:
    scene.faults.fates = [Fate(), Fate(copies=()), Fate(copies=())]
    scene.publish(4)
    assert scene.read() == [1, 2, 3, 4]


def test_messages_out_of_order_come_in_order(scene: Scene) -> None:
    scene.faults.fates = [Fate(copies=(2,)), Fate(copies=(1,))]
    scene.publish(3)
    assert scene.read() == [1, 2, 3]
    scene.broker.tick()
    scene.broker.tick()
    assert scene.read() == []


def test_a_message_that_nobody_committed_is_not_believed(scene: Scene) -> None:
    scene.publish(1)
    scene.writer.publish(ORDERS.name, ACCOUNT, encode(cancel(7)))
    assert scene.read() == [1]
    scene.publish(1)
    assert scene.read() == [2]


def test_rubbish_is_put_aside_and_the_rest_goes_on(scene: Scene) -> None:
    scene.writer.publish(ORDERS.name, ACCOUNT, b"rubbish")
    scene.publish(1)
    assert scene.read() == [1]
    assert scene.undecodable == [b"rubbish"]


def test_messages_of_other_streams_only_wake_up_where_that_was_asked_for(scene: Scene) -> None:
    foreign = CancelRequested(stream="orders/other", stream_seq=9, event_time_us=1, bot="x/y", client_order_id="A")
    scene.writer.publish(ORDERS.name, ACCOUNT, encode(foreign))
    assert scene.streams.poll(0) == []
    scene.writer.publish(EXECUTIONS.name, BOT, encode(foreign))
    assert scene.streams.poll(0) == [StreamItem(StreamName("orders/other"), 9)]


def test_without_a_broker_everything_comes_from_the_database(scene: Scene) -> None:
    scene.broker.stop()
    scene.streams.start({REQUESTS: 0, BARS: 0})
    assert scene.read() == []
    for number in (1, 2, 3):
        scene.commit()
        assert [*scene.read(), *scene.read()] == [number]


def test_a_broker_that_comes_back_is_used_again(scene: Scene) -> None:
    scene.faults.cut_off = {"reader"}
    scene.publish(1)
    assert [*scene.read(), *scene.read()] == [1]
    scene.faults.cut_off = set()
    scene.clock.pass_us(REOPEN_US)
    scene.read()
    scene.publish(1)
    assert scene.read() == [2]
    assert scene.clock.slept_us == [0]


def test_a_wiped_broker_loses_nothing(scene: Scene) -> None:
    scene.publish(2)
    scene.broker.wipe()
    scene.commit()
    assert sorted([*scene.read(), *scene.read()]) == [1, 2, 3]
    scene.writer.ensure_topics(TOPICS.values())
    scene.clock.pass_us(REOPEN_US)
    scene.read()
    scene.publish()
    assert scene.read() == [4]


fates = st.builds(Fate, copies=st.lists(st.integers(0, 3), max_size=2).map(tuple), acknowledged=st.booleans())
actions = st.lists(
    st.sampled_from(
        ["publish", "crash before publishing", "bar", "poll", "tick", "wipe", "cut off", "reconnect", "restart"]
    ),
    max_size=60,
)


@given(actions, st.lists(fates, max_size=60))
def test_every_stream_is_whole_and_in_order_whatever_the_bus_does(script: list[str], fate: list[Fate]) -> None:
    scene = Scene()
    scene.undecodable = []
    scene.faults.fates = fate
    scene.streams.start({REQUESTS: 0, BARS: 0})
    found: dict[StreamName, list[int]] = {REQUESTS: [], BARS: []}

    def poll() -> None:
        for item in scene.streams.poll(0):
            found[item.stream].append(item.seq)

    for action in script:
        match action:
            case "publish":
                scene.publish(2)
            case "crash before publishing":
                scene.commit()
            case "bar":
                scene.publisher.publish(scene.commit_bars())
            case "poll":
                poll()
            case "tick":
                scene.broker.tick()
            case "wipe":
                scene.broker.wipe()
                scene.writer.ensure_topics(TOPICS.values())
            case "cut off":
                scene.faults.cut_off = {"reader"}
            case "reconnect":
                scene.faults.cut_off = set()
                scene.clock.pass_us(REOPEN_US)
            case "restart":
                scene.streams = scene.new_reader()
                scene.streams.start({stream: len(seqs) for stream, seqs in found.items()})
        for seqs in found.values():
            assert seqs == list(range(1, len(seqs) + 1))
    scene.streams.start({stream: len(seqs) for stream, seqs in found.items()})
    for _ in range(3):
        poll()
    assert found == {REQUESTS: list(range(1, scene.requests + 1)), BARS: list(range(1, scene.bars + 1))}


# --- reading what a lockstep run told of ---


def seqs(found: dict[StreamName, list[StreamItem]]) -> dict[StreamName, list[int]]:
    return {stream: [item.seq for item in items] for stream, items in found.items()}


def test_until_returns_what_is_named_and_keeps_the_rest(scene: Scene) -> None:
    scene.streams.poll(0)
    scene.publish(3)
    assert seqs(scene.streams.until({REQUESTS: 2})) == {REQUESTS: [1, 2]}
    assert seqs(scene.streams.until({REQUESTS: 3})) == {REQUESTS: [3]}
    assert seqs(scene.streams.until({REQUESTS: 3, BARS: 0})) == {REQUESTS: [], BARS: []}


def test_until_asks_the_database_for_what_the_bus_does_not_bring(scene: Scene) -> None:
    scene.streams.poll(0)
    scene.commit(2)
    scene.publisher.publish(scene.commit_bars(2))

    class Ticking(FakeClock):
        """Each look takes a while, so that the moment the bus is given passes."""

        def monotonic_us(self) -> int:
            self.now_us += GRACE_US // 3
            return self.now_us

    scene.streams._clock = Ticking()
    assert seqs(scene.streams.until({REQUESTS: 2, BARS: 2})) == {REQUESTS: [1, 2], BARS: [1, 2]}


class NoDatabase(StreamStore):
    """Stands where the database must not be asked any more."""

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        pytest.fail(f"the database was asked for {stream}")

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        pytest.fail(f"the database was asked for {stream}")


def test_until_reads_ahead_what_was_published_before_it_listened(scene: Scene) -> None:
    scene.publisher.publish(scene.commit_bars(5))
    scene.streams.start({REQUESTS: 0, BARS: 0})
    assert seqs(scene.streams.until({BARS: 1})) == {BARS: [1]}
    scene.streams._store = NoDatabase()
    assert seqs(scene.streams.until({BARS: 4})) == {BARS: [2, 3, 4]}
    scene.publisher.publish(scene.commit_bars(1))
    assert seqs(scene.streams.until({BARS: 6})) == {BARS: [5, 6]}


def test_until_uses_a_broker_that_came_back(scene: Scene) -> None:
    scene.streams.poll(0)
    scene.broker.stop()
    scene.commit(1)
    assert seqs(scene.streams.until({REQUESTS: 1})) == {REQUESTS: [1]}
    scene.broker.start()
    scene.clock.pass_us(REOPEN_US)
    scene.commit(1)
    assert seqs(scene.streams.until({REQUESTS: 2})) == {REQUESTS: [2]}
    scene.streams._store = NoDatabase()
    scene.publish(1)
    assert seqs(scene.streams.until({REQUESTS: 3})) == {REQUESTS: [3]}


def test_until_works_without_a_broker(scene: Scene) -> None:
    scene.broker.stop()
    scene.streams.start({REQUESTS: 0, BARS: 0})
    scene.commit(2)
    assert seqs(scene.streams.until({REQUESTS: 2})) == {REQUESTS: [1, 2]}


# --- publishing ---


def published(scene: Scene) -> list[int]:
    """The numbers that reached the topic, in the order of arrival."""
    reader = MemoryBus(scene.broker).reader([Source(topic=ORDERS.name, start=Start.BEGINNING)])
    return [decode(record.value).stream_seq for record in reader.poll(100_000, 0)]


def serve_after_a_while(scene: Scene) -> None:
    scene.clock.pass_us(MARK_US)
    scene.publisher.serve()


def test_the_mark_follows_what_was_delivered(scene: Scene) -> None:
    scene.publish(3)
    serve_after_a_while(scene)
    assert scene.store.published_seq(REQUESTS) == 3


def test_the_mark_stays_before_a_message_that_failed_and_it_is_sent_again(scene: Scene) -> None:
    scene.publish(1)
    serve_after_a_while(scene)
    scene.faults.fates = [Fate(copies=(), acknowledged=False)]
    scene.publish(2)
    assert published(scene) == [1, 3]
    assert scene.store.published_seq(REQUESTS) == 1
    serve_after_a_while(scene)
    assert published(scene) == [1, 3, 2, 3]
    serve_after_a_while(scene)
    assert scene.store.published_seq(REQUESTS) == 3


def test_a_late_answer_to_an_earlier_copy_does_not_hide_a_message_that_failed(scene: Scene) -> None:
    lost, arrives = Fate(copies=(), acknowledged=False), Fate()
    scene.publish(1)
    serve_after_a_while(scene)
    scene.faults.fates = [lost]
    scene.publish(1)
    scene.faults.cut_off = {"writer"}
    scene.publish(2)
    serve_after_a_while(scene)  # all three are sent again, behind the two that wait
    scene.faults.cut_off = set()
    scene.faults.fates = [arrives, arrives, lost]
    serve_after_a_while(scene)
    serve_after_a_while(scene)
    assert published(scene) == [1, 3, 4, 3, 4, 2, 3, 4]  # the mark stayed before the second: it was sent once more
    serve_after_a_while(scene)
    assert scene.store.published_seq(REQUESTS) == 4


def test_what_a_crashed_writer_left_is_published_by_the_next_one(scene: Scene) -> None:
    scene.publish(2)
    serve_after_a_while(scene)
    scene.commit(2)
    OutboxPublisher(scene.writer, scene.store, scene.clock).sweep([REQUESTS])
    assert published(scene) == [1, 2, 3, 4]


def test_more_than_one_piece_is_left_and_all_of_it_is_published(scene: Scene) -> None:
    count = 2 * MESSAGES_MAX + 3
    scene.commit(count)
    scene.publisher.sweep([REQUESTS])
    assert published(scene) == list(range(1, count + 1))
    serve_after_a_while(scene)
    assert scene.store.published_seq(REQUESTS) == count


def test_bars_that_were_left_are_encoded_and_published(scene: Scene) -> None:
    count = MESSAGES_MAX + 3
    scene.commit_bars(count)
    scene.publisher.sweep([BARS])
    scene.streams.start({REQUESTS: 0, BARS: 0})
    reader = MemoryBus(scene.broker).reader([Source(topic=OHLC_STABLE.name, start=Start.BEGINNING)])
    assert [decode(record.value).stream_seq for record in reader.poll(100_000, 0)] == list(range(1, count + 1))


@pytest.mark.parametrize("back", [lambda scene: scene.broker.start()])
def test_a_broker_that_is_away_delays_and_loses_nothing(scene: Scene, back: Callable[[Scene], None]) -> None:
    scene.broker.stop()
    scene.publish(3)
    serve_after_a_while(scene)
    assert scene.store.published_seq(REQUESTS) == 0
    back(scene)
    serve_after_a_while(scene)
    serve_after_a_while(scene)
    assert published(scene) == [1, 2, 3]
    assert scene.store.published_seq(REQUESTS) == 3
