"""What all Kafka clients of a process share: settings, the broker's identity, and the reading of errors."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.domain.errors import FleetError, Permanent, Retryable
from tradefleet.messages.topics import check_prefix

LIBRARY_LOG: Final = logging.getLogger("tradefleet.bus.librdkafka")
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
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """How to reach the broker.

    `prefix` precedes every topic's name; `security` holds further librdkafka settings (TLS, SASL), never shown.
    """

    bootstrap: str
    prefix: str = ""
    client_id: str = "tradefleet"
    request_timeout_ms: int = 5_000  # one question to the broker
    check_timeout_ms: int = 1_000  # the question whether a broker is back: asked again and again, so a short one
    delivery_timeout_ms: int = 30_000  # a message that is not acknowledged by then has failed
    transaction_timeout_ms: int = 10_000  # of a journal's append; the broker ends a dead writer's one after it
    replication_factor: int = 1
    security: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_prefix(self.prefix)

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


@dataclass(frozen=True, slots=True)
class Identity:
    """Which broker's data we look at: the cluster's id and, by full name, the id and partitions of topics."""

    cluster_id: str
    topic_ids: Mapping[str, str]
    partitions: Mapping[str, int]


def admin_client(settings: KafkaSettings) -> AdminClient:
    """Return a client for questions. It is let go after them: they are asked at start and after a lost connection."""
    return AdminClient(settings.client(), logger=LIBRARY_LOG)


def identify(settings: KafkaSettings, topics: Collection[str], timeout_ms: int) -> Identity:
    """Ask the broker who it is; topics (full names) that do not exist are left out. Raises BrokerUnavailable.

    It asks with a new client: a running one keeps the first cluster id it saw.
    """
    client = admin_client(settings)
    timeout_s = timeout_ms / 1_000
    try:
        described = client.describe_cluster(request_timeout=timeout_s).result(timeout_s)
        ids: dict[str, str] = {}
        partitions: dict[str, int] = {}
        if topics:
            for name, future in client.describe_topics(
                TopicCollection(list(topics)), request_timeout=timeout_s
            ).items():
                try:
                    description = future.result(timeout_s)
                except KafkaException as error:
                    if error.args[0].code() not in NO_SUCH_TOPIC:
                        raise
                else:
                    ids[name] = str(description.topic_id)
                    partitions[name] = len(description.partitions)
    except KafkaException as error:
        raise translate(error.args[0], f"asking {settings.bootstrap} who it is") from error
    except TimeoutError as error:
        raise BrokerUnavailable(f"no broker answers at {settings.bootstrap} within {timeout_ms} ms") from error
    return Identity(str(described.cluster_id), ids, partitions)


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
        return BrokerUnavailable(text)
    if error.code() in _REFUSED:
        return Permanent(f"{text}; check the user, its password and its rights")
    return Retryable(text)
