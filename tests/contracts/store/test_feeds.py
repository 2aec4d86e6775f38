"""Closed bars: gapless numbers, no bar twice, no bar with two contents."""

import pytest

from tests.contracts.store.samples import BARS, EXCHANGE, START_US, TTL_US, bar
from tests.contracts.store.worlds import World
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import BarConflict, Fenced, NonDeterministic, Permanent, StreamGap
from tradefleet.domain.ids import StreamName, Symbol, bars_stream
from tradefleet.domain.progress import FEED, Phase, Progress
from tradefleet.store.ports import FeedCommit, FeedStore, Lease, RunId, feed_lease, venue_lease

FEED_LEASE = feed_lease("ns/candles")
RUN = RunId("run-1")


def take_feed(store: FeedStore, holder: str = "feed-1") -> Lease:
    return store.acquire(FEED_LEASE, holder=holder, generation=1, ttl_us=TTL_US)


def commit(store: FeedStore, lease: Lease, *bars: tuple[StreamName, int, Bar], **more: object) -> None:
    store.commit_feed(FeedCommit(lease=lease, bars=bars, exchange=EXCHANGE, **more))  # type: ignore[arg-type]


def step(market_us: int, last: int) -> Progress:
    return Progress(participant=FEED, market_us=market_us, round=0, phase=Phase.FEED, produced={BARS: last})


def test_bars_read_back_with_their_numbers(world: World) -> None:
    store = world.feed()
    commit(store, take_feed(store), (BARS, 1, bar(0)), (BARS, 2, bar(1)), (BARS, 3, bar(2)))
    assert store.read_bars(BARS, after=0, limit=10) == [(1, bar(0)), (2, bar(1)), (3, bar(2))]
    assert store.read_bars(BARS, after=1, limit=1) == [(2, bar(1))]
    assert store.last_seq(BARS) == 3


def test_prices_survive_to_the_last_bit(world: World) -> None:
    store = world.feed()
    odd = Bar(Symbol("BTC-USD"), MINUTE_US, START_US, 0.1 + 0.2, 1e300, 5e-324, 0.30000000000000004, 2.0**-40)
    commit(store, take_feed(store), (BARS, 1, odd))
    assert store.read_bars(BARS, after=0, limit=1) == [(1, odd)]


def test_streams_of_one_commit_have_numbers_of_their_own(world: World) -> None:
    store = world.feed()
    symbol = Symbol("BTC/USDT:USDT")  # a derivative's name holds a colon
    other = bars_stream(EXCHANGE, symbol, 5 * MINUTE_US)
    long_bar = Bar(symbol, 5 * MINUTE_US, START_US, 1.0, 1.0, 1.0, 1.0, 0.0)
    commit(store, take_feed(store), (BARS, 1, bar(0)), (other, 1, long_bar), (BARS, 2, bar(1)))
    assert store.read_bars(other, after=0, limit=10) == [(1, long_bar)]
    assert store.last_seq(BARS) == 2


def test_the_same_bar_again_is_skipped(world: World) -> None:
    store = world.feed()
    lease = take_feed(store)
    commit(store, lease, (BARS, 1, bar(0)), (BARS, 2, bar(1)))
    commit(store, lease, (BARS, 2, bar(1)), (BARS, 3, bar(2)))
    commit(store, lease, (BARS, 3, bar(2)), (BARS, 3, bar(2)))
    assert store.read_bars(BARS, after=0, limit=10) == [(1, bar(0)), (2, bar(1)), (3, bar(2))]


def test_the_same_bar_with_other_content_is_a_conflict(world: World) -> None:
    store = world.feed()
    lease = take_feed(store)
    commit(store, lease, (BARS, 1, bar(0)))
    for changed in (
        [(BARS, 1, bar(0, close=7_000.75))],
        [(BARS, 2, bar(0, close=7_000.75)), (BARS, 3, bar(1))],
    ):
        with pytest.raises(BarConflict, match=f"bar {START_US} us of {BARS}"):
            commit(store, lease, *changed)
    assert store.read_bars(BARS, after=0, limit=10) == [(1, bar(0))]


def test_two_contents_in_one_commit_are_a_conflict(world: World) -> None:
    store = world.feed()
    with pytest.raises(BarConflict):
        commit(store, take_feed(store), (BARS, 1, bar(0)), (BARS, 1, bar(0, close=7_000.75)))


def test_a_bar_keeps_its_number(world: World) -> None:
    store = world.feed()
    lease = take_feed(store)
    commit(store, lease, (BARS, 1, bar(0)))
    with pytest.raises(StreamGap, match="is number 1 already"):
        commit(store, lease, (BARS, 2, bar(0)))


@pytest.mark.parametrize("numbers", [(2, 3), (1, 3), (0, 1)])
def test_numbers_that_leave_a_hole_are_refused_whole(world: World, numbers: tuple[int, int]) -> None:
    store = world.feed()
    lease = take_feed(store)
    with pytest.raises(StreamGap):
        commit(store, lease, (BARS, numbers[0], bar(0)), (BARS, numbers[1], bar(1)))
    assert store.last_seq(BARS) == 0
    assert store.read_bars(BARS, after=0, limit=10) == []
    commit(store, lease, (BARS, 1, bar(0)))


def test_an_older_epoch_writes_no_bar(world: World) -> None:
    old, new = world.feed(), world.feed()
    lease = take_feed(old)
    world.expire(lease.name)
    take_feed(new, holder="feed-2")
    with pytest.raises(Fenced, match="epoch 1 is not the newest"):
        commit(old, lease, (BARS, 1, bar(0)), run=RUN, progress=[step(START_US, 1)])
    assert new.last_seq(BARS) == 0
    assert world.runs().progress_from(RUN, market_us=0, round_no=0, phase=0, limit=10) == []


def test_a_feed_commits_with_a_feeds_lease_only(world: World) -> None:
    venue = world.venue()
    lease = venue.acquire(venue_lease(EXCHANGE), holder="v", generation=1, ttl_us=TTL_US)
    with pytest.raises(Permanent, match="a feed lease is needed"):
        commit(world.feed(), lease, (BARS, 1, bar(0)))


def test_a_bar_belongs_to_its_own_stream(world: World) -> None:
    store = world.feed()
    with pytest.raises(Permanent, match="its stream is"):
        commit(store, take_feed(store), (bars_stream(EXCHANGE, Symbol("ETH-USD"), MINUTE_US), 1, bar(0)))


def test_steps_are_written_with_their_bars(world: World) -> None:
    store = world.feed()
    lease = take_feed(store)
    commit(store, lease, (BARS, 1, bar(0)), run=RUN, progress=[step(START_US, 1)])
    commit(store, lease, (BARS, 1, bar(0)), run=RUN, progress=[step(START_US, 1)])
    assert world.runs().progress_from(RUN, market_us=0, round_no=0, phase=0, limit=10) == [step(START_US, 1)]
    with pytest.raises(NonDeterministic):
        commit(store, lease, (BARS, 2, bar(1)), run=RUN, progress=[step(START_US, 2)])
    assert store.last_seq(BARS) == 1


def test_the_published_mark_only_rises(world: World) -> None:
    store = world.feed()
    commit(store, take_feed(store), (BARS, 1, bar(0)), (BARS, 2, bar(1)))
    assert store.published_seq(BARS) == 0
    store.mark_published({BARS: 2})
    store.mark_published({BARS: 1})
    assert store.published_seq(BARS) == 2
    store.mark_published({BARS: 99})
    assert store.published_seq(BARS) == 2


def test_an_unknown_stream_is_empty(world: World) -> None:
    store = world.feed()
    assert (store.last_seq(BARS), store.published_seq(BARS), store.read_bars(BARS, after=0, limit=5)) == (0, 0, [])
