"""Administration of topics: what the fleet's start, and a simulator, ask of Kafka."""

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.bus.kafka_client import LIBRARY_LOG, NO_SUCH_TOPIC, KafkaSettings, translate
from tradefleet.domain.errors import Retryable
from tradefleet.messages.topics import Topic


def create_topics(settings: KafkaSettings, missing: Mapping[str, Topic]) -> None:
    """Create topics by their full names; one that another process made in the meantime is fine.

    Raises BrokerUnavailable.
    """
    if not missing:
        return
    wanted = [
        NewTopic(
            name,
            num_partitions=topic.partitions,
            replication_factor=settings.replication_factor,
            config={"cleanup.policy": topic.keeping.value, "retention.ms": str(topic.retention_ms)},
        )
        for name, topic in missing.items()
    ]
    client = AdminClient(settings.client(), logger=LIBRARY_LOG)
    timeout_s = settings.request_timeout_ms / 1_000
    for name, future in client.create_topics(wanted, operation_timeout=timeout_s).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(error.args[0], f"creating topic {name}") from error


def topic_id(settings: KafkaSettings, topic: Topic) -> str:
    """Return the id the topic got when it was created. Raises BrokerUnavailable, Retryable when it is missing."""
    name = settings.topic(topic.name)
    timeout_s = settings.request_timeout_ms / 1_000
    client = AdminClient(settings.client(), logger=LIBRARY_LOG)
    try:
        futures = client.describe_topics(TopicCollection([name]), request_timeout=timeout_s)
        return str(futures[name].result(timeout_s).topic_id)
    except KafkaException as error:
        if error.args[0].code() in NO_SUCH_TOPIC:
            raise Retryable(f"topic {name} does not exist yet: it is created when the fleet starts") from error
        raise translate(error.args[0], f"asking for the id of topic {name}") from error
    except TimeoutError as error:
        raise BrokerUnavailable(f"no broker answers at {settings.bootstrap}") from error
