"""The edge of a replaying feed: what it skips of its source when it comes back, and what it refuses."""

from collections.abc import Iterable, Sequence

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import StreamName, Symbol, bars_stream
from tradefleet.domain.progress import FEED, GATEWAY, VENUE
from tradefleet.store.ports import OutboxMessage, RunId
from workloads.backtest.engine import steps
from workloads.feeds.errors import PlayedBefore, SourceChanged
from workloads.feeds.worker import STEPS_A_COMMIT, FeedPlan, FeedWorker

EXCHANGE = "fleet/simulator"
BTC, LTC = Symbol("BTC-USD"), Symbol("LTC-USD")
BARS = bars_stream(EXCHANGE, BTC, MINUTE_US)
RUN = RunId("uid-feed")


def candles(count: int, symbol: Symbol = BTC, first: int = 0) -> list[Bar]:
    return [
        Bar(symbol, MINUTE_US, number * MINUTE_US, 100.0 + number, 110.0 + number, 90.0, 100.0, 1.0)
        for number in range(first, first + count)
    ]


class Source:
    """A file of candles, as it is now."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self._bars = sorted(bars, key=lambda bar: (bar.close_us, bar.symbol))

    def steps(self) -> Iterable[tuple[int, list[Bar]]]:
        return steps(self._bars)

    def origin(self, symbol: Symbol) -> str:
        return f"candles of {symbol}.csv"


class Publisher:
    def __init__(self) -> None:
        self.sent: list[OutboxMessage] = []
        self.swept: list[StreamName] = []

    def publish(self, messages: Sequence[OutboxMessage]) -> None:
        self.sent += messages

    def announce(self, topic: str, key: str, payload: bytes) -> None:
        raise AssertionError(topic)

    def sweep(self, streams: Sequence[StreamName]) -> None:
        self.swept = list(streams)

    def serve(self) -> None: ...


class Scene:
    """A feed that is started again and again over one database."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(MemoryDatabase(self.clock.monotonic_us))

    def start(self, bars: Sequence[Bar], *, run: RunId | None = None) -> FeedWorker:
        plan = FeedPlan(
            feed="fleet/replay",
            exchange=EXCHANGE,
            holder="slot",
            generation=1,
            bars_topic="market.ohlc.stable",
            run=run,
        )
        self.publisher = Publisher()
        worker = FeedWorker(plan, store=self.store, source=Source(bars), publisher=self.publisher, clock=self.clock)
        worker.start()
        return worker

    def play(self, bars: Sequence[Bar], *, run: RunId | None = None, commits: int = 1_000) -> None:
        worker = self.start(bars, run=run)
        for _ in range(commits):
            if worker.is_finished:
                return
            worker.step(0)

    def stored(self, symbol: Symbol = BTC) -> list[Bar]:
        found = self.store.read_bars(bars_stream(EXCHANGE, symbol, MINUTE_US), after=0, limit=10_000)
        assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
        return [bar for _, bar in found]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_feed_that_comes_back_goes_on_after_the_last_bar(scene: Scene) -> None:
    scene.play(candles(200), commits=1)
    assert len(scene.stored()) == STEPS_A_COMMIT

    scene.play(candles(200))

    assert scene.stored() == candles(200)


def test_a_source_that_has_grown_goes_on(scene: Scene) -> None:
    scene.play(candles(10))
    scene.play(candles(12))

    assert scene.stored() == candles(12)


def test_a_range_that_was_cut_short_has_nothing_more_to_play(scene: Scene) -> None:
    scene.play(candles(10))

    assert scene.start(candles(5)).is_finished


def test_an_instrument_that_joins_later_begins_with_the_next_step(scene: Scene) -> None:
    scene.play(candles(10))
    scene.play([*candles(12), *candles(12, LTC)])
    assert scene.stored(LTC) == candles(2, LTC, first=10)

    scene.play([*candles(15), *candles(15, LTC)])

    assert scene.stored(BTC) == candles(15)
    assert scene.stored(LTC) == candles(5, LTC, first=10)


@pytest.mark.parametrize(
    "now",
    [
        candles(20, first=1),
        candles(10, first=1),
        candles(5, first=1),
        [*candles(5), *candles(20, first=6)],
        [*candles(9), candles(1, first=9)[0]._replace(close=101.0), *candles(10, first=10)],
    ],
    ids=["without its first bar", "and no longer", "and shorter", "without a bar in between", "with another last bar"],
)
def test_a_source_that_was_changed_is_refused(scene: Scene, now: list[Bar]) -> None:
    scene.play(candles(10))

    with pytest.raises(SourceChanged, match=r"replay: candles of BTC-USD\.csv: its 1m bar of BTC-USD was"):
        scene.start(now)

    assert scene.stored() == candles(10)


def test_a_second_source_that_was_changed_is_named(scene: Scene) -> None:
    scene.play([*candles(10), *candles(10, LTC)])

    with pytest.raises(SourceChanged, match=r"candles of LTC-USD\.csv"):
        scene.start([*candles(20), *candles(20, LTC, first=1)])


# --- lockstep ---------------------------------------------------------------------------------------------------------


def make_run(scene: Scene, run: RunId = RUN) -> None:
    scene.store.create_run(run, "fleet/replay", [FEED, VENUE, GATEWAY], {})


def test_a_lockstep_feed_that_comes_back_goes_on_with_its_run(scene: Scene) -> None:
    make_run(scene)
    scene.play(candles(200), run=RUN, commits=1)
    scene.play(candles(200), run=RUN, commits=2)

    rows = scene.store.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=1_000)
    assert [row.market_us for row in rows] == [bar.close_us for bar in candles(3 * STEPS_A_COMMIT)]


@pytest.mark.parametrize("played", [200, 100], ids=["all of it", "a part of it"])
def test_a_new_lockstep_run_over_bars_that_were_played_is_refused(scene: Scene, played: int) -> None:
    make_run(scene)
    scene.play(candles(played), run=RUN, commits=100)
    make_run(scene, RunId("uid-of-the-next"))

    with pytest.raises(PlayedBefore, match=r"feed fleet/replay: its data was played before .* speed: max"):
        scene.start(candles(200), run=RunId("uid-of-the-next"))


def test_a_lockstep_run_that_was_played_to_its_end_is_finished(scene: Scene) -> None:
    make_run(scene)
    scene.play(candles(10), run=RUN)

    assert scene.start(candles(10), run=RUN).is_finished
