"""The AsyncAPI 3.0 document of the fleet: channels are topics, payloads are the Avro schemas."""

from typing import Any, Final

from tradefleet.messages.avro import documentation, published_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.topics import TOPICS, Topic

_AVRO: Final = "application/vnd.apache.avro+json;version=1.9.0"  # the newest version that AsyncAPI 3.0 names
_KAFKA_BINDING: Final = "0.5.0"


def asyncapi_document() -> str:
    """Return the document as YAML."""
    import yaml  # a bot process imports this package and never needs YAML  # noqa: PLC0415

    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tradefleet",
            "version": "v1alpha1",
            "description": "Messages between the processes of a trading fleet. Payloads are Avro in single-object "
            "encoding. Topic names are preceded by the installation's prefix.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "avro/binary",
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {f"receive {topic.name}": _operation(topic) for topic in TOPICS.values()},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "summary": documentation(message),
                    "payload": {"schemaFormat": _AVRO, "schema": published_schema(message)},
                }
                for name, message in MESSAGE_TYPES.items()
            }
        },
    }
    return "# Generated from tradefleet/messages by `make generate`.\n" + yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, width=120
    )


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"{topic.about} Keyed by {topic.key}.",
        "messages": {
            message.__name__: {"$ref": f"#/components/messages/{message.__name__}"} for message in topic.messages
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.keeping.value], "retention.ms": topic.retention_ms},
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
