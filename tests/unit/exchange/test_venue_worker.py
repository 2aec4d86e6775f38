"""The simulator's edge: what a restart gives back, whatever was edited or lost in between."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.exchange.venue.scenes import ALICE, BTC, INSTRUMENT, buy, order_id, tick_bar
from tradefleet.bus.errors import JournalLost
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.ports import Journal
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.errors import OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import StreamName, bars_stream
from tradefleet.domain.venue import DepositFunds, SubmitOrder, VenueRequest
from tradefleet.messages.codec import decode
from tradefleet.messages.journal import JournalConfigured
from tradefleet.messages.topics import JOURNAL
from tradefleet.runtime.ports import StreamItem
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue_worker import REQUESTS_MAX, VenuePlan, VenueWorker

EXCHANGE = "fleet/simulator"
BARS = bars_stream(EXCHANGE, BTC, MINUTE_US)
PLAYED = VenueConfig(instruments=(INSTRUMENT,), intervals_us={BTC: (MINUTE_US,)})
CASH = 10**12


class Streams:
    """Brings bars of `played`, those after the position it was started at. Refuses streams that it does not read."""

    def __init__(self, played: Sequence[Bar], known: frozenset[StreamName]) -> None:
        self._played = played
        self._known = known
        self.positions: dict[StreamName, int] = {}

    def start(self, positions: Mapping[StreamName, int]) -> None:
        assert positions.keys() <= self._known
        self.positions = dict(positions)

    def poll(self, timeout_us: int) -> list[StreamItem]:
        del timeout_us
        if BARS not in self.positions:
            return []
        position, self.positions[BARS] = self.positions[BARS], len(self._played)
        return [StreamItem(BARS, seq, bar) for seq, bar in enumerate(self._played[position:], start=position + 1)]

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        raise AssertionError(heads)


class Scene:
    """An exchange whose simulator is started again and again, over one broker and one database."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broker = MemoryBroker()
        self.store = MemoryStore(MemoryDatabase(self.clock.monotonic_us))
        self.played: list[Bar] = []
        self._requests = 0
        self.create_topics()
        self.worker = self.start(PLAYED)

    def create_topics(self) -> None:
        MemoryBus(self.broker).ensure_topics([JOURNAL])

    def start(self, config: VenueConfig, *, snapshot_every: int = 1_000, exchange: str = EXCHANGE) -> VenueWorker:
        """Start another process, which takes over."""
        plan = VenuePlan(config=config, exchange=exchange, holder="slot", generation=1, snapshot_every=snapshot_every)
        known = frozenset(bars_stream(exchange, symbol, min(each)) for symbol, each in config.intervals_us.items())
        self.streams = Streams(self.played, known)
        bus = MemoryBus(self.broker)
        self.worker = VenueWorker(plan, store=self.store, streams=self.streams, bus=bus, clock=self.clock)
        self.worker.start()
        return self.worker

    def ask(self, kind: type, **fields: object) -> None:
        self._requests += 1
        request: VenueRequest = kind(no=self._requests, market_us=0, **fields)
        self.worker.receive(ALICE, [request])

    def fund(self) -> None:
        self.ask(DepositFunds, reference="cash", asset="USD", atoms=CASH)

    def close_bar(self, *ticks: int) -> None:
        """Let the next bar come."""
        self.played.append(tick_bar(len(self.played) + 1, (ticks[0], ticks[1], ticks[2], ticks[3])))
        assert self.worker.step(0)

    def trade(self, number: int, lots: int = 10) -> None:
        """Buy at the market, and let the bar come that fills it."""
        self.ask(SubmitOrder, client_order_id=order_id(number), terms=buy(lots))
        self.close_bar(100, 110, 90, 105)

    def seen(self) -> tuple[str, Mapping[str, tuple[int, int]], int]:
        """Return what the venue says of itself and of its account."""
        return self.worker.state_hash(), self.worker.balances(ALICE), self.worker.request_no(ALICE)

    def configured(self) -> list[JournalConfigured]:
        """Return the records of the journal that say what the venue is."""
        records = [decode(each.value) for each in MemoryBus(self.broker).journal(JOURNAL.name, EXCHANGE).read()]
        return [each for each in records if isinstance(each, JournalConfigured)]


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.fund()
    return scene


# --- the configuration is an input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edited",
    [
        replace(PLAYED, taker_ppm=50_000, maker_ppm=50_000),
        replace(PLAYED, slippage_ppm=100_000),
        replace(PLAYED, slippage_ticks=7),
        replace(PLAYED, participation_ppm=1),
        replace(PLAYED, intervals_us={BTC: (5 * MINUTE_US,)}),
        replace(PLAYED, instruments=(replace(INSTRUMENT, min_notional=10**9 * INSTRUMENT.tick),)),
    ],
    ids=["fees", "slippage", "ticks", "participation", "intervals", "minimum"],
)
@pytest.mark.parametrize("snapshot_every", [1, 1_000])
def test_what_is_edited_changes_nothing_of_the_past(scene: Scene, edited: VenueConfig, snapshot_every: int) -> None:
    scene.trade(1)
    scene.ask(SubmitOrder, client_order_id=order_id(2), terms=buy(5, 80))
    before = scene.worker.balances(ALICE)

    scene.start(edited, snapshot_every=snapshot_every)
    assert scene.worker.balances(ALICE) == before
    scene.worker.step(0)

    after = scene.seen()
    scene.start(edited)
    assert scene.seen() == after


def test_edited_fees_count_from_the_edit_on(scene: Scene) -> None:
    scene.start(replace(PLAYED, taker_ppm=50_000))
    free, _ = scene.worker.balances(ALICE)["USD"]

    scene.trade(1)

    notional = INSTRUMENT.notional_atoms(10, 100)
    assert scene.worker.balances(ALICE)["USD"] == (free - notional - notional // 20, 0)


def test_a_journal_opens_with_the_configuration_and_names_it_again_when_it_was_edited(scene: Scene) -> None:
    assert len(scene.configured()) == 1
    scene.start(PLAYED)
    assert len(scene.configured()) == 1
    scene.start(replace(PLAYED, taker_ppm=7))
    scene.start(PLAYED)
    assert [each.stream_seq for each in scene.configured()] == [1, 3, 4]


def test_another_market_is_refused(scene: Scene) -> None:
    with pytest.raises(Permanent, match=r"exchange fleet/simulator: .*market must stay replay, was book"):
        scene.start(replace(PLAYED, market=Market.BOOK))


# --- a market without a feed ------------------------------------------------------------------------------------------


def test_an_exchange_whose_feed_is_gone_keeps_its_accounts(scene: Scene) -> None:
    scene.trade(1)
    before = scene.worker.balances(ALICE)

    scene.start(replace(PLAYED, intervals_us={}))

    assert scene.worker.balances(ALICE) == before
    assert not scene.worker.step(0)
    scene.ask(SubmitOrder, client_order_id=order_id(2), terms=buy(5, 80))
    assert len(scene.worker.open_orders(ALICE)) == 1


@pytest.mark.parametrize("snapshot_every", [1, 1_000])
def test_a_feed_that_comes_back_goes_on_where_it_was(scene: Scene, snapshot_every: int) -> None:
    scene.trade(1)
    scene.start(replace(PLAYED, intervals_us={}), snapshot_every=snapshot_every)
    scene.worker.step(0)

    scene.start(PLAYED)

    assert scene.streams.positions == {BARS: 1}


# --- another broker ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot_every", [1, 1_000])
def test_a_wiped_broker_is_not_taken_for_an_empty_exchange(scene: Scene, snapshot_every: int) -> None:
    scene.start(PLAYED, snapshot_every=snapshot_every)
    scene.trade(1)
    scene.broker.wipe()
    scene.create_topics()

    with pytest.raises(JournalLost, match="exchange fleet/simulator: its journal is lost"):
        scene.start(PLAYED)


def test_a_topic_that_was_made_again_is_a_lost_journal(scene: Scene) -> None:
    scene.broker.delete(JOURNAL.name)
    scene.create_topics()

    with pytest.raises(JournalLost, match="its journal is lost"):
        scene.start(PLAYED)


def test_a_new_exchange_starts_on_the_new_broker(scene: Scene) -> None:
    scene.broker.wipe()
    scene.create_topics()

    assert scene.start(PLAYED, exchange="fleet/another").balances(ALICE) == {}


# --- what it is asked -------------------------------------------------------------------------------------------------


def test_whoever_has_newer_reports_is_told_nothing_of_the_past(scene: Scene) -> None:
    scene.trade(1)
    newest = scene.worker.reports(ALICE, 0)[-1].no

    assert scene.worker.reports(ALICE, newest) == []
    with pytest.raises(Retryable, match="another one keeps the journal"):
        scene.worker.reports(ALICE, newest + 1)


class ForgetfulJournal:
    """Writes what it is given and then does not know it, but for the first append."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._appends = 0
        self.read, self.close = journal.read, journal.close

    def append(self, values: Sequence[bytes]) -> list[int]:
        offsets = self._journal.append(values)
        self._appends += 1
        if self._appends > 1:
            raise OutcomeUnknown("no answer")
        return offsets


class ForgetfulBus(MemoryBus):
    def journal(self, topic: str, key: str) -> Journal:
        return ForgetfulJournal(super().journal(topic, key))


@pytest.mark.parametrize("ask", ["request_no", "reports", "query", "open_orders", "balances"])
def test_while_the_journal_may_hold_more_than_we_know_nothing_is_answered(ask: str) -> None:
    broker, clock = MemoryBroker(), FakeClock()
    MemoryBus(broker).ensure_topics([JOURNAL])
    plan = VenuePlan(config=PLAYED, exchange=EXCHANGE, holder="slot", generation=1)
    store = MemoryStore(MemoryDatabase(clock.monotonic_us))
    worker = VenueWorker(
        plan, store=store, streams=Streams([], frozenset({BARS})), bus=ForgetfulBus(broker), clock=clock
    )
    worker.start()
    order = SubmitOrder(no=1, market_us=0, client_order_id=order_id(1), terms=buy(1, 80))
    with pytest.raises(OutcomeUnknown):
        worker.receive(ALICE, [order])

    arguments = {"reports": [0], "query": [order_id(1)]}.get(ask, [])
    with pytest.raises(Retryable, match="its journal is being read"):
        getattr(worker, ask)(ALICE, *arguments)
    with pytest.raises(OutcomeUnknown):
        worker.step(0)
    worker.start()
    assert worker.request_no(ALICE) == 1


def test_a_long_batch_of_requests_is_taken_whole(scene: Scene) -> None:
    requests = [
        SubmitOrder(no=number + 1, market_us=0, client_order_id=order_id(number), terms=buy(1, 80))
        for number in range(1, 2 * REQUESTS_MAX + 7)
    ]

    scene.worker.receive(ALICE, requests)

    assert scene.worker.request_no(ALICE) == requests[-1].no
    assert len(scene.worker.open_orders(ALICE)) == len(requests)
    before = scene.seen()
    scene.start(PLAYED)
    assert scene.seen() == before
