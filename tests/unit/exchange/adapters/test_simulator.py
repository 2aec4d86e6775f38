"""The simulator's server and its client, over a real socket on loopback."""

import socket
import struct
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.simulation.fleet import ACCOUNT, VENUE_PLACE, Fleet
from tests.simulation.scenario import SYMBOLS, Scenario
from tradefleet.domain.errors import InvalidValue, OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.orders import OrderTerms, OrderType, Side
from tradefleet.domain.venue import DepositFunds, ReportKind, SubmitOrder
from workloads.exchange.adapters.server import VenueServer
from workloads.exchange.adapters.simulator import SimulatorVenue
from workloads.exchange.venue_worker import VenueWorker

KEY = "the account's key"


@pytest.fixture
def fleet() -> Fleet:
    chosen = Scenario(
        seed=1, lockstep=False, meddles=False, keeps_numbers=True, bars=2, bots=1, rate=0.0, fault_ticks=0
    )
    return Fleet(chosen, lambda briefly: None)


@pytest.fixture
def worker(fleet: Fleet) -> VenueWorker:
    process = fleet.processes[VENUE_PLACE]
    worker, _ = process.make(process)
    assert isinstance(worker, VenueWorker)
    worker.start()
    return worker


@pytest.fixture
def port(worker: VenueWorker) -> Iterator[int]:
    server = VenueServer(worker, host="127.0.0.1", port=0, tokens={ACCOUNT: KEY})
    server.start()
    yield server.port
    server.stop()


def connected(port: int, token: str = KEY) -> SimulatorVenue:
    venue = SimulatorVenue("127.0.0.1", port, account=ACCOUNT, token=token, timeout_us=5_000_000)
    venue.connect()
    return venue


def deposit(number: int, *, atoms: int = 100, reference: str = "deposit") -> DepositFunds:
    return DepositFunds(no=number, reference=f"{reference} {number}", asset="USD", atoms=atoms, market_us=0)


def bid(number: int) -> SubmitOrder:
    terms = OrderTerms(symbol=SYMBOLS[0], side=Side.BUY, type=OrderType.LIMIT, lots=1, price_ticks=1)
    return SubmitOrder(no=number, client_order_id=ClientOrderId(f"BOT{number:029}"), terms=terms, market_us=0)


def test_requests_arrive_and_are_reported(port: int) -> None:
    venue = connected(port)
    venue.send([deposit(1)])
    assert venue.request_no() == 1
    assert [report.no for report in venue.reports(0)] == [1]
    venue.close()


def test_wrong_key_is_refused_for_good(port: int) -> None:
    with pytest.raises(Permanent, match="the key is not its own"):
        connected(port, token="another key")


def test_older_connection_cannot_send_after_a_newer_one_signed_in(port: int) -> None:
    older, newer = connected(port), connected(port)
    with pytest.raises(OutcomeUnknown):
        older.send([deposit(1)])
    assert older.is_interrupted
    assert newer.request_no() == 0
    newer.send([deposit(1)])
    assert newer.request_no() == 1
    newer.close()


def test_requests_that_wait_for_their_turn_have_arrived() -> None:
    chosen = Scenario(seed=1, lockstep=True, meddles=False, keeps_numbers=True, bars=2, bots=1, rate=0.0, fault_ticks=0)
    process = Fleet(chosen, lambda briefly: None).processes[VENUE_PLACE]
    worker, _ = process.make(process)
    assert isinstance(worker, VenueWorker)
    worker.start()
    worker.receive(ACCOUNT, [deposit(1), deposit(2), deposit(4)])
    assert worker.request_no(ACCOUNT) == 2  # else number 2 would be taken back, or sent again as something else
    worker.receive(ACCOUNT, [deposit(3)])
    assert worker.request_no(ACCOUNT) == 4


def test_journal_that_fails_leaves_the_outcome_unknown(fleet: Fleet, port: int) -> None:
    venue = connected(port)
    fleet.broker.stop()
    with pytest.raises(OutcomeUnknown):
        venue.send([deposit(1)])
    assert venue.is_interrupted


def test_amounts_beyond_64_bits_arrive_as_they_are(port: int) -> None:
    venue = connected(port)
    venue.send([deposit(1, atoms=10**22)])
    assert venue.balances() == {"USD": (10**22, 0)}
    (report,) = venue.reports(0)
    assert report.kind is ReportKind.DEPOSITED
    venue.close()


def test_more_than_a_frame_holds_goes_in_pages(port: int) -> None:
    venue, count = connected(port), 900
    venue.send([deposit(number, reference="x" * 10_000) for number in range(1, count + 1)])
    assert venue.request_no() == count
    assert [report.no for report in venue.reports(0)] == list(range(1, count + 1))
    venue.close()


def test_reports_stay_until_the_gateway_has_all_of_them(worker: VenueWorker, port: int) -> None:
    venue, count = connected(port), 900
    venue.send([deposit(number, reference="x" * 10_000) for number in range(1, count + 1)])
    venue.reports(0)
    assert len(worker.reports(ACCOUNT, 1)) == count - 1
    venue.close()


def test_open_orders_come_in_pages_too(port: int) -> None:
    venue, count = connected(port), 50_000
    venue.send([deposit(1, atoms=10**12)])
    for first in range(2, count + 2, 1_000):
        venue.send([bid(number) for number in range(first, first + 1_000)])
    found = venue.open_orders()
    assert {order.client_order_id for order in found} == {bid(number).client_order_id for number in range(2, count + 2)}
    assert len(found) == count
    venue.close()


def test_call_that_no_frame_holds_is_refused_before_anything_is_sent(port: int) -> None:
    venue = connected(port)
    with pytest.raises(InvalidValue, match="at most 8388608"):
        venue.send([deposit(1, reference="x" * 9_000_000)])
    assert venue.request_no() == 0
    venue.close()


@pytest.mark.parametrize("answer", [struct.pack(">I", 2**31), struct.pack(">I", 4) + b"what"])
def test_answer_that_cannot_be_read_ends_the_connection(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        venue = SimulatorVenue("127.0.0.1", other.getsockname()[1], account=ACCOUNT, token=KEY, timeout_us=5_000_000)
        other.setblocking(True)
        with pytest.raises(Retryable, match="the answer to sign_in cannot be read"):
            _connect_to(other, venue, answer)
        assert venue.is_interrupted


def _connect_to(other: socket.socket, venue: SimulatorVenue, answer: bytes) -> None:
    """Connect `venue` to a server that says `answer`, whatever it is asked."""

    def serve() -> None:
        connection, _ = other.accept()
        connection.recv(65_536)
        connection.sendall(answer)
        connection.close()

    thread = Thread(target=serve)
    thread.start()
    try:
        venue.connect()
    finally:
        thread.join(5.0)
