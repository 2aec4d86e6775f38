"""A broker with users: what a forged message comes to, and that everybody can do their work."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from governor.local.broker import Broker

from tests.unit.strategy.paper import BTC, bar
from tradefleet.bus.access import ADMINISTRATOR, WRITERS, grant_access
from tradefleet.bus.errors import NotDelivered
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.ports import Record, Source, Start
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.domain.ids import bars_stream
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.topics import DEAD_LETTER, EXECUTIONS, JOURNAL, OHLC_STABLE, ORDERS, TOPICS, Topic
from tradefleet.runtime.clock import SystemClock

EXCHANGE = "demo/sim"
KEY = f"{EXCHANGE}:{BTC}"
STREAM = bars_stream(EXCHANGE, BTC, MINUTE_US)
WAIT_US = 15_000_000
POLLS_MAX = 40

Open = Callable[[str], KafkaBus]


@pytest.fixture(scope="module")
def guarded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def guarded(guarded_folder: Path) -> Iterator[Broker]:
    broker = Broker(guarded_folder, users=(ADMINISTRATOR, *WRITERS))
    broker.start()
    grant_access(_settings(broker, ADMINISTRATOR), SystemClock())
    with KafkaBus(_settings(broker, ADMINISTRATOR)) as bus:
        bus.ensure_topics(TOPICS.values())
    yield broker
    broker.stop()


@pytest.fixture
def open_bus(guarded: Broker) -> Iterator[Open]:
    opened: list[KafkaBus] = []

    def open_as(user: str) -> KafkaBus:
        opened.append(KafkaBus(_settings(guarded, user)))
        return opened[-1]

    yield open_as
    for bus in opened:
        bus.close()


def _settings(broker: Broker, user: str) -> KafkaSettings:
    security = broker.security(user)
    return KafkaSettings(bootstrap=broker.bootstrap, client_id=user, security=security, request_timeout_ms=20_000)


def _write(bus: KafkaBus, topic: Topic, value: bytes, key: str = KEY) -> NotDelivered | None:
    """Publish and return what came of it."""
    answers: list[NotDelivered | None] = []
    bus.publish(topic.name, key, value, answers.append)
    for _ in range(POLLS_MAX):
        if answers:
            return answers[0]
        try:
            bus.flush(WAIT_US // POLLS_MAX)
        except FleetError:
            continue
    raise AssertionError(f"no answer about {topic.name}")


def _bar(number: int) -> bytes:
    return encode(bar_message(STREAM, number, EXCHANGE, bar(number, 100.0)))


def _read(bus: KafkaBus, topic: Topic, count: int) -> list[Record]:
    reader = bus.reader([Source(topic=topic.name, keys=frozenset({KEY}), start=Start.BEGINNING)])
    found: list[Record] = []
    for _ in range(POLLS_MAX):
        found += reader.poll(100, WAIT_US // POLLS_MAX)
        if len(found) >= count:
            break
    reader.close()
    return found


def test_a_strategy_cannot_forge_the_next_number_of_what_bots_and_gateways_believe(open_bus: Open) -> None:
    feed, bot = open_bus("feed"), open_bus("bot")
    assert _write(feed, OHLC_STABLE, _bar(1)) is None

    forged = _write(bot, OHLC_STABLE, _bar(2))

    assert "TOPIC_AUTHORIZATION_FAILED" in str(forged)
    assert _write(feed, OHLC_STABLE, _bar(3)) is None
    assert [record.value for record in _read(bot, OHLC_STABLE, 2)] == [_bar(1), _bar(3)]
    for topic in (EXECUTIONS, JOURNAL):
        assert "TOPIC_AUTHORIZATION_FAILED" in str(_write(bot, topic, b"forged"))


def test_each_user_writes_what_is_its_own_and_nothing_else(open_bus: Open) -> None:
    for user, topics in WRITERS.items():
        bus = open_bus(user)
        refused = {topic.name for topic in TOPICS.values() if _write(bus, topic, b"a message") is not None}

        assert refused == TOPICS.keys() - {topic.name for topic in topics}, user


def test_a_refused_message_does_not_hold_up_those_that_follow(open_bus: Open) -> None:
    bot = open_bus("bot")

    assert _write(bot, EXECUTIONS, b"forged") is not None

    assert _write(bot, ORDERS, b"a request") is None
    assert _write(bot, DEAD_LETTER, b"a letter") is None


def test_only_a_simulator_writes_a_journal(open_bus: Open) -> None:
    journal = open_bus("venue").journal(JOURNAL.name, EXCHANGE)
    offset = journal.append([b"one", b"two"])[-1]

    with pytest.raises(Permanent, match="check the user, its password and its rights"):
        open_bus("bot").journal(JOURNAL.name, EXCHANGE).append([b"forged"])

    assert journal.append([b"three"])[-1] > offset  # nobody has fenced its writer
    journal.close()


def test_everybody_asks_who_the_broker_is(open_bus: Open) -> None:
    for user in WRITERS:
        bus = open_bus(user)
        bus.probe()
        assert (bus.cluster_id(), bus.topic_id(JOURNAL.name)) != ("", ""), user


@pytest.mark.parametrize("security", [{}, {"sasl.password": "wrong"}], ids=["nobody", "wrong password"])
def test_a_stranger_is_let_in_nowhere(guarded: Broker, security: dict[str, str]) -> None:
    given = {**guarded.security("bot"), **security} if security else {}

    with KafkaBus(KafkaSettings(bootstrap=guarded.bootstrap, security=given)) as bus, pytest.raises(FleetError):
        bus.probe()


def test_rights_and_passwords_survive_a_restart(guarded: Broker, open_bus: Open) -> None:
    before = guarded.security("bot")
    guarded.kill()

    guarded.start()

    assert guarded.security("bot") == before
    bot = open_bus("bot")
    assert _write(bot, ORDERS, b"a request") is None
    assert _write(bot, EXECUTIONS, b"forged") is not None
    grant_access(_settings(guarded, ADMINISTRATOR), SystemClock())


def test_passwords_are_readable_by_their_owner_alone(guarded: Broker, guarded_folder: Path) -> None:
    password = guarded.security("bot")["sasl.password"]
    holding = [path for path in guarded_folder.rglob("*") if path.is_file() and password in _text(path)]

    assert {path.name for path in holding} == {"server.properties", "settings.json"}
    assert {path.stat().st_mode & 0o077 for path in holding} == {0}


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1")
