"""The reference page of topics and messages, in Markdown."""

from typing import Any

from tradefleet.messages.avro import NAMESPACE, Schema, published_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.topics import DAY_MS, FOREVER, TOPICS, Keeping, Topic

_NOBODY = "nobody yet"
_HEAD = """# Messages

<!-- Generated from tradefleet/messages by `make generate`. -->

Every message is Avro in single-object encoding: `C3 01`, the CRC-64-AVRO fingerprint of its schema (8 bytes,
little-endian), then the body. The schemas are in `tradefleet/messages/schemas`; every version ever published is in
`history` beside them. Topic names are preceded by the installation's prefix. Times are UTC microseconds; amounts of
money in orders, fills and figures are exact decimals of 38 digits, 18 of them after the point.

Where `TRADEFLEET_SCHEMA_REGISTRY_URL` (in the chart `schemaRegistry.url`) names a schema registry, messages go in the
Confluent wire format in its place: a zero byte, the schema's id in the registry (4 bytes, big-endian), the same body.
Each type is a subject by its full name, such as `dev.tradefleet.BarClosed`. Readers of the fleet take both, so a
registry can be introduced while it runs; `exchange.journal` stays as it is.

## Topics

"Nobody yet" stands where this release has no part that writes or reads a topic: its messages are for programs of your
own, and for feeds and services to come.

| topic | key | partitions | keeps | written by | read by | messages |
|---|---|---|---|---|---|---|
"""


def reference_page() -> str:
    """Return the page: a table of the topics, then each message with its fields."""
    page = [_HEAD]
    page += [_topic_row(topic) for topic in TOPICS.values()]
    page.append("\n")
    for message in MESSAGE_TYPES.values():
        page.append(_record_section(published_schema(message), level=2))
    return "".join(page).rstrip() + "\n"


def _topic_row(topic: Topic) -> str:
    names = ", ".join(f"[{message.__name__}](#{message.__name__.lower()})" for message in topic.messages)
    who = f"{topic.written_by or _NOBODY} | {topic.read_by or _NOBODY}"
    return f"| `{topic.name}` | {topic.key} | {topic.partitions} | {_keeps(topic)} | {who} | {names}. {topic.about} |\n"


def _keeps(topic: Topic) -> str:
    if topic.keeping is Keeping.COMPACTED:
        return "newest of each key"
    if topic.retention_ms == FOREVER:
        return "everything"
    days = topic.retention_ms // DAY_MS
    return "1 day" if days == 1 else f"{days} days"


def _record_section(record: dict[str, Any], level: int) -> str:
    nested: list[dict[str, Any]] = []
    rows = [
        f"| `{field['name']}` | {_type_name(field['type'], nested)} | {_meaning(field)} |\n"
        for field in record["fields"]
    ]
    head = f"{'#' * level} {record['name']}\n\n{record['doc']}\n\n| field | type | meaning |\n|---|---|---|\n"
    return head + "".join(rows) + "\n" + "".join(_record_section(inner, level + 1) for inner in nested)


def _meaning(field: dict[str, Any]) -> str:
    meaning: str = field.get("doc", "")
    schema = field["type"]
    inner = schema[1] if isinstance(schema, list) else schema
    if isinstance(inner, dict) and inner.get("type") == "enum":
        meaning = (meaning or inner["doc"]).rstrip(".")
        meaning += f". One of {', '.join(f'`{symbol}`' for symbol in inner['symbols'])}."
    if "default" in field:
        meaning = f"{meaning.rstrip('.')}. " if meaning else ""
        meaning += f"Default: `{field['default'] if field['default'] is not None else 'null'}`."
    return meaning.strip()


def _type_name(schema: Schema, nested: list[dict[str, Any]]) -> str:
    if isinstance(schema, list):
        return f"{_type_name(schema[1], nested)} or null"
    if isinstance(schema, str):
        return schema.removeprefix(f"{NAMESPACE}.")
    if "logicalType" in schema:
        scale = f"({schema['precision']}, {schema['scale']})" if "precision" in schema else ""
        return f"{schema['logicalType']}{scale}"
    if schema["type"] == "array":
        return f"list of {_type_name(schema['items'], nested)}"
    if schema["type"] == "map":
        return f"map of {_type_name(schema['values'], nested)}"
    if schema["type"] == "record":
        nested.append(schema)
    return str(schema["name"])
