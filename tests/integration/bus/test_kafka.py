"""Kafka under the bus's contract."""

from collections.abc import Callable, Iterator

import pytest
from governor.local.broker import Broker

from tests.contracts.bus.bus_contract import BusContract
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.ports import Bus


class TestKafkaBus(BusContract):
    @pytest.fixture
    def connect(self, broker: Broker, topic_prefix: str) -> Iterator[Callable[[], Bus]]:
        opened: list[KafkaBus] = []

        def open_one() -> Bus:
            opened.append(KafkaBus(KafkaSettings(bootstrap=broker.bootstrap, prefix=topic_prefix)))
            return opened[-1]

        yield open_one
        for bus in opened:
            bus.close()

    @pytest.fixture
    def impatient(self, broker: Broker, topic_prefix: str) -> Iterator[Bus]:
        settings = KafkaSettings(bootstrap=broker.bootstrap, prefix=topic_prefix, delivery_timeout_ms=500)
        with KafkaBus(settings) as bus:
            yield bus
