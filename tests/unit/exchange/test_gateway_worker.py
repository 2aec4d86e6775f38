"""The gateway's edge in a free run: what it waits for, and what it does not."""

from collections.abc import Mapping, Sequence

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.exchange.gateway.scenes import BTC, START_US, bot_config, gateway_config
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import BotUid, ClientOrderId, StreamName, bars_stream, bot_order_id, orders_stream, uid_hash
from tradefleet.domain.orders import OrderRequest, OrderTerms, OrderType, Side
from tradefleet.domain.venue import DepositFunds, ReportKind, SubmitOrder, VenueReport, VenueRequest
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import request_message
from tradefleet.messages.convert_journal import journal_stream
from tradefleet.messages.topics import EXECUTIONS, ORDERS
from tradefleet.runtime.ports import StreamItem
from tradefleet.store.ports import BotCommit, OutboxMessage, bot_lease
from workloads.exchange.gateway_worker import REQUESTS_MAX, GatewayPlan, GatewayWorker

EXCHANGE = "default/sim"
WAIT_US = 200_000
BAR = Bar(BTC, MINUTE_US, START_US, 100.0, 101.0, 99.0, 100.0, 1.0)
WAKE = StreamItem(StreamName("orders/somebody"), 1)
CONFIG, BOT = gateway_config(), bot_config(uid=BotUid("uid-a"), wallet={"USD": 10**15})


class Streams:
    """Brings `items` once. `waited_us` are the times that the gateway was ready to wait."""

    def __init__(self) -> None:
        self.items: list[StreamItem] = []
        self.waited_us: list[int] = []

    def start(self, positions: Mapping[StreamName, int]) -> None: ...

    def poll(self, timeout_us: int) -> list[StreamItem]:
        self.waited_us.append(timeout_us)
        items, self.items = self.items, []
        return items

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        raise AssertionError(heads)


class Venue:
    """Does at once what it is asked for."""

    is_interrupted = False

    def __init__(self) -> None:
        self.said: list[VenueReport] = []
        self.taken = 0

    def connect(self) -> None: ...

    def send(self, requests: Sequence[VenueRequest]) -> None:
        for request in requests:
            self.taken = request.no
            match request:
                case SubmitOrder():
                    self._say(ReportKind.ACCEPTED, request.client_order_id)
                case DepositFunds():
                    self._say(ReportKind.DEPOSITED, ClientOrderId(request.reference))

    def _say(self, kind: ReportKind, about: ClientOrderId) -> None:
        number = len(self.said) + 1
        self.said.append(VenueReport(no=number, kind=kind, client_order_id=about, market_us=START_US))

    def request_no(self) -> int:
        return self.taken

    def reports(self, since: int) -> list[VenueReport]:
        return self.said[since:]


class Publisher:
    def publish(self, messages: Sequence[OutboxMessage]) -> None: ...

    def announce(self, topic: str, key: str, payload: bytes) -> None: ...

    def sweep(self, streams: Sequence[StreamName]) -> None: ...

    def serve(self) -> None: ...


class Scene:
    """A gateway that has opened the books of a bot and seen a bar, and has nothing to do."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.store = MemoryStore(MemoryDatabase(clock.monotonic_us), fleet="fleet")
        self.streams, self.venue = Streams(), Venue()
        self.store.register_bot(BOT.key, BOT.uid)
        self.store.put_command(CONFIG.account, BotCommand(config=BOT))
        plan = GatewayPlan(
            config=CONFIG,
            exchange=EXCHANGE,
            holder="slot",
            generation=1,
            executions_topic=EXECUTIONS.name,
            reports_topic="exchange.reports",
        )
        self.worker = GatewayWorker(
            plan, store=self.store, streams=self.streams, venue=self.venue, publisher=Publisher(), clock=clock
        )
        self.worker.start()
        self.streams.items = [StreamItem(bars_stream(EXCHANGE, BTC, MINUTE_US), 1, BAR)]
        while self.worker.step(WAIT_US):
            pass
        self.streams.waited_us.clear()

    def request(self, count: int) -> None:
        """Let the bot commit orders."""
        store = self.store
        lease = store.acquire(bot_lease(BOT.key, BOT.uid), holder="slot", generation=1, ttl_us=10**9)
        record = store.open_generation(lease, bot=BOT.key, uid=BOT.uid, start={})
        commit = BotCommit(
            bot=BOT.key,
            uid=BOT.uid,
            epoch=lease.epoch,
            version=record.version,
            generation=1,
            positions={},
            first_ordinal=0,
            sources=b"\x02",
            requests=[order(seq) for seq in range(1, count + 1)],
            request_count=count,
            request_hash="",
        )
        store.commit_bots([commit])
        self.streams.items = [WAKE]


def order(seq: int) -> OutboxMessage:
    request = OrderRequest(
        bot=BOT.key,
        seq=seq,
        client_order_id=bot_order_id(uid_hash(BOT.uid), seq),
        terms=OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.LIMIT, lots=1, price_ticks=9_900),
        market_us=BAR.close_us,
    )
    payload = encode(request_message(request, BOT.uid, CONFIG.instruments[BTC]))
    return OutboxMessage(
        stream=orders_stream(BOT.uid), seq=seq, topic=ORDERS.name, key="-", market_us=BAR.close_us, payload=payload
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_idle_gateway_waits_for_input(scene):
    assert scene.worker.step(WAIT_US) is False
    assert scene.streams.waited_us == [WAIT_US]


def test_the_venues_answer_to_what_was_sent_is_taken_without_waiting(scene):
    scene.request(1)
    scene.worker.step(WAIT_US)
    scene.worker.step(WAIT_US)
    [accepted] = scene.worker.machine.orders.values()
    assert scene.streams.waited_us == [WAIT_US, 0]
    assert accepted.status == "ACCEPTED"


def test_requests_that_did_not_fit_into_a_transaction_are_taken_without_another_hint(scene):
    scene.request(REQUESTS_MAX + 3)
    scene.worker.step(WAIT_US)
    scene.worker.step(WAIT_US)
    assert scene.streams.waited_us == [WAIT_US, 0]
    assert len(scene.worker.machine.orders) == REQUESTS_MAX + 3


def test_a_hint_of_the_simulators_journal_brings_its_reports_and_no_look_for_requests(scene):
    scene.request(1)
    scene.streams.items = [StreamItem(journal_stream(EXCHANGE), 7)]
    assert scene.worker.step(WAIT_US) is False
    assert not scene.worker.machine.orders
