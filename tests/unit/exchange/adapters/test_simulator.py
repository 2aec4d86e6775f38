"""The simulator's server and its client, over a real socket on loopback."""

from collections.abc import Iterator

import pytest

from tests.simulation.fleet import ACCOUNT, VENUE_PLACE, Fleet
from tests.simulation.scenario import Scenario
from tradefleet.domain.errors import OutcomeUnknown, Permanent
from tradefleet.domain.venue import DepositFunds
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


def deposit(number: int) -> DepositFunds:
    return DepositFunds(no=number, reference=f"deposit {number}", asset="USD", atoms=100, market_us=0)


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


def test_journal_that_fails_leaves_the_outcome_unknown(fleet: Fleet, port: int) -> None:
    venue = connected(port)
    fleet.broker.stop()
    with pytest.raises(OutcomeUnknown):
        venue.send([deposit(1)])
    assert venue.is_interrupted
