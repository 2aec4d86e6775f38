"""What a simulator does with requests that know more of the market than it does itself, in a free run."""

from collections.abc import Mapping

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.exchange.venue.scenes import ALICE, BOB, BTC, INSTRUMENT, buy, order_id, tick_bar
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import AccountId, StreamName, bars_stream
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    ReportKind,
    SubmitOrder,
    VenueRequest,
    VoidRequest,
)
from tradefleet.messages.topics import JOURNAL
from tradefleet.runtime.ports import StreamItem
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue_worker import POLLS_MAX, VenuePlan, VenueWorker

EXCHANGE = "fleet/simulator"
BARS = bars_stream(EXCHANGE, BTC, MINUTE_US)
PLAYED = VenueConfig(instruments=(INSTRUMENT,), intervals_us={BTC: (MINUTE_US,)})
CASH = 10**12


def closed_us(number: int) -> int:
    """Return the market time at which bar `number` has closed."""
    return (number + 1) * MINUTE_US


def bar(number: int, open_ticks: int = 100) -> Bar:
    """Return a bar that opens there, and reaches from 50 to 200."""
    return tick_bar(number, (open_ticks, 200, 50, 150))


class Streams:
    """Brings what was put into `arrived`, all of it at the next poll."""

    def __init__(self) -> None:
        self.arrived: list[Bar] = []
        self._seq = 0

    def start(self, positions: Mapping[StreamName, int]) -> None:
        self._seq = positions[BARS]

    def poll(self, timeout_us: int) -> list[StreamItem]:
        del timeout_us
        arrived, self.arrived = self.arrived, []
        items = [StreamItem(BARS, self._seq + place, each) for place, each in enumerate(arrived, start=1)]
        self._seq += len(items)
        return items

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        raise AssertionError(heads)


class Scene:
    """A simulator in a free run that has seen bar 1, with a funded account."""

    def __init__(self) -> None:
        clock, broker = FakeClock(), MemoryBroker()
        MemoryBus(broker).ensure_topics([JOURNAL])
        store = MemoryStore(MemoryDatabase(clock.monotonic_us))
        self.streams = Streams()
        plan = VenuePlan(config=PLAYED, exchange=EXCHANGE, holder="slot", generation=1)
        self.worker = VenueWorker(plan, store=store, streams=self.streams, bus=MemoryBus(broker), clock=clock)
        self.worker.start()
        for account in (ALICE, BOB):
            self.worker.receive(account, [DepositFunds(no=1, reference="cash", asset="USD", atoms=CASH, market_us=0)])
        self.play(bar(1))

    def play(self, *bars: Bar) -> None:
        """Let bars come in one poll."""
        self.streams.arrived += bars
        self.worker.step(0)

    def submit(self, no: int, decided_after: int, price_ticks: int | None = None) -> None:
        """Send an order that was decided when that bar had closed. Its number is that of the request."""
        self.receive(
            SubmitOrder(
                no=no,
                client_order_id=order_id(no),
                terms=buy(5, price_ticks),
                market_us=0,
                decided_us=closed_us(decided_after),
            )
        )

    def receive(self, *requests: VenueRequest) -> None:
        self.worker.receive(ALICE, requests)

    def fills(self) -> list[tuple[int, int]]:
        """Return market time and price of every trade."""
        reports = self.worker.reports(ALICE, 1)
        return [(each.market_us, each.trade.price_ticks) for each in reports if each.trade is not None]

    def kinds(self) -> list[ReportKind]:
        """Return what was reported but deposits."""
        return [each.kind for each in self.worker.reports(ALICE, 1)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_order_of_now_is_taken_at_once(scene: Scene) -> None:
    scene.submit(2, decided_after=1)
    assert scene.kinds() == [ReportKind.ACCEPTED]


def test_an_order_that_is_ahead_enters_after_the_bar_it_was_decided_on(scene: Scene) -> None:
    scene.submit(2, decided_after=3)
    assert scene.kinds() == []

    scene.play(bar(2, 102), bar(3, 103), bar(4, 104), bar(5, 105))

    assert scene.fills() == [(closed_us(4), 104)]


def test_an_order_decided_where_no_bar_closed_meets_the_first_one_after(scene: Scene) -> None:
    scene.submit(2, decided_after=3)
    scene.play(bar(2, 102), bar(5, 105), bar(6, 106))
    assert scene.fills() == [(closed_us(5), 105)]


@pytest.mark.parametrize("later", [CancelOrder, AmendOrder])
def test_what_is_asked_of_an_order_does_not_spare_it_the_bars_until_then(
    scene: Scene, later: type[CancelOrder | AmendOrder]
) -> None:
    scene.submit(2, decided_after=1, price_ticks=60)
    scene.receive(later(no=3, client_order_id=order_id(2), market_us=0, decided_us=closed_us(2)))

    scene.play(bar(2))

    assert scene.fills() == [(closed_us(2), 60)]


def test_a_cancel_comes_before_the_bar_after_its_decision(scene: Scene) -> None:
    scene.submit(2, decided_after=1, price_ticks=60)
    scene.receive(CancelOrder(no=3, client_order_id=order_id(2), market_us=0, decided_us=closed_us(2)))

    scene.play(tick_bar(2, (100, 200, 70, 150)), bar(3))

    assert scene.fills() == []
    assert scene.kinds() == [ReportKind.ACCEPTED, ReportKind.CANCELED]


def test_requests_keep_their_order_and_others_do_not_wait_for_them(scene: Scene) -> None:
    scene.submit(2, decided_after=3)
    scene.submit(3, decided_after=1)
    scene.worker.receive(
        BOB, [SubmitOrder(no=2, client_order_id=order_id(2), terms=buy(1), market_us=0, decided_us=closed_us(1))]
    )

    assert scene.kinds() == []
    assert len(scene.worker.open_orders(BOB)) == 1
    scene.play(bar(2), bar(3))
    assert [order.client_order_id for order in scene.worker.open_orders(ALICE)] == [order_id(2), order_id(3)]


def test_what_waits_counts_as_arrived(scene: Scene) -> None:
    scene.submit(2, decided_after=3, price_ticks=60)
    scene.receive(VoidRequest(no=3))

    assert scene.worker.request_no(ALICE) == 3
    found = scene.worker.query(ALICE, order_id(2))
    assert found is not None
    assert (found.is_open, found.lots, found.filled_lots, found.price_ticks) == (True, 5, 0, 60)
    assert scene.worker.query(ALICE, order_id(3)) is None


def test_a_request_does_not_wait_for_bars_that_do_not_come(scene: Scene) -> None:
    scene.submit(2, decided_after=3)
    scene.play()
    assert scene.kinds() == [ReportKind.ACCEPTED]

    scene.play(bar(2, 102), bar(3, 103))  # they come after all, and are known to whoever decided
    assert scene.fills() == []
    scene.play(bar(4, 104))
    assert scene.fills() == [(closed_us(4), 104)]


def test_a_time_that_never_comes_holds_an_account_up_for_a_while_only(scene: Scene) -> None:
    scene.submit(2, decided_after=10**6)
    scene.submit(3, decided_after=1)
    for number in range(2, POLLS_MAX + 1):
        scene.play(bar(number))
        assert scene.kinds() == []

    scene.play(bar(POLLS_MAX + 1))

    assert scene.kinds() == [ReportKind.ACCEPTED, ReportKind.ACCEPTED]
    scene.play(bar(POLLS_MAX + 2, 107))
    assert scene.fills() == [(closed_us(POLLS_MAX + 2), 107)]


def test_a_restart_keeps_what_waits(scene: Scene) -> None:
    scene.submit(2, decided_after=2)
    scene.worker.start()

    assert scene.worker.request_no(ALICE) == 2
    scene.play(bar(2), bar(3, 103))
    assert scene.fills() == [(closed_us(3), 103)]


def test_accounts_that_the_venue_does_not_know_wait_alike(scene: Scene) -> None:
    stranger = AccountId("fleet/simulator:new")
    request = SubmitOrder(no=1, client_order_id=order_id(1), terms=buy(1), market_us=0, decided_us=closed_us(2))
    scene.worker.receive(stranger, [request])
    assert scene.worker.request_no(stranger) == 1
    scene.play(bar(2))
    assert [each.kind for each in scene.worker.reports(stranger, 0)] == [ReportKind.ACCEPTED]
