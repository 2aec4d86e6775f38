"""Gateway: orders a second with durable reservations and ledger, beside the same rows written bare.

Ours is the GatewayWorker over Postgres with its own log-in and row-level security: committed requests of some bots are
read from the outbox, decoded, passed through the risk gate, their funds reserved in double entry, the orders numbered
for the venue, all of it committed (400 in a transaction), sent, and the venue's acknowledgements committed as new order
states and executions. The venue is a stub that accepts at once; publishing is left out (see `latency`).

The peer writes the very rows of such a run with the very statements (orders, ledger entries, postings, outbox, venue
requests and their settlement, state rows), with parameters made ready before, in the same transactions, pipelined: no
reading, no decoding, no decision, no fence, no halt switch. Every run has a new fleet in the same database.

Run alone: python -m bench.gateway [--quick]
"""

import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import psycopg
from governor.local.database import Database
from psycopg.abc import Params

from bench.figure import Result, interleaved, is_quick, median, seconds, spread, tell
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig, RiskLimits
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
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderRequest, OrderTerms, OrderType, Side
from tradefleet.domain.venue import (
    DepositFunds,
    ReportKind,
    SubmitOrder,
    VenueOrder,
    VenueReport,
    VenueRequest,
    untouched_order,
)
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import request_message
from tradefleet.messages.topics import EXECUTIONS, ORDERS
from tradefleet.runtime.clock import SystemClock
from tradefleet.runtime.ports import StreamItem
from tradefleet.store import schema
from tradefleet.store.components import Component
from tradefleet.store.logins import component_login, ensure_component_login
from tradefleet.store.ports import BotCommit, OutboxMessage, bot_lease
from tradefleet.store.postgres import gateway_sql, stream_sql
from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.databases import GatewayDatabase
from tradefleet.store.postgres.session import Session, Transaction
from tradefleet.store.postgres.upkeep import PostgresFleetStore
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway_plan import GatewayPlan
from workloads.exchange.gateway_worker import GatewayWorker

LIMIT: Final = 0.5
ROUNDS: Final = 5
BOTS: Final = 8
ORDERS_A_BOT: Final = 2_500
QUICK_ORDERS_A_BOT: Final = 400
REQUESTS_A_COMMIT: Final = 500
RUN_S: Final = 120.0  # a run that takes longer has gone wrong
EXCHANGE: Final = "default/sim"
ACCOUNT: Final = AccountId("default/sim:main")
BTC: Final = Instrument(
    symbol=Symbol("BTC-USD"),
    base="BTC",
    quote="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.00000001"),
    min_notional=Decimal(1),
)
BAR: Final = Bar(BTC.symbol, MINUTE_US, 1_704_067_200_000_000, 40_000.0, 40_010.0, 39_990.0, 40_000.0, 1.0)
BARS: Final = bars_stream(EXCHANGE, BTC.symbol, MINUTE_US)
WAKE: Final = StreamItem(StreamName("orders/wake"), 1)

# What a bare writer writes, too: the rows. The rest of a gateway's statements are questions and locks.
ROWS: Final = frozenset(
    {
        gateway_sql.WRITE_ORDERS,
        gateway_sql.WRITE_VENUE_REQUESTS,
        gateway_sql.SETTLE,
        gateway_sql.WRITE_ENTRIES,
        gateway_sql.WRITE_POSTINGS,
        gateway_sql.WRITE_BLOBS,
        stream_sql.WRITE_MESSAGES,
    }
)

Statements = list[tuple[str, dict[str, Any]]]


class RecordingTransaction(Transaction):
    """A transaction that notes the rows it writes."""

    def __init__(self, inner: Transaction, written: Statements) -> None:
        self._inner = inner
        self._written = written

    def run(self, query: str, params: Params | None = None) -> psycopg.Cursor[tuple[Any, ...]]:
        """Send a statement, and note it when it writes rows."""
        if query in ROWS:
            assert isinstance(params, Mapping)
            self._written.append((query, dict(params)))
        return self._inner.run(query, params)


class RecordingSession(Session):
    """A session whose transactions are noted."""

    def __init__(self, url: str, fleet: str) -> None:
        super().__init__(url, fleet=fleet)
        self.transactions: list[Statements] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that is noted once it is committed."""
        written: Statements = []
        with super().transaction() as inner:
            yield RecordingTransaction(inner, written)
        if written:
            self.transactions.append(written)


class WaitingStreams:
    """Input that waits already: the one bar, then a hint that there are requests."""

    def __init__(self) -> None:
        self._items = [StreamItem(BARS, 1, BAR)]

    def start(self, positions: Mapping[StreamName, int]) -> None:
        """Begin."""

    def poll(self, timeout_us: int) -> list[StreamItem]:  # noqa: ARG002 - nothing to wait for
        """Return the next item."""
        return [self._items.pop() if self._items else WAKE]

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        """Return nothing: this is no lockstep run."""
        return {stream: [] for stream in heads}


class AcceptingVenue:
    """Accepts every order and every deposit at once."""

    is_interrupted = False
    receive_window_us = 0

    def __init__(self) -> None:
        self._reports: list[VenueReport] = []
        self._orders: dict[ClientOrderId, SubmitOrder] = {}
        self._money: Counter[str] = Counter()
        self._no = 0

    def connect(self) -> None:
        """Be there."""

    def send(self, requests: Sequence[VenueRequest]) -> None:
        """Report each request as done."""
        for request in requests:
            self._no = request.no
            match request:
                case SubmitOrder():
                    self._orders[request.client_order_id] = request
                    self._say(ReportKind.ACCEPTED, request.client_order_id, request.market_us)
                case DepositFunds():
                    self._money[request.asset] += request.atoms
                    self._say(ReportKind.DEPOSITED, ClientOrderId(request.reference), request.market_us)

    def _say(self, kind: ReportKind, about: ClientOrderId, market_us: int) -> None:
        number = len(self._reports) + 1
        self._reports.append(VenueReport(no=number, kind=kind, client_order_id=about, market_us=market_us))

    def request_no(self) -> int | None:
        """Return the last number taken."""
        return self._no

    def query(self, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Return an order, as it was asked for."""
        found = self._orders.get(client_order_id)
        return None if found is None else untouched_order(ACCOUNT, found)

    def open_orders(self) -> list[VenueOrder]:
        """Return all orders: none of them ever trades."""
        return [untouched_order(ACCOUNT, request) for request in self._orders.values()]

    def balances(self) -> Mapping[str, tuple[int, int]]:
        """Return what was deposited."""
        return {asset: (atoms, 0) for asset, atoms in self._money.items()}

    def reports(self, since: int) -> list[VenueReport]:
        """Return the reports after `since`."""
        return self._reports[since:]


class SilentPublisher:
    """Publishes nothing."""

    def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Do nothing."""

    def announce(self, topic: str, key: str, payload: bytes) -> None:
        """Do nothing."""

    def sweep(self, streams: Sequence[StreamName]) -> None:
        """Do nothing."""

    def is_delivered(self, stream: StreamName, seq: int) -> bool:  # noqa: ARG002 - nothing is under way
        """Return that nothing waits to be delivered."""
        return True

    def serve(self) -> None:
        """Do nothing."""


class World:
    """A database in which every run gets a fleet of its own."""

    def __init__(self, url: str, orders_a_bot: int) -> None:
        self._url = url
        self._orders_a_bot = orders_a_bot
        self._admin = psycopg.connect(url, autocommit=True)
        self.recorded: list[Statements] = []

    @property
    def orders(self) -> int:
        """How many orders a run has."""
        return BOTS * self._orders_a_bot

    def new_fleet(self) -> tuple[str, str]:
        """Return the id of a new fleet and its gateway's URL."""
        fleet = uuid.uuid4().hex[:8]
        PostgresFleetStore(Session(self._url, fleet=fleet)).create_fleet()
        login = ensure_component_login(self._admin, fleet=fleet, component=Component.GATEWAY)
        parts = urlsplit(self._url)
        netloc = f"{login.role}:{quote(login.password)}@{parts.hostname}:{parts.port}"
        return fleet, parts._replace(netloc=netloc).geturl()

    def ours(self, *, record: bool = False) -> float:
        """Return the orders a second of the gateway."""
        fleet, url = self.new_fleet()
        owner = Session(self._url, fleet=fleet)
        for config in _configs():
            self._commit_requests(owner, fleet, config)
            PostgresCommandStore(owner).put_command(ACCOUNT, BotCommand(config=config))
        owner.close()
        session = RecordingSession(url, fleet) if record else Session(url, fleet=fleet)
        worker = GatewayWorker(
            _plan(),
            store=GatewayDatabase(session),
            streams=WaitingStreams(),
            venue=AcceptingVenue(),
            publisher=SilentPublisher(),
            clock=SystemClock(),
        )
        worker.start()
        took_s = seconds(lambda: self._work(worker))
        worker.stop()
        session.close()
        if isinstance(session, RecordingSession):
            self.recorded = session.transactions
        return self.orders / took_s

    def _work(self, worker: GatewayWorker) -> None:
        deadline_s = time.monotonic() + RUN_S
        while not self._is_done(worker):
            worker.step(0)
            if time.monotonic() > deadline_s:
                books = {key: account.order_count for key, account in worker.machine.accounts.items()}
                raise TimeoutError(f"{len(worker.machine.orders)} of {self.orders} orders are open; counts are {books}")

    def _is_done(self, worker: GatewayWorker) -> bool:
        """Return whether every order is open and acknowledged."""
        machine = worker.machine
        if len(machine.orders) < self.orders:
            return False
        return not any(order.open_requests for order in machine.orders.values())

    def _commit_requests(self, session: Session, fleet: str, config: BotConfig) -> None:
        """Commit a bot's requests, as its edge would have."""
        role = component_login(fleet, Component.GATEWAY)
        PostgresFleetStore(session).register_bot(config.key, config.uid, db_role=role)
        store = PostgresBotStore(session)
        lease = store.acquire(bot_lease(config.key, config.uid), holder="bench", generation=1, ttl_us=60_000_000)
        record = store.open_generation(lease, bot=config.key, uid=config.uid, start={})
        messages = [_request(config, seq) for seq in range(1, self._orders_a_bot + 1)]
        for number, first in enumerate(range(0, len(messages), REQUESTS_A_COMMIT)):
            store.commit_bots(
                [
                    BotCommit(
                        bot=config.key,
                        uid=config.uid,
                        epoch=lease.epoch,
                        version=record.version + number,
                        generation=1,
                        positions={BARS: number + 1},
                        first_ordinal=number,
                        sources=b"\x02",
                        requests=messages[first : first + REQUESTS_A_COMMIT],
                        request_count=first + REQUESTS_A_COMMIT,
                        request_hash="",
                    )
                ]
            )

    def bare(self) -> float:
        """Return the orders a second of writing the recorded rows."""
        fleet, url = self.new_fleet()
        session = Session(url, fleet=fleet)
        ready = [[(query, {**params, "fleet": fleet}) for query, params in statements] for statements in self.recorded]

        def write() -> None:
            for statements in ready:
                with session.transaction() as transaction:
                    for query, params in statements:
                        transaction.run(query, params)

        session.connection  # noqa: B018 - opened before the clock starts, as the worker's is
        took_s = seconds(write)
        session.close()
        return self.orders / took_s


def _configs() -> list[BotConfig]:
    limits = RiskLimits(max_open_orders=None, max_orders_per_minute=None, max_data_age_us=None)
    return [
        BotConfig(
            key=BotKey(f"default/bot-{number}"),
            uid=BotUid(f"uid-{number}"),
            generation=1,
            strategy="grid",
            symbols=(BTC.symbol,),
            interval_us=MINUTE_US,
            wallet={"USD": 10**9 * 10**8},
            limits=limits,
        )
        for number in range(BOTS)
    ]


def _request(config: BotConfig, seq: int) -> OutboxMessage:
    request = OrderRequest(
        bot=config.key,
        seq=seq,
        client_order_id=bot_order_id(uid_hash(config.uid), seq),
        terms=OrderTerms(
            symbol=BTC.symbol, side=Side.BUY, type=OrderType.LIMIT, lots=1_000_000, price_ticks=3_990_000 + seq % 1_000
        ),
        market_us=BAR.close_us,
    )
    return OutboxMessage(
        stream=orders_stream(config.uid),
        seq=seq,
        topic=ORDERS.name,
        key=ACCOUNT,
        market_us=BAR.close_us,
        payload=encode(request_message(request, config.uid, BTC)),
    )


def _plan() -> GatewayPlan:
    return GatewayPlan(
        config=GatewayConfig(
            account=ACCOUNT,
            instruments={BTC.symbol: BTC},
            finest_us={BTC.symbol: MINUTE_US},
            maker_ppm=1_000,
            taker_ppm=1_000,
        ),
        exchange=EXCHANGE,
        holder="bench",
        generation=1,
        executions_topic=EXECUTIONS.name,
        reports_topic="exchange.reports",
    )


def measure() -> Result:
    """Return the figure."""
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as name:
        database = Database(Path(name) / "postgres")
        database.start()
        try:
            schema.upgrade(database.dsn())
            world = World(database.dsn(), QUICK_ORDERS_A_BOT if is_quick() else ORDERS_A_BOT)
            began_s = time.perf_counter()
            world.ours(record=True)
            print(f"  recorded in {time.perf_counter() - began_s:.1f} s", file=sys.stderr, flush=True)
            rounds = 2 if is_quick() else ROUNDS
            found = interleaved(rounds, {"gateway": world.ours, "bare": world.bare})
        finally:
            database.stop()
    ratio = median(found["gateway"]) / median(found["bare"])
    transactions = len(world.recorded)
    return Result(
        name="Gateway, orders a second",
        goal=f"≥ {LIMIT}× the same rows written bare",
        found=f"{median(found['gateway']):,.0f} orders/s, {ratio:.2f}×",
        is_met=ratio >= LIMIT,
        numbers=(
            f"gateway     {spread(found['gateway'], ',.0f')} orders/s",
            f"bare rows   {spread(found['bare'], ',.0f')} orders/s",
            f"{world.orders:,} orders of {BOTS} bots, each requested, reserved, sent and acknowledged",
            f"{transactions} transactions a run, {rounds} runs each",
        ),
    )


if __name__ == "__main__":
    raise SystemExit(tell(measure()))
