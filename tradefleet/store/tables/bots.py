"""Bots: one row that every commit rewrites, and the record of their inputs."""

from sqlalchemy import Boolean, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from tradefleet.store.tables.columns import (
    REWRITTEN,
    document,
    fleet,
    lease_columns,
    metadata,
    name,
    number,
    optional_name,
    payload,
)

bots = Table(
    "bot",
    metadata,
    fleet(),
    name("uid", key=True),
    name("bot"),
    Column("db_role", Text(collation="C"), nullable=False, server_default=text("''")),
    optional_name("retired"),
    *lease_columns(),
    number("version", default=0),
    document("positions"),
    number("record_generation", default=0),
    document("start_positions"),
    number("input_count", default=0),
    payload("tail", default=True),
    number("first_request_seq", default=0),
    number("request_count", default=0),
    Column("request_hash", Text(collation="C"), nullable=False, server_default=text("''")),
    Column("host", Text(collation="C"), nullable=False, server_default=text("''")),
    Column("trouble", Text(collation="C"), nullable=False, server_default=text("''")),
    # With all three columns: a holder's statements name its role (by policy) and the key, in whatever plan.
    Index(None, "db_role", "fleet", "uid"),
    postgresql_with=REWRITTEN,
    comment="Lease, positions and open chunk (tail) of the record. retired: the policy a bot was deleted with. "
    "host: the shared process that runs it; trouble: why that put it out.",
)

bot_commands = Table(
    "bot_command",
    metadata,
    fleet(),
    name("uid", key=True),
    name("account"),
    name("bot"),
    Column("config", JSONB, nullable=False),
    name("state"),
    number("flatten_no"),
    Column("deleting", Boolean, nullable=False),
    number("reopen_no", default=0),
    number("skip_seq", default=0),
    Index(None, "fleet", "account"),
    comment="The whole desired state of each bot, as its owner wants it.",
)

bot_snapshots = Table(
    "bot_snapshot",
    metadata,
    fleet(),
    name("uid", key=True),
    number("generation"),
    number("ordinal"),
    document("positions"),
    number("request_count"),
    name("request_hash"),
    payload("state"),
    comment="The newest snapshot, kept outside the bot's row so that a quiet commit does not copy it.",
)

bot_generations = Table(
    "bot_generation",
    metadata,
    fleet(),
    name("uid", key=True),
    number("generation", key=True),
    document("start_positions"),
    document("end_positions"),
    number("input_count"),
    number("first_request_seq"),
    number("request_count"),
    name("request_hash"),
    number("closed_us"),
    comment="Closed generations.",
)

bot_record_chunks = Table(
    "bot_record_chunk",
    metadata,
    fleet(),
    name("uid", key=True),
    number("generation", key=True),
    number("chunk", key=True),
    payload("sources"),
    comment="256 inputs' sources each, one byte an input; the last of a closed generation may be shorter.",
)

bot_record_payloads = Table(
    "bot_record_payload",
    metadata,
    fleet(),
    name("uid", key=True),
    number("generation", key=True),
    number("ordinal", key=True),
    payload("payload"),
    comment="Inputs that no stream keeps: adoption, commands, timers.",
)
