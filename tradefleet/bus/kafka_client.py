"""What all Kafka clients of a process share: settings, the broker's identity, and the reading of errors."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException

from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.domain.errors import FleetError, Permanent, Retryable
from tradefleet.messages.topics import DEAD_LETTER, check_prefix

LIBRARY_LOG: Final = logging.getLogger("tradefleet.bus.librdkafka")
FETCH_WAIT_MS: Final = 500  # how long the broker waits for something new; what comes is sent at once
REPEATS_APART_S: Final = 30.0  # the library says many times a second that a broker is away

_AWAY: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the library's public names for its own errors begin so
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
    }
)
_REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)
NO_SUCH_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


class _OnceInAWhile(logging.Filter):
    """Lets the same kind of line of the library pass once per `REPEATS_APART_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.args[0]) if isinstance(record.args, tuple) and record.args else str(record.msg)[:20]
        if record.created - self._last.get(kind, 0.0) < REPEATS_APART_S:
            return False
        self._last[kind] = record.created
        return True


LIBRARY_LOG.addFilter(_OnceInAWhile())


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the broker.

    `prefix` precedes every topic's name; `security` holds further librdkafka settings (TLS, SASL), never shown.
    """

    bootstrap: str
    prefix: str = ""
    client_id: str = "tradefleet"
    request_timeout_ms: int = 5_000  # one question to the broker
    check_timeout_ms: int = 1_000  # the question whether a broker is back: asked again and again, so a short one
    delivery_timeout_ms: int = 30_000  # a message that is not acknowledged by then has failed
    append_timeout_ms: int = 10_000  # a record of a journal that did not come back by then may or may not be there
    replication_factor: int = 1
    security: Mapping[str, str] = {}
    schema_registry: str = ""  # its URL: messages go in the Confluent wire format; may hold a password

    def __post_init__(self) -> None:
        check_prefix(self.prefix)

    def __repr__(self) -> str:
        return f"KafkaSettings(bootstrap={self.bootstrap!r}, prefix={self.prefix!r})"  # security holds passwords

    def topic(self, name: str) -> str:
        """Return the topic's name with the prefix."""
        return self.prefix + name

    def client(self) -> dict[str, Any]:
        """Return the librdkafka settings of every client."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.client_id,
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            "socket.timeout.ms": 10_000,
            "socket.connection.setup.timeout.ms": 5_000,
            # Back soon after a restart of the broker: the default waits up to 10 s.
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1_000,
            **self.security,
        }

    def producer(self) -> dict[str, Any]:
        """Return the librdkafka settings of a producer: at once, in order, without duplicates of its own making."""
        return {
            **self.client(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 65_536,
        }


class Identity(NamedTuple):
    """Which broker's data we look at: the cluster's id, and the partitions of the topics asked for that exist."""

    cluster_id: str
    partitions: Mapping[str, int]


def new_consumer(
    settings: KafkaSettings, on_error: Callable[[KafkaError], None], fetch_wait_ms: int = FETCH_WAIT_MS
) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        {
            **settings.client(),
            "group.id": f"{settings.prefix}none",  # the library wants a name; no group is ever joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": fetch_wait_ms,
            "queued.min.messages": 10_000,
            "queued.max.messages.kbytes": 16_384,
            "error_cb": on_error,
        },
        logger=LIBRARY_LOG,
    )


def identify(client: Consumer, settings: KafkaSettings, topics: Collection[str], timeout_ms: int) -> Identity:
    """Ask the broker who it is, and of which topics (full names) it has how many partitions. Raises BrokerUnavailable.

    `client` must be new when the answer shall be: a running one keeps the first cluster id it saw.
    """
    partitions: dict[str, int] = {}
    cluster_id = ""
    try:
        # One topic a question: without a name the answer would hold every topic of a Kafka that others use too.
        for name in topics or (settings.topic(DEAD_LETTER.name),):
            found = client.list_topics(topic=name, timeout=timeout_ms / 1_000)
            cluster_id = str(found.cluster_id)
            if found.topics[name].error is None:
                partitions[name] = len(found.topics[name].partitions)
    except KafkaException as error:
        raise translate(error.args[0], f"asking {settings.bootstrap} who it is") from error
    return Identity(cluster_id, partitions)


def identify_anew(settings: KafkaSettings, topics: Collection[str], timeout_ms: int) -> Identity:
    """Ask with a client of its own. Raises BrokerUnavailable."""
    client = new_consumer(settings, lambda error: LIBRARY_LOG.debug("%s", error))
    try:
        return identify(client, settings, topics, timeout_ms)
    finally:
        client.close()


# A fatal error reaches a producer's caller as an exception out of `poll` or `flush`, whatever `error_cb` says; when a
# delivery report is due in the same call, Python turns it into a SystemError that has the exception as its cause.
FATAL_EXCEPTIONS: Final = (KafkaException, SystemError)


def fatal_error(error: BaseException) -> KafkaError:
    """Return the library's error behind one of `FATAL_EXCEPTIONS`; a SystemError of another origin is raised again."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, KafkaException):
        found = found.__cause__
    if found is None:
        raise error
    failure = found.args[0]
    assert isinstance(failure, KafkaError)
    return failure


def translate(error: KafkaError, doing: str) -> FleetError:
    """Return our error for the library's: BrokerUnavailable, Permanent when access is refused, else Retryable."""
    text = f"Kafka, {doing}: {error.name()}: {error.str()}"
    if error.code() in _AWAY:
        return BrokerUnavailable(f"Kafka does not answer, {doing}: {error.name()}: {error.str()}")
    if error.code() in _REFUSED:
        return Permanent(f"{text}; check the user, its password and its rights")
    return Retryable(text)
