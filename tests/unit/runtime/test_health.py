"""Health as others see it."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.fakes.clock import FakeClock
from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.domain.errors import Permanent
from tradefleet.runtime.health import PROBE_EVERY_US, Health
from tradefleet.runtime.health_server import HealthServer
from tradefleet.runtime.metrics import Metrics

BOUND_US = 60_000_000


class Broker:
    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    def probe(self) -> None:
        self.asked += 1
        if self.is_away:
            raise BrokerUnavailable("no broker answers at 127.0.0.1:9092")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(clock, outage_bound_us=BOUND_US)


def test_a_process_is_alive_while_its_loop_beats(health: Health, clock: FakeClock) -> None:
    clock.pass_us(BOUND_US)
    assert health.complaints() == []
    clock.pass_us(1_000_000)
    assert health.complaints() == ["loop: no answer for 61 s"]
    health.beat()
    assert health.complaints() == []


def test_a_broker_that_is_away_costs_liveness_after_the_bound_only(health: Health, clock: FakeClock) -> None:
    broker = Broker()
    health.watch("broker", broker.probe)
    health.set_ready(is_ready=True)
    broker.is_away = True
    clock.pass_us(PROBE_EVERY_US)
    assert health.complaints() == []
    assert health.readiness_complaints() == ["broker: no broker answers at 127.0.0.1:9092"]
    clock.pass_us(BOUND_US)
    health.beat()
    assert health.complaints() == ["broker: no answer for 62 s (no broker answers at 127.0.0.1:9092)"]


def test_a_broker_that_came_back_gives_liveness_back(health: Health, clock: FakeClock) -> None:
    broker = Broker()
    health.watch("broker", broker.probe)
    broker.is_away = True
    clock.pass_us(BOUND_US * 2)
    health.beat()
    assert health.complaints() != []
    broker.is_away = False
    clock.pass_us(PROBE_EVERY_US)
    assert health.complaints() == []


def test_a_dependency_is_not_asked_more_often_than_its_answer_is_believed(health: Health, clock: FakeClock) -> None:
    broker = Broker()
    health.watch("broker", broker.probe)
    for _ in range(10):
        health.complaints()
    assert broker.asked == 1
    clock.pass_us(PROBE_EVERY_US)
    health.complaints()
    assert broker.asked == 2


def test_a_process_that_starts_is_alive_and_not_ready(health: Health) -> None:
    assert health.complaints() == []
    assert health.readiness_complaints() == ["not ready: starting"]
    health.set_ready(is_ready=True)
    assert health.readiness_complaints() == []
    health.set_ready(is_ready=False, why_not="BrokerUnavailable: away")
    assert health.readiness_complaints() == ["not ready: BrokerUnavailable: away"]


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    server = HealthServer(health, Metrics())
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_is_served_over_http(server: HealthServer, health: Health, clock: FakeClock) -> None:
    assert get(server, "/healthz") == (200, "ok\n")
    assert get(server, "/readyz") == (503, "not ready: starting\n")
    health.set_ready(is_ready=True)
    assert get(server, "/readyz?verbose") == (200, "ok\n")
    clock.pass_us(BOUND_US + 1_000_000)
    assert get(server, "/healthz") == (503, "loop: no answer for 61 s\n")


def test_metrics_are_served_over_http(server: HealthServer) -> None:
    status, text = get(server, "/metrics")
    assert status == 200
    assert "# TYPE tradefleet_reloads_total counter" in text


def test_other_paths_are_not_found(server: HealthServer) -> None:
    assert get(server, "/")[0] == 404


def test_one_who_connects_and_says_nothing_does_not_stop_the_server(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/healthz") == (200, "ok\n")


def test_a_port_that_is_taken_is_refused_with_the_remedy(server: HealthServer, health: Health) -> None:
    with pytest.raises(Permanent, match=f"cannot listen on 127.0.0.1:{server.port}: .*name another port"):
        HealthServer(health, Metrics(), port=server.port)


def test_a_closed_server_gives_its_port_back(health: Health) -> None:
    server = HealthServer(health, Metrics())
    server.close()
    HealthServer(health, Metrics(), port=server.port).close()
