"""The gateway's edge in a free run: what it waits for, and what it does not."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import GatewayRow, MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.exchange.gateway.scenes import BTC, START_US, A, B, bot_config, gateway_config
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig, Closure, DeadManSwitch, RunState
from tradefleet.domain.errors import OutcomeUnknown
from tradefleet.domain.ids import (
    AccountId,
    BotKey,
    BotUid,
    ClientOrderId,
    StreamName,
    Symbol,
    bars_stream,
    bot_order_id,
    orders_stream,
    uid_hash,
)
from tradefleet.domain.orders import (
    AmendRequest,
    BotRequest,
    CancelRequest,
    OrderRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Reason,
    Side,
)
from tradefleet.domain.venue import (
    CancelOrder,
    DepositFunds,
    Liquidity,
    ReportKind,
    SubmitOrder,
    Trade,
    VenueOrder,
    VenueReport,
    VenueRequest,
    VoidRequest,
    untouched_order,
)
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert import request_message
from tradefleet.messages.convert_journal import journal_stream
from tradefleet.messages.dead_letter import DeadLetter as DeadLetterMessage
from tradefleet.messages.topics import DEAD_LETTER, EXECUTIONS, METRICS, ORDERS
from tradefleet.messages.trading import AmendRequested, OrderRequested
from tradefleet.runtime.ports import StreamItem
from tradefleet.store.ports import (
    BotCommit,
    DeadLetter,
    GatewayCommit,
    Halt,
    Lease,
    LeaseName,
    OutboxMessage,
    bot_lease,
)
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.reconciliation import LOOKS_MAX
from workloads.exchange.gateway_figures import ANNOUNCE_US
from workloads.exchange.gateway_plan import GatewayPlan
from workloads.exchange.gateway_requests import REQUESTS_MAX
from workloads.exchange.gateway_upkeep import ABSENCE_GRACE_US, UPKEEP_US
from workloads.exchange.gateway_worker import MARKS_WAIT_US, GatewayWorker

EXCHANGE = "default/sim"
WAIT_US = 200_000
BAR = Bar(BTC, MINUTE_US, START_US, 100.0, 101.0, 99.0, 100.0, 1.0)
WAKE = StreamItem(StreamName("orders/somebody"), 1)
TERMS = OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.LIMIT, lots=1, price_ticks=9_900)
CONFIG = gateway_config()
BOT = bot_config(A, uid=BotUid("uid-a"), wallet={"USD": 10**15})
OTHER = bot_config(B, uid=BotUid("uid-b"), wallet={"USD": 10**15})


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
        self.receive_window_us: int | None = 0
        self.connected_us: list[int] = []
        self.clock = FakeClock()
        self.said: list[VenueReport] = []
        self.asked: list[VenueRequest] = []
        self.orders: dict[ClientOrderId, VenueOrder] = {}
        self.held: list[ClientOrderId] | None = None  # cancels that are not answered, while it is a list
        self.money = 0
        self.looks = 0
        self.meanwhile: Callable[[], None] = lambda: None  # happens while the gateway looks

    def connect(self) -> None:
        self.connected_us.append(self.clock.now_us)

    def send(self, requests: Sequence[VenueRequest]) -> None:
        for request in requests:
            self.asked.append(request)
            match request:
                case SubmitOrder():
                    self.orders[request.client_order_id] = untouched_order(CONFIG.account, request)
                    self._say(ReportKind.ACCEPTED, request.client_order_id)
                case CancelOrder():
                    if self.held is None:
                        self._end(request.client_order_id)
                    else:
                        self.held.append(request.client_order_id)
                case DepositFunds():
                    self.money += request.atoms
                    self._say(ReportKind.DEPOSITED, ClientOrderId(request.reference))

    def release(self) -> None:
        """Answer the cancels that were held back."""
        for order_id in self.held or []:
            self._end(order_id)

    def _end(self, order_id: ClientOrderId) -> None:
        del self.orders[order_id]
        self._say(ReportKind.CANCELED, order_id)

    def trade(self, order_id: ClientOrderId, *, lots: int) -> None:
        """Say that an order has traded."""
        trade = Trade(
            trade_id="t1", lots=lots, price_ticks=9_900, fee_atoms=0, fee_asset="USD", liquidity=Liquidity.MAKER
        )
        self._say(ReportKind.FILLED, order_id, trade=trade)

    def _say(self, kind: ReportKind, about: ClientOrderId, **details: Any) -> None:
        number = len(self.said) + 1
        self.said.append(VenueReport(no=number, kind=kind, client_order_id=about, market_us=START_US, **details))

    @property
    def submitted(self) -> list[ClientOrderId]:
        return [request.client_order_id for request in self.asked if isinstance(request, SubmitOrder)]

    @property
    def canceled(self) -> list[ClientOrderId]:
        return [request.client_order_id for request in self.asked if isinstance(request, CancelOrder)]

    def request_no(self) -> int:
        return self.asked[-1].no if self.asked else 0

    def reports(self, since: int) -> list[VenueReport]:
        return self.said[since:]

    def balances(self) -> dict[str, tuple[int, int]]:
        self.looks += 1
        self.meanwhile()
        return {"USD": (self.money, 0)}

    def open_orders(self) -> list[VenueOrder]:
        return list(self.orders.values())

    def query(self, client_order_id: ClientOrderId) -> VenueOrder | None:
        return self.orders.get(client_order_id)


class Publisher:
    def __init__(self) -> None:
        self.announced: list[str] = []  # bots whose figures were
        self.letters: list[bytes] = []
        self.delivers = True

    def publish(self, messages: Sequence[OutboxMessage]) -> None: ...

    def announce(self, topic: str, key: str, payload: bytes) -> None:
        if topic == METRICS.name:
            self.announced.append(key)
        elif topic == DEAD_LETTER.name:
            self.letters.append(payload)

    def sweep(self, streams: Sequence[StreamName]) -> None: ...

    def is_delivered(self, stream: StreamName, seq: int) -> bool:
        return self.delivers

    def serve(self) -> None: ...


class Store(MemoryStore):
    """Keeps what gateways commit. `before_sending` happens between a commit and the send that follows it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(MemoryDatabase(clock.monotonic_us), fleet="fleet")
        self.commits: list[GatewayCommit] = []
        self.before_sending: Callable[[], None] = lambda: None
        self.loses_answers = False  # to whoever takes a lease

    def acquire(self, name: LeaseName, **wishes: Any) -> Lease:
        lease = super().acquire(name, **wishes)
        if self.loses_answers:
            raise OutcomeUnknown("the connection was lost at COMMIT")
        return lease

    def _write_gateway(self, commit: GatewayCommit, row: GatewayRow) -> None:
        super()._write_gateway(commit, row)
        self.commits.append(commit)

    @contextmanager
    def sending(self, account: AccountId, bots: Sequence[BotKey]) -> Iterator[list[Halt]]:
        self.before_sending()
        with super().sending(account, bots) as halts:
            yield halts

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [letter for commit in self.commits for letter in commit.dead_letters]


class Scene:
    """A gateway that has opened the books of two bots and seen a bar, and has nothing to do."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store(self.clock)
        self.streams, self.venue, self.publisher = Streams(), Venue(), Publisher()
        self.venue.clock = self.clock
        for config in (BOT, OTHER):
            self.store.register_bot(config.key, config.uid)
            self.store.put_command(CONFIG.account, BotCommand(config=config))
        self.worker = self.make("slot")
        self.worker.start()
        self.bar(1)
        self.streams.waited_us.clear()

    def make(self, holder: str) -> GatewayWorker:
        """Return another gateway process of the account."""
        plan = GatewayPlan(
            config=CONFIG,
            exchange=EXCHANGE,
            holder=holder,
            generation=1,
            executions_topic=EXECUTIONS.name,
            reports_topic="exchange.reports",
        )
        return GatewayWorker(
            plan, store=self.store, streams=self.streams, venue=self.venue, publisher=self.publisher, clock=self.clock
        )

    def bar(self, seq: int) -> None:
        """Bring the next bar."""
        bar = BAR._replace(open_us=START_US + (seq - 1) * MINUTE_US)
        self.streams.items = [StreamItem(bars_stream(EXCHANGE, BTC, MINUTE_US), seq, bar)]
        self.rest()

    def rest(self) -> None:
        """Let the gateway work until there is nothing to do."""
        while self.worker.step(WAIT_US):
            pass

    def upkeep(self) -> None:
        """Let the gateway look at commands and halts once more."""
        self.clock.sleep_us(UPKEEP_US)
        self.rest()

    def request(self, count: int) -> None:
        """Let the bot commit orders."""
        self.commit(BOT, [order(seq) for seq in range(1, count + 1)])

    def commit(self, config: BotConfig, requests: Sequence[OutboxMessage]) -> None:
        """Let a bot commit these requests, and hint at them."""
        store = self.store
        lease = store.acquire(bot_lease(config.key, config.uid), holder="slot", generation=1, ttl_us=10**9)
        record = store.open_generation(lease, bot=config.key, uid=config.uid, start={})
        commit = BotCommit(
            bot=config.key,
            uid=config.uid,
            epoch=lease.epoch,
            version=record.version,
            generation=1,
            positions={},
            first_ordinal=record.input_count,
            sources=b"\x02",
            requests=requests,
            request_count=record.request_count + len(requests),
            request_hash="",
        )
        store.commit_bots([commit])
        self.streams.items = [WAKE]

    def command(self, config: BotConfig, **wishes: Any) -> None:
        """Let the owner want something, and the gateway look."""
        self.store.put_command(CONFIG.account, BotCommand(config=config, **wishes))
        self.upkeep()

    def account(self, config: BotConfig) -> BotAccount:
        return self.worker.machine.accounts[config.key]


def order(seq: int, config: BotConfig = BOT) -> OutboxMessage:
    order_id = bot_order_id(uid_hash(config.uid), seq)
    return message(
        config,
        OrderRequest(bot=config.key, seq=seq, client_order_id=order_id, terms=TERMS, market_us=BAR.close_us),
    )


def cancel(seq: int, of: int, config: BotConfig = BOT) -> OutboxMessage:
    order_id = bot_order_id(uid_hash(config.uid), of)
    return message(config, CancelRequest(bot=config.key, seq=seq, client_order_id=order_id, market_us=BAR.close_us))


def amend(seq: int, of: int, config: BotConfig = BOT) -> OutboxMessage:
    order_id = bot_order_id(uid_hash(config.uid), of)
    return message(
        config,
        AmendRequest(bot=config.key, seq=seq, client_order_id=order_id, symbol=BTC, market_us=BAR.close_us, lots=2),
    )


def changed(row: OutboxMessage, **changes: Any) -> OutboxMessage:
    """Return a row whose message says something else."""
    asked = decode(row.payload)
    assert isinstance(asked, OrderRequested | AmendRequested)
    return replace(row, payload=encode(msgspec.structs.replace(asked, **changes)))


def message(config: BotConfig, request: BotRequest) -> OutboxMessage:
    payload = encode(request_message(request, config.uid, CONFIG.instruments[BTC]))
    return outgoing(config, request.seq, payload)


def outgoing(config: BotConfig, seq: int, payload: bytes) -> OutboxMessage:
    return OutboxMessage(
        stream=orders_stream(config.uid), seq=seq, topic=ORDERS.name, key="-", market_us=BAR.close_us, payload=payload
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


def test_bars_are_committed_together_with_the_orders_that_answer_them(scene):
    scene.clock.sleep_us(MARKS_WAIT_US)
    scene.rest()
    committed = len(scene.store.commits)
    scene.bar(2)
    assert len(scene.store.commits) == committed
    scene.request(1)
    scene.worker.step(WAIT_US)
    [commit] = scene.store.commits[committed:]
    assert commit.positions[bars_stream(EXCHANGE, BTC, MINUTE_US)] == 2
    assert [row.request_seq for row in commit.orders] == [1]


def test_bars_that_nobody_answers_are_committed_after_a_moment(scene):
    scene.clock.sleep_us(MARKS_WAIT_US)
    scene.rest()
    committed = len(scene.store.commits)
    scene.bar(2)
    scene.bar(3)
    assert scene.streams.waited_us[-1] == MARKS_WAIT_US
    scene.clock.sleep_us(MARKS_WAIT_US)
    scene.rest()
    [commit] = scene.store.commits[committed:]
    assert commit.positions[bars_stream(EXCHANGE, BTC, MINUTE_US)] == 3
    assert len(commit.statistics) == 4  # of two bots, bar by bar


def test_a_bar_that_sets_off_an_exit_is_committed_at_once(scene):
    protected = replace(OTHER, limits=replace(OTHER.limits, stop_loss_ppm=1))
    scene.command(replace(protected, generation=2))
    scene.commit(OTHER, [order(1, OTHER)])
    scene.rest()
    scene.venue.trade(next(iter(scene.venue.orders)), lots=TERMS.lots)
    scene.rest()
    committed = len(scene.store.commits)
    low = BAR._replace(open_us=START_US + MINUTE_US, low=BAR.low / 2, close=BAR.low / 2)
    scene.streams.items = [StreamItem(bars_stream(EXCHANGE, BTC, MINUTE_US), 2, low)]
    scene.worker.step(WAIT_US)
    assert [commit.venue_requests != [] for commit in scene.store.commits[committed:]][:1] == [True]


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


# --- requests that cannot be read (rule 9) ------------------------------------------------------------------------


def spoil(scene: Scene) -> OutboxMessage:
    """Let both bots ask for orders, the second of the first bot in a language that nobody here speaks."""
    bad = outgoing(BOT, 2, b"\xc3\x01 from the future")
    scene.commit(OTHER, [order(1, OTHER), order(2, OTHER)])
    scene.commit(BOT, [order(1), bad, order(3)])
    scene.rest()
    return bad


def test_an_unreadable_request_stops_its_stream_at_its_number_and_no_other_bot(scene):
    spoil(scene)
    assert (scene.account(BOT).request_seq, scene.account(BOT).unreadable_seq) == (1, 2)
    assert scene.account(OTHER).request_seq == 2
    assert len(scene.worker.machine.orders) == 3


def test_an_unreadable_request_is_put_aside_once_as_it_was_with_the_reason(scene):
    bad = spoil(scene)
    scene.streams.items = [WAKE]
    scene.upkeep()
    (letter,) = scene.store.dead_letters
    assert (letter.topic, letter.stream, letter.seq, letter.payload) == (bad.topic, bad.stream, 2, bad.payload)
    assert letter.reason.startswith("request 2 cannot be read: ")
    assert scene.account(BOT).closures == {Closure.UNREADABLE: letter.reason}


def test_what_was_put_aside_is_in_the_topic_of_dead_letters_after_its_commit(scene):
    bad = spoil(scene)
    (payload,) = scene.publisher.letters
    letter = decode(payload)
    assert isinstance(letter, DeadLetterMessage)
    assert (letter.origin_topic, letter.origin_partition, letter.payload) == (bad.topic, -1, bad.payload)
    assert (letter.reader, letter.reason) == (f"gateway/{CONFIG.account}", scene.store.dead_letters[0].reason)


def test_a_successor_does_not_read_on_after_an_unreadable_request(scene):
    spoil(scene)
    scene.worker = scene.make("slot")
    scene.worker.start()
    scene.rest()
    assert (scene.account(BOT).request_seq, scene.account(BOT).unreadable_seq) == (1, 2)
    assert len(scene.store.dead_letters) == 1


def test_a_request_that_is_left_out_lets_the_stream_go_on(scene):
    spoil(scene)
    scene.command(BOT, skip_seq=2)
    assert (scene.account(BOT).request_seq, scene.account(BOT).closures) == (3, {})
    row = scene.store._rows.gateways[CONFIG.account]
    assert row.positions[orders_stream(BOT.uid)] == 3
    assert len(scene.store.dead_letters) == 1


def test_a_stream_that_is_reopened_is_read_again_from_the_request_that_could_not_be_read(scene):
    spoil(scene)
    scene.command(BOT, reopen_no=1)
    assert (scene.account(BOT).request_seq, scene.account(BOT).unreadable_seq) == (1, 2)
    assert [letter.seq for letter in scene.store.dead_letters] == [2, 2]


@pytest.mark.parametrize(
    "foreign",
    [order(1, OTHER), order(7)],
    ids=["another bot's", "another number's"],
)
def test_a_request_that_speaks_for_somebody_else_is_as_good_as_unreadable(scene, foreign):
    scene.commit(BOT, [outgoing(BOT, 1, foreign.payload)])
    scene.rest()
    (letter,) = scene.store.dead_letters
    assert "it says that it is request" in letter.reason
    assert (scene.account(BOT).unreadable_seq, scene.account(OTHER).request_seq) == (1, 0)
    assert not scene.worker.machine.orders


LARGE = Decimal(2**63)  # lots, and ticks
HUGE_ORDER = {"size": LARGE / 100}
HUGE_LIMIT = {"limit_price": LARGE / 100}
HUGE_STOP = {"order_type": OrderType.STOP, "limit_price": None, "trigger_price": LARGE / 100}


@pytest.mark.parametrize("changes", [HUGE_ORDER, HUGE_LIMIT, HUGE_STOP], ids=["size", "limit price", "trigger price"])
def test_an_order_that_no_column_holds_stops_its_stream_and_no_other_bot(scene, changes):
    scene.commit(OTHER, [order(1, OTHER)])
    scene.commit(BOT, [order(1), changed(order(2), **changes)])
    scene.rest()
    assert (scene.account(BOT).request_seq, scene.account(BOT).unreadable_seq) == (1, 2)
    assert "must be at most" in scene.account(BOT).closures[Closure.UNREADABLE]
    assert scene.account(OTHER).request_seq == 1


@pytest.mark.parametrize("changes", [HUGE_ORDER, HUGE_LIMIT], ids=["size", "limit price"])
def test_a_change_that_no_column_holds_stops_its_stream_and_no_other_bot(scene, changes):
    scene.commit(OTHER, [order(1, OTHER)])
    scene.commit(BOT, [order(1), changed(amend(2, 1), **changes)])
    scene.rest()
    assert (scene.account(BOT).request_seq, scene.account(BOT).unreadable_seq) == (1, 2)
    assert scene.account(OTHER).request_seq == 1


def test_unreadable_requests_do_not_hide_that_more_wait(scene):
    scene.commit(BOT, [outgoing(BOT, seq, b"?") for seq in range(1, REQUESTS_MAX + 1)])
    scene.commit(OTHER, [order(seq, OTHER) for seq in range(1, REQUESTS_MAX + 1)])
    scene.worker.step(WAIT_US)
    scene.worker.step(WAIT_US)
    assert scene.streams.waited_us == [WAIT_US, 0]
    assert scene.account(OTHER).request_seq == REQUESTS_MAX


def test_a_bot_that_asks_for_very_much_does_not_delay_the_others(scene):
    scene.commit(OTHER, [order(1, OTHER)])
    scene.rest()
    scene.commit(BOT, [order(seq) for seq in range(1, 3 * REQUESTS_MAX)])
    scene.commit(OTHER, [cancel(2, 1, OTHER)])
    scene.worker.step(WAIT_US)
    assert scene.account(OTHER).request_seq == 2
    assert scene.account(BOT).request_seq == REQUESTS_MAX - 1


def test_a_bot_that_a_report_has_closed_is_still_heard(scene):
    scene.request(1)
    scene.rest()
    (order_id,) = scene.worker.machine.orders
    scene.venue.trade(order_id, lots=7)
    scene.rest()
    assert list(scene.account(BOT).closures) == [Closure.REPORT]
    scene.commit(BOT, [order(2), cancel(3, of=1)])
    scene.rest()
    assert scene.account(BOT).request_seq == 3
    assert scene.venue.canceled == [order_id]


# --- commands that cannot be carried out --------------------------------------------------------------------------


def refusals(scene: Scene) -> dict[str, str]:
    """Return what the gateway has committed of refused commands."""
    row = scene.store._rows.gateways[CONFIG.account]
    return json.loads(row.blobs["gateway"])["refusals"]


def test_a_bot_that_cannot_be_traded_is_refused_and_its_neighbours_go_on(scene):
    scene.command(replace(BOT, wallet={"USD": 1}), state=RunState.PAUSED)
    scene.command(OTHER, state=RunState.PAUSED)
    assert scene.account(OTHER).state is RunState.PAUSED
    assert scene.account(BOT).state is RunState.RUNNING
    assert list(refusals(scene)) == [BOT.uid]
    assert "wallet cannot change" in refusals(scene)[BOT.uid]
    scene.request(1)
    scene.rest()
    assert len(scene.venue.submitted) == 1  # what it was before, it still is


def test_a_bot_that_was_never_opened_is_refused_too(scene):
    stranger = bot_config(BotKey("default/c"), uid=BotUid("uid-c"), symbols=(Symbol("DOGE-USD"),))
    scene.store.register_bot(stranger.key, stranger.uid)
    scene.command(stranger)
    assert "unknown instrument DOGE-USD" in refusals(scene)["uid-c"]
    assert list(scene.worker.machine.accounts) == [A, B]


def test_a_refusal_ends_with_its_reason(scene):
    scene.command(replace(BOT, wallet={"USD": 1}))
    scene.command(BOT)
    assert refusals(scene) == {}


# --- bots that are gone -------------------------------------------------------------------------------------------


def test_a_bot_that_was_wound_down_leaves_its_row_once_its_command_is_gone(scene):
    scene.request(1)
    scene.rest()
    scene.command(BOT, deleting=True)
    row = scene.store._rows.gateways[CONFIG.account]
    assert scene.venue.canceled == scene.venue.submitted
    assert f"bot/{BOT.uid}" in row.blobs
    scene.store.forget_command(BOT.uid)
    scene.upkeep()
    assert sorted(key for key in row.blobs if key.startswith("bot/")) == [f"bot/{OTHER.uid}"]
    assert list(scene.worker.machine.accounts) == [B]


def test_the_books_of_a_bot_stay_until_what_it_was_told_is_out(scene):
    scene.publisher.delivers = False
    scene.command(BOT, deleting=True)
    scene.store.forget_command(BOT.uid)
    scene.upkeep()
    assert list(scene.worker.machine.accounts) == [A, B]
    scene.publisher.delivers = True
    scene.upkeep()
    assert list(scene.worker.machine.accounts) == [B]


def test_figures_of_a_bot_that_is_gone_since_are_not_announced(scene):
    scene.request(1)
    scene.rest()
    scene.venue.held = []
    scene.command(BOT, deleting=True)  # its cancel has no answer yet, so bars still concern it
    scene.clock.sleep_us(UPKEEP_US - 1)
    scene.bar(2)
    scene.bar(3)  # too soon after the one before to be announced
    scene.venue.release()
    scene.rest()
    scene.store.forget_command(BOT.uid)
    scene.clock.sleep_us(1)
    scene.rest()
    assert list(scene.worker.machine.accounts) == [B]
    announced = len(scene.publisher.announced)
    scene.clock.sleep_us(ANNOUNCE_US)
    scene.bar(4)
    scene.clock.sleep_us(MARKS_WAIT_US)
    scene.rest()
    assert set(scene.publisher.announced[announced:]) == {B}


# --- looking at the venue -----------------------------------------------------------------------------------------


def pass_looks(scene: Scene, count: int) -> None:
    """Let so many looks at the venue come that follow one that differed."""
    for _ in range(count):
        scene.clock.sleep_us(scene.worker._plan.look_again_us)
        scene.upkeep()


def test_the_venue_is_looked_at_now_and_then_and_not_between(scene):
    scene.upkeep()
    looks = scene.venue.looks
    assert looks > 0
    scene.request(1)
    scene.rest()
    scene.upkeep()
    assert scene.venue.looks == looks
    scene.clock.sleep_us(scene.worker._plan.look_every_us)
    scene.upkeep()
    assert scene.venue.looks == looks + 1
    assert scene.worker.machine.own_snapshot()["reconciled_us"] == scene.clock.now_us


def test_money_that_is_missing_at_the_venue_stops_new_risk_and_a_successor_knows(scene):
    scene.upkeep()
    scene.venue.money -= 1
    scene.clock.sleep_us(scene.worker._plan.look_every_us)
    pass_looks(scene, LOOKS_MAX)
    assert "the venue has" in scene.worker.machine.mismatch
    scene.worker = scene.make("slot")
    scene.worker.start()
    scene.request(1)
    scene.rest()
    assert scene.venue.submitted == []
    scene.venue.money += 1
    pass_looks(scene, 1)
    assert scene.worker.machine.mismatch == ""


def test_a_look_during_which_something_happens_counts_for_nothing(scene):
    scene.request(1)
    scene.upkeep()
    (order_id,) = scene.venue.orders

    def ends() -> None:
        if scene.venue.orders.pop(order_id, None) is not None:
            scene.venue._say(ReportKind.EXPIRED, order_id)

    scene.venue.meanwhile = ends
    scene.clock.sleep_us(scene.worker._plan.look_every_us)
    scene.upkeep()
    assert scene.worker.machine.own_snapshot()["doubts"] == 0
    assert not scene.worker.machine.orders


def test_a_bot_in_doubt_is_looked_at_soon_and_reopened(scene):
    scene.request(1)
    scene.upkeep()
    scene.venue.trade(next(iter(scene.venue.orders)), lots=7)
    scene.rest()
    assert scene.account(BOT).closures
    pass_looks(scene, 1)
    assert scene.account(BOT).closures == {}


def test_an_order_of_somebody_else_is_counted_and_left_alone(scene):
    scene.upkeep()
    asked = SubmitOrder(no=1, client_order_id="web-1", terms=TERMS, market_us=0)
    stranger = replace(untouched_order(CONFIG.account, asked), lots=3)
    scene.venue.orders[stranger.client_order_id] = stranger
    scene.clock.sleep_us(scene.worker._plan.look_every_us)
    scene.upkeep()
    row = scene.store._rows.gateways[CONFIG.account]
    assert json.loads(row.blobs["gateway"])["external"]["web-1"]["lots"] == 3
    assert scene.venue.canceled == []


# --- successors (rule 3) ------------------------------------------------------------------------------------------


def succeed(scene: Scene, holder: str) -> int:
    """Let a successor come once the lease has run out, and work; return how long it was silent towards the venue."""
    plan = scene.worker._plan
    scene.clock.sleep_us(plan.lease_ttl_us)
    scene.worker = scene.make(holder)
    began_us = scene.clock.now_us
    scene.venue.connected_us.clear()
    scene.worker.start()
    while not scene.venue.connected_us:
        scene.worker.step(WAIT_US)
    return scene.venue.connected_us[0] - began_us


def test_a_successor_waits_until_nothing_of_its_predecessor_can_be_under_way(scene):
    scene.venue.receive_window_us = 3_000_000
    assert succeed(scene, "another") == scene.worker._plan.request_timeout_us + 3_000_000
    scene.request(1)
    scene.rest()
    assert len(scene.venue.submitted) == 1


def test_an_error_while_it_waits_does_not_shorten_the_wait(scene):
    plan = scene.worker._plan
    scene.clock.sleep_us(plan.lease_ttl_us)
    successor = scene.make("another")
    successor.start()
    scene.clock.sleep_us(1_000_000)
    scene.venue.connected_us.clear()
    began_us = scene.clock.now_us
    successor.start()
    while not scene.venue.connected_us:
        successor.step(WAIT_US)
    assert scene.venue.connected_us[0] - began_us == plan.request_timeout_us - 1_000_000


def test_the_same_holder_takes_over_at_once(scene):
    assert succeed(scene, "slot") == 0


def test_after_a_lease_that_was_given_back_nobody_waits(scene):
    scene.worker.stop()
    assert succeed(scene, "another") == 0


def test_a_lease_that_may_have_been_another_ones_is_waited_for_too(scene):
    scene.clock.sleep_us(scene.worker._plan.lease_ttl_us)
    scene.worker = scene.make("another")
    scene.store.loses_answers = True
    with pytest.raises(OutcomeUnknown):
        scene.worker.start()
    scene.store.loses_answers = False
    scene.venue.connected_us.clear()
    scene.worker.start()
    assert scene.venue.connected_us == []


def test_where_the_venue_sets_no_bound_a_successor_takes_no_risk_before_the_books_agree(scene):
    scene.venue.receive_window_us = None
    scene.venue.money -= 1
    succeed(scene, "another")
    scene.request(1)
    scene.rest()
    assert scene.worker.machine.mismatch
    assert scene.venue.submitted == []
    scene.venue.money += 1
    pass_looks(scene, 1)
    assert scene.worker.machine.mismatch == ""


# --- halts ---------------------------------------------------------------------------------------------------------


def test_a_halt_between_commit_and_send_keeps_the_order_from_the_venue(scene):
    scene.store.before_sending = lambda: scene.store.set_halt("fleet", reason="now", set_by="a person")
    scene.request(1)
    scene.rest()
    (order_id,) = {row.client_order_id for commit in scene.store.commits for row in commit.orders}
    statuses = [row.status for commit in scene.store.commits for row in commit.orders]
    assert statuses == [OrderStatus.SUBMITTED, OrderStatus.DENIED]
    assert order_id not in scene.venue.submitted
    assert isinstance(scene.venue.asked[-1], VoidRequest)  # its number goes out all the same: there is no gap
    assert scene.account(BOT).wallet.free == {"USD": 10**15}


def test_a_halt_between_commit_and_send_lets_a_cancel_pass(scene):
    scene.request(1)
    scene.rest()
    scene.store.before_sending = lambda: scene.store.set_halt("fleet", reason="now", set_by="a person")
    scene.commit(BOT, [cancel(2, of=1), order(3)])
    scene.rest()
    assert scene.venue.canceled == [bot_order_id(uid_hash(BOT.uid), 1)]
    assert scene.venue.submitted == scene.venue.canceled


# --- bots that nobody runs -----------------------------------------------------------------------------------------


WATCHED = replace(BOT, dead_man=DeadManSwitch(after_us=5 * ABSENCE_GRACE_US))


@pytest.fixture
def abandoned(scene):
    """A scene with a bot that has an order at the venue, and whose process gives its lease back."""
    scene.store.put_command(CONFIG.account, BotCommand(config=replace(WATCHED, generation=2)))
    scene.upkeep()
    scene.request(1)
    scene.rest()
    lease = scene.store.acquire(bot_lease(BOT.key, BOT.uid), holder="slot", generation=1, ttl_us=10**9)
    scene.store.release(lease)
    return scene


def test_a_bot_that_nobody_runs_loses_its_orders(abandoned):
    abandoned.clock.sleep_us(ABSENCE_GRACE_US)
    abandoned.upkeep()
    since_us = abandoned.account(BOT).absent_since_us
    assert since_us == abandoned.clock.monotonic_us()
    abandoned.clock.sleep_us(5 * ABSENCE_GRACE_US)

    abandoned.upkeep()

    (order_id,) = (request.client_order_id for request in abandoned.venue.asked if isinstance(request, CancelOrder))
    written = [row for commit in abandoned.store.commits for row in commit.orders if row.client_order_id == order_id]
    assert (written[-1].status, written[-1].reason) == (OrderStatus.CANCELED, Reason.DEAD_MAN)


def test_a_gateway_that_has_just_started_gives_the_bots_time_to_start_too(abandoned):
    abandoned.clock.sleep_us(ABSENCE_GRACE_US - 3 * UPKEEP_US)
    abandoned.upkeep()
    assert abandoned.account(BOT).absent_since_us == 0


def test_bots_without_a_switch_are_not_asked_for(scene):
    scene.store.absences = None
    scene.clock.sleep_us(2 * ABSENCE_GRACE_US)
    scene.upkeep()
