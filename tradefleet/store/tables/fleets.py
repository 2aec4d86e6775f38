"""Fleets, their halt switches, leases of feeds and venues, resources, log-ins and what people did."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    Numeric,
    Sequence,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tradefleet.store.tables.columns import (
    REWRITTEN,
    SCHEMA,
    document,
    fleet,
    lease_columns,
    metadata,
    name,
    number,
    optional_name,
    optional_number,
    owner,
    payload,
)

event_numbers = Sequence("event_no", schema=SCHEMA, metadata=metadata)

fleets = Table("fleet", metadata, fleet(), number("created_us"))

halts = Table(
    "halt",
    metadata,
    fleet(),
    name("scope", key=True),
    Column("is_on", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text(collation="C"), nullable=False, server_default=text("''")),
    Column("set_by", Text(collation="C"), nullable=False, server_default=text("''")),
    number("changed_us", default=0),
    comment="Switches that the gateway locks FOR SHARE where it accepts orders; each exists before it is needed.",
)

halt_periods = Table(
    "halt_period",
    metadata,
    fleet(),
    name("scope", key=True),
    number("set_no", key=True),
    name("reason"),
    name("set_by"),
    number("set_us"),
    optional_number("cleared_no"),
    optional_name("cleared_by"),
    optional_number("cleared_us"),
    comment="When a switch was on, between two numbers of the event_no sequence.",
)

leases = Table(
    "lease",
    metadata,
    fleet(),
    name("name", key=True),
    *lease_columns(),
    owner(),
    postgresql_with=REWRITTEN,
    comment="Leases of feeds and venues; a bot's and an account's stand in their own rows.",
)

retired_owners = Table(
    "retired_owner",
    metadata,
    fleet(),
    name("uid", key=True),
    comment="UIDs of deleted Exchanges and Feeds: no process of theirs gets a lease any more.",
)

login_roles = Table(
    "login_role",
    metadata,
    name("role", key=True),
    name("fleet"),
    name("component"),
    comment="Which fleet and component a Postgres log-in belongs to: row-level security reads it.",
)

resources = Table(
    "resource",
    metadata,
    fleet(),
    name("kind", key=True),
    name("namespace", key=True),
    name("name", key=True),
    name("uid"),
    number("generation"),
    number("resource_version"),
    Column("spec", JSONB, nullable=False),
    document("status"),
    document("labels"),
    document("annotations"),
    Column("finalizers", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    number("created_us"),
    optional_number("deleted_us"),
    Index(None, "fleet", "uid", unique=True),
    comment="The resources of a fleet without a cluster.",
)

instruments = Table(
    "instrument",
    metadata,
    fleet(),
    name("exchange", key=True),
    name("symbol", key=True),
    name("base"),
    name("quote"),
    Column("tick", Numeric(38, 18), nullable=False),
    Column("lot", Numeric(38, 18), nullable=False),
    Column("base_scale", Integer, nullable=False),
    Column("quote_scale", Integer, nullable=False),
    comment="Ticks, lots and scales, for the readable views only.",
)

broker_topics = Table(
    "broker_topic",
    metadata,
    fleet(),
    name("topic", key=True),
    name("cluster_id"),
    name("topic_id"),
    comment="Which broker's topics the stored positions belong to.",
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("entry", BigInteger, Identity(always=True), primary_key=True),
    name("fleet"),
    number("at_us"),
    name("actor"),
    name("action"),
    name("object"),
    document("detail"),
    Index(None, "fleet", "at_us"),
    comment="Who halted, paused, deleted, changed.",
)

dead_letters = Table(
    "dead_letter",
    metadata,
    Column("entry", BigInteger, Identity(always=True), primary_key=True),
    name("fleet"),
    name("topic"),
    name("stream"),
    number("seq"),
    name("key"),
    name("reason"),
    payload("payload"),
    number("recorded_us"),
    Index(None, "fleet", "recorded_us"),
)
