"""`tradefleet topic` against a real broker."""

import json

import pytest
import yaml
from governor.local.broker import Broker
from typer.testing import CliRunner

from tests.contracts.bus.bus_contract import FLUSH_US
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.cli.topic import app
from tradefleet.domain.errors import FleetError
from tradefleet.messages.codec import encode
from tradefleet.messages.topics import ORDERS, TOPICS
from tradefleet.messages.trading import CancelRequested


@pytest.fixture
def environment(broker: Broker, topic_prefix: str) -> dict[str, str]:
    with KafkaBus(KafkaSettings(bootstrap=broker.bootstrap, prefix=topic_prefix)) as bus:
        bus.ensure_topics([ORDERS])
        for number in range(1, 16):
            message = CancelRequested(
                stream="orders/x", stream_seq=number, event_time_us=number, bot="ns/a", client_order_id=f"A{number}"
            )
            bus.publish(ORDERS.name, "ns/sim:main", encode(message))
        bus.flush(FLUSH_US)
    return {"TRADEFLEET_KAFKA_BOOTSTRAP": broker.bootstrap, "TRADEFLEET_KAFKA_PREFIX": topic_prefix}


def run(environment: dict[str, str], *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_ten_newest_messages_are_read_as_json_lines(environment: dict[str, str]) -> None:
    lines = [json.loads(line) for line in run(environment, "read", "trading.orders").splitlines()]
    assert [line["message"]["stream_seq"] for line in lines] == list(range(6, 16))
    assert {line["type"] for line in lines} == {"CancelRequested"}


def test_messages_are_read_from_the_beginning_as_yaml(environment: dict[str, str]) -> None:
    output = run(environment, "read", "trading.orders", "--from-beginning", "-n", "2", "-o", "yaml")
    assert [document["message"]["client_order_id"] for document in yaml.safe_load_all(output)] == ["A1", "A2"]


def test_follow_ends_at_its_limit(environment: dict[str, str]) -> None:
    output = run(environment, "read", "trading.orders", "--from-beginning", "--follow", "--limit", "3")
    assert len(output.splitlines()) == 3


def test_a_key_without_messages_shows_nothing(environment: dict[str, str]) -> None:
    assert run(environment, "read", "trading.orders", "--key", "ns/other:main") == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["read", "trading.orderz"], {"TRADEFLEET_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "no topic 'trading.orderz'"),
        (["read", "trading.orders"], {}, "there is no broker to read from: start a fleet with `tradefleet up FILES`"),
        (["read", "trading.orders", "-o", "xml"], {}, "-o xml: must be one of json, yaml"),
        (["read", "trading.orders", "--broker", "127.0.0.1:1"], {}, "Kafka does not answer, asking 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    arguments: list[str], environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRADEFLEET_KAFKA_BOOTSTRAP", raising=False)
    result = CliRunner().invoke(app, arguments, env=environment)
    assert isinstance(result.exception, FleetError)
    assert message in str(result.exception)


def test_the_topics_are_listed() -> None:
    assert [topic["topic"] for topic in json.loads(run({}, "list", "-o", "json"))] == list(TOPICS)
    assert "trading.executions" in run({}, "list")
