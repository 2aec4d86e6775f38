"""Who may write which topics: what a broker with users is told, so that a forged message is refused (rule 26).

Consumers believe the next number of a stream when it comes by the bus. So the bus must take it from nobody but the
stream's writer: a strategy, which shares its process with a log-in to the broker, may write requests, with which it
can do no more than wake its gateway, and what it could not read. Everybody may read everything, since topics are
shared by all bots and a broker knows no smaller unit.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.bus.kafka_client import LIBRARY_LOG, KafkaSettings, translate
from tradefleet.domain.errors import Retryable
from tradefleet.messages.topics import (
    BOOK,
    DEAD_LETTER,
    EXECUTIONS,
    JOURNAL,
    METRICS,
    OHLC_LIVE,
    OHLC_STABLE,
    ORDERS,
    RISK_STATE,
    SOCIAL,
    TICKER,
    TRADES,
    Topic,
)
from tradefleet.runtime.ports import Clock

ADMINISTRATOR: Final = "supervisor"  # makes topics and rules, and may write everything
GUEST: Final = "guest"  # for programs of others: they may join groups too

WRITERS: Final[Mapping[str, Sequence[Topic]]] = {
    "feed": (OHLC_STABLE,),
    "venue": (JOURNAL, DEAD_LETTER),
    "gateway": (EXECUTIONS, RISK_STATE, METRICS, DEAD_LETTER),
    "bot": (ORDERS, DEAD_LETTER),
    "recorder": (DEAD_LETTER,),
    GUEST: (OHLC_LIVE, TICKER, TRADES, BOOK, SOCIAL),
}
"""What each user may write: one for each kind of workload (every bot is the same), and one for programs of others."""

_WAIT_US: Final = 20_000_000
_LOOK_US: Final = 50_000


def grant_access(settings: KafkaSettings, clock: Clock) -> None:
    """Return once the broker goes by this table; to be called by its administrator.

    Raises BrokerUnavailable, and Retryable when the broker does not take it up in time.
    """
    wanted = set(_rules(settings))
    client = AdminClient(settings.client(), logger=LIBRARY_LOG)
    timeout_s = settings.request_timeout_ms / 1_000
    try:
        missing = sorted(wanted - _granted(client, timeout_s), key=str)
        for future in client.create_acls(missing, request_timeout=timeout_s).values() if missing else ():
            future.result(timeout_s)
        give_up_us = clock.monotonic_us() + _WAIT_US
        while not wanted <= _granted(client, timeout_s):  # it is written at once, and obeyed a moment later
            if clock.monotonic_us() > give_up_us:
                raise Retryable(f"broker {settings.bootstrap}: has not taken up who may write within 20 s")
            clock.sleep_us(_LOOK_US)
    except KafkaException as error:
        raise translate(error.args[0], "granting access to topics") from error
    except TimeoutError as error:
        raise BrokerUnavailable(f"no broker answers at {settings.bootstrap}") from error


def _rules(settings: KafkaSettings) -> list[AclBinding]:
    """Return what is allowed; everything else is refused."""
    found = [_allow(user, ResourceType.TOPIC, settings.prefix, AclOperation.READ) for user in WRITERS]
    # Readers assign themselves and are in no group, but the library asks who coordinates the one it was given.
    found += [_allow(user, ResourceType.GROUP, settings.prefix, AclOperation.DESCRIBE) for user in WRITERS]
    found.append(_allow(GUEST, ResourceType.GROUP, settings.prefix, AclOperation.READ))
    for user, topics in WRITERS.items():
        found += [
            _allow(user, ResourceType.TOPIC, settings.topic(topic.name), AclOperation.WRITE, whole=True)
            for topic in topics
        ]
    return found


def _allow(user: str, kind: ResourceType, name: str, operation: AclOperation, *, whole: bool = False) -> AclBinding:
    """Return a rule for the resource called `name`, else for all whose names begin so; an empty one is for all."""
    pattern = ResourcePatternType.LITERAL if whole or not name else ResourcePatternType.PREFIXED
    return AclBinding(kind, name or "*", pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


def _granted(client: AdminClient, timeout_s: float) -> set[AclBinding]:
    # None stands for any; the library's annotations do not know.
    everything = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]
        ResourcePatternType.ANY,
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return set(client.describe_acls(everything, request_timeout=timeout_s).result(timeout_s))
