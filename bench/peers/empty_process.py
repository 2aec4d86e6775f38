"""An asyncio process that holds what any bot needs, a connected producer, consumer and database session, and no more.

It takes the broker from BENCH_KAFKA, how to log in there from BENCH_KAFKA_SECURITY (JSON) and the database from
BENCH_DATABASE, says "ready" when all three have answered, and waits to be ended. It imports nothing of ours, but runs
in our environment: the same interpreter and libraries.
"""

import asyncio
import json
import os

import fastavro
import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

SCHEMA = {
    "type": "record",
    "name": "Bar",
    "fields": [
        {"name": "open_us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        *({"name": name, "type": "double"} for name in ("open", "high", "low", "close", "volume")),
    ],
}
TOPIC = "market.ohlc.stable"


async def main() -> None:
    """Connect, say so, and wait."""
    client = {"bootstrap.servers": os.environ["BENCH_KAFKA"], **json.loads(os.environ["BENCH_KAFKA_SECURITY"])}
    fastavro.parse_schema(SCHEMA)
    connection = psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True)
    connection.execute("SELECT 1")
    producer = Producer({**client, "enable.idempotence": True, "linger.ms": 0})
    producer.list_topics(TOPIC, 10.0)
    consumer = Consumer({**client, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), 10.0)[1])])
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.2)
        await asyncio.to_thread(consumer.poll, 0.2)


asyncio.run(main())
