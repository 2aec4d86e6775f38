"""What every workload opens when it starts: its database session and its bus, both watched by its health."""

from typing import NamedTuple

from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.schemas import SchemaFinder
from tradefleet.messages.codec import find_schemas_with
from tradefleet.runtime.dead_letters import DeadLetters
from tradefleet.runtime.process import Process
from tradefleet.store.postgres.dead_letters import PostgresDeadLetterStore
from tradefleet.store.postgres.session import Session


class Connections(NamedTuple):
    """An open session and bus; the process closes them at its end."""

    session: Session
    bus: KafkaBus


def connect(process: Process) -> Connections:
    """Return the process's connections. Nothing waits for the broker or the database here: the worker's start does."""
    settings = process.settings
    session = Session(
        settings.database_url.reveal(),
        fleet=settings.fleet,
        application=settings.component,
        clock_us=process.clock.monotonic_us,
    )
    bus = KafkaBus(
        KafkaSettings(
            bootstrap=settings.kafka_bootstrap,
            prefix=settings.kafka_prefix,
            client_id=settings.component.replace("/", "."),
            security=settings.security(),
            schema_registry=settings.schema_registry_url.reveal() if settings.schema_registry_url else "",
        )
    )
    process.resources.callback(session.close)
    process.resources.callback(bus.close)
    process.health.watch("kafka", bus.probe)
    find_schemas_with(SchemaFinder(bus, process.clock.monotonic_us))
    return Connections(session, bus)


def dead_letters(process: Process, connections: Connections, *, with_rows: bool) -> DeadLetters:
    """Return where the process puts aside what it cannot read; `with_rows` for log-ins that may write them."""
    return DeadLetters(
        process.settings.component,
        bus=connections.bus,
        store=PostgresDeadLetterStore(connections.session) if with_rows else None,
        wall_us=process.clock.wall_us,
        count=process.metrics.dead_letters,
    )
