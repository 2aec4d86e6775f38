"""The first schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSequence, DropSequence

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

EVENT_NUMBERS = sa.Sequence("event_no", schema="tradefleet")


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("entry", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("at_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(collation="C"), nullable=False),
        sa.Column("action", sa.Text(collation="C"), nullable=False),
        sa.Column("object", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("entry", name=op.f("audit_log_pkey")),
        schema="tradefleet",
        comment="Who halted, paused, deleted, changed.",
    )
    op.create_index(
        op.f("audit_log_fleet_at_us_idx"), "audit_log", ["fleet", "at_us"], unique=False, schema="tradefleet"
    )


def _create_backtest_result() -> None:
    op.create_table(
        "backtest_result",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("trial", sa.Text(collation="C"), nullable=False),
        sa.Column("backtest", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ledger_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("started_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column(
            "inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "figures", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("fleet", "uid", "trial", name=op.f("backtest_result_pkey")),
        schema="tradefleet",
        comment="One row per trial; rows are only ever added.",
    )
    op.create_index(
        op.f("backtest_result_fleet_backtest_idx"),
        "backtest_result",
        ["fleet", "backtest"],
        unique=False,
        schema="tradefleet",
    )


def _create_bar() -> None:
    op.create_table(
        "bar",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("interval_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("open_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger(),
            nullable=True,
            comment="number in the bar stream; NULL for history that was imported",
        ),
        sa.Column("open", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("volume", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "exchange", "symbol", "interval_us", "open_us", name=op.f("bar_pkey")),
        schema="tradefleet",
        comment="Closed bars: the outbox of their stream and the stored history at once.",
    )
    op.create_index(
        "bar_seq_idx",
        "bar",
        ["fleet", "exchange", "symbol", "interval_us", "seq"],
        unique=True,
        schema="tradefleet",
        postgresql_where=sa.text("seq IS NOT NULL"),
    )


def _create_bot() -> None:
    op.create_table(
        "bot",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("db_role", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("retired", sa.Text(collation="C"), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column(
            "positions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "record_generation", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False
        ),
        sa.Column(
            "start_positions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("input_count", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("tail", sa.LargeBinary(), server_default=sa.text("''::bytea"), nullable=False),
        sa.Column(
            "first_request_seq", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False
        ),
        sa.Column("request_count", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("request_hash", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", name=op.f("bot_pkey")),
        schema="tradefleet",
        comment="Lease, positions and open chunk (tail) of the record. retired: the policy a bot was deleted with.",
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        op.f("bot_db_role_fleet_uid_idx"), "bot", ["db_role", "fleet", "uid"], unique=False, schema="tradefleet"
    )


def _create_bot_command() -> None:
    op.create_table(
        "bot_command",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("flatten_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deleting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", name=op.f("bot_command_pkey")),
        schema="tradefleet",
        comment="The whole desired state of each bot, as its owner wants it.",
    )
    op.create_index(
        op.f("bot_command_fleet_account_idx"), "bot_command", ["fleet", "account"], unique=False, schema="tradefleet"
    )


def _create_bot_generation() -> None:
    op.create_table(
        "bot_generation",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "start_positions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "end_positions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("input_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_request_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "generation", name=op.f("bot_generation_pkey")),
        schema="tradefleet",
        comment="Closed generations.",
    )


def _create_bot_record_chunk() -> None:
    op.create_table(
        "bot_record_chunk",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sources", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "generation", "chunk", name=op.f("bot_record_chunk_pkey")),
        schema="tradefleet",
        comment="256 inputs' sources each, one byte an input; the last of a closed generation may be shorter.",
    )


def _create_bot_record_payload() -> None:
    op.create_table(
        "bot_record_payload",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "generation", "ordinal", name=op.f("bot_record_payload_pkey")),
        schema="tradefleet",
        comment="Inputs that no stream keeps: adoption, commands, timers.",
    )


def _create_bot_snapshot() -> None:
    op.create_table(
        "bot_snapshot",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "positions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("request_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", name=op.f("bot_snapshot_pkey")),
        schema="tradefleet",
        comment="The newest snapshot, kept outside the bot's row so that a quiet commit does not copy it.",
    )


def _create_broker_topic() -> None:
    op.create_table(
        "broker_topic",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("cluster_id", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "topic", name=op.f("broker_topic_pkey")),
        schema="tradefleet",
        comment="Which broker's topics the stored positions belong to.",
    )


def _create_consumer() -> None:
    op.create_table(
        "consumer",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("stream", sa.Text(collation="C"), nullable=False),
        sa.Column("consumer", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "stream", "consumer", name=op.f("consumer_pkey")),
        schema="tradefleet",
        comment="Who must have passed a message before it is trimmed; by name of the lease.",
    )


def _create_dataset() -> None:
    op.create_table(
        "dataset",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "dataset", name=op.f("dataset_pkey")),
        schema="tradefleet",
        comment="A named part of the stored bars of one exchange.",
    )


def _create_dataset_coverage() -> None:
    op.create_table(
        "dataset_coverage",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("interval_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_open_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_open_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bars", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "fleet", "dataset", "symbol", "interval_us", "first_open_us", name=op.f("dataset_coverage_pkey")
        ),
        schema="tradefleet",
        comment="Stretches without a gap.",
    )


def _create_dataset_import() -> None:
    op.create_table(
        "dataset_import",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False),
        sa.Column("source_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("bars", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("imported_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "dataset", "source_hash", name=op.f("dataset_import_pkey")),
        schema="tradefleet",
        comment="Files that were imported whole: the same content is never imported again.",
    )


def _create_dead_letter() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("entry", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("stream", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("dead_letter_pkey")),
        schema="tradefleet",
    )
    op.create_index(
        op.f("dead_letter_fleet_recorded_us_idx"),
        "dead_letter",
        ["fleet", "recorded_us"],
        unique=False,
        schema="tradefleet",
    )


def _create_fill() -> None:
    op.create_table(
        "fill",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("client_order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("trade_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lots", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fee_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("fee_asset", sa.Text(collation="C"), nullable=False),
        sa.Column("market_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "event_no", sa.BigInteger(), server_default=sa.text("nextval('tradefleet.event_no')"), nullable=False
        ),
        sa.CheckConstraint("lots > 0", name=op.f("fill_lots_check")),
        sa.PrimaryKeyConstraint("fleet", "client_order_id", "trade_id", name=op.f("fill_pkey")),
        schema="tradefleet",
    )
    op.create_index(
        op.f("fill_fleet_uid_market_us_idx"), "fill", ["fleet", "uid", "market_us"], unique=False, schema="tradefleet"
    )


def _create_fleet() -> None:
    op.create_table(
        "fleet",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", name=op.f("fleet_pkey")),
        schema="tradefleet",
    )


def _create_gateway() -> None:
    op.create_table(
        "gateway",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column(
            "positions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("request_no", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("requests_before", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "account", name=op.f("gateway_pkey")),
        schema="tradefleet",
        comment="requests_before: request_no before the newest commit, so that a commit can check that it continues.",
        postgresql_with={"fillfactor": 50},
    )


def _create_gateway_blob() -> None:
    op.create_table(
        "gateway_blob",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "account", "key", name=op.f("gateway_blob_pkey")),
        schema="tradefleet",
        comment="State rows of the gateway machine, as JSON text.",
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        op.f("gateway_blob_fleet_key_idx"), "gateway_blob", ["fleet", "key"], unique=False, schema="tradefleet"
    )


def _create_halt() -> None:
    op.create_table(
        "halt",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("is_on", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("set_by", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "scope", name=op.f("halt_pkey")),
        schema="tradefleet",
        comment="Switches that the gateway locks FOR SHARE where it accepts orders; each exists before it is needed.",
    )


def _create_halt_period() -> None:
    op.create_table(
        "halt_period",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("set_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("set_by", sa.Text(collation="C"), nullable=False),
        sa.Column("set_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cleared_no", sa.BigInteger(), nullable=True),
        sa.Column("cleared_by", sa.Text(collation="C"), nullable=True),
        sa.Column("cleared_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("fleet", "scope", "set_no", name=op.f("halt_period_pkey")),
        schema="tradefleet",
        comment="When a switch was on, between two numbers of the event_no sequence.",
    )


def _create_instrument() -> None:
    op.create_table(
        "instrument",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("base", sa.Text(collation="C"), nullable=False),
        sa.Column("quote", sa.Text(collation="C"), nullable=False),
        sa.Column("tick", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("lot", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("base_scale", sa.Integer(), nullable=False),
        sa.Column("quote_scale", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "exchange", "symbol", name=op.f("instrument_pkey")),
        schema="tradefleet",
        comment="Ticks, lots and scales, for the readable views only.",
    )


def _create_lease() -> None:
    op.create_table(
        "lease",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "name", name=op.f("lease_pkey")),
        schema="tradefleet",
        comment="Leases of feeds and venues; a bot's and an account's stand in their own rows.",
        postgresql_with={"fillfactor": 50},
    )


def _create_ledger_entry() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("reference", sa.Text(collation="C"), nullable=False),
        sa.Column("market_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "seq", name=op.f("ledger_entry_pkey")),
        schema="tradefleet",
    )


def _create_login_role() -> None:
    op.create_table(
        "login_role",
        sa.Column("role", sa.Text(collation="C"), nullable=False),
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("component", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("login_role_pkey")),
        schema="tradefleet",
        comment="Which fleet and component a Postgres log-in belongs to: row-level security reads it.",
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("stream", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("market_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "stream", "seq", name=op.f("outbox_pkey")),
        schema="tradefleet",
        comment="Messages exactly as they are published; epoch says which writer committed them.",
    )


def _create_posting() -> None:
    op.create_table(
        "posting",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("book", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "seq", "line", name=op.f("posting_pkey")),
        schema="tradefleet",
    )


def _create_progress() -> None:
    op.create_table(
        "progress",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("run", sa.Text(collation="C"), nullable=False),
        sa.Column("market_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("phase", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("participant", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "produced", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("next_due_us", sa.BigInteger(), nullable=True),
        sa.Column("has_left", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint(
            "fleet", "run", "market_us", "round", "phase", "participant", name=op.f("progress_pkey")
        ),
        schema="tradefleet",
        comment="What each participant of a lockstep run did in each phase; the key is the order of steps.",
    )


def _create_resource() -> None:
    op.create_table(
        "resource",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("namespace", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resource_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "status", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "annotations",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("finalizers", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deleted_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("fleet", "kind", "namespace", "name", name=op.f("resource_pkey")),
        schema="tradefleet",
        comment="The resources of a fleet without a cluster.",
    )
    op.create_index(op.f("resource_fleet_uid_idx"), "resource", ["fleet", "uid"], unique=True, schema="tradefleet")


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("run", sa.Text(collation="C"), nullable=False),
        sa.Column("feed", sa.Text(collation="C"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "run", name=op.f("run_pkey")),
        schema="tradefleet",
    )


def _create_run_participant() -> None:
    op.create_table(
        "run_participant",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("run", sa.Text(collation="C"), nullable=False),
        sa.Column("participant", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "run", "participant", name=op.f("run_participant_pkey")),
        schema="tradefleet",
    )


def _create_statistics() -> None:
    op.create_table(
        "statistics",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("market_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("quote", sa.Text(collation="C"), nullable=False),
        sa.Column("equity_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("hold_atoms", sa.Numeric(precision=38, scale=0), nullable=True),
        sa.Column("peak_equity_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("realized_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("fees_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("orders", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fills", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("open_orders", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "positions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("fleet", "uid", "market_us", name=op.f("statistics_pkey")),
        schema="tradefleet",
        comment="Equity and its company per bot and step.",
    )


def _create_stream() -> None:
    op.create_table(
        "stream",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("stream", sa.Text(collation="C"), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("published_seq", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.Column("trimmed_seq", sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "stream", name=op.f("stream_pkey")),
        schema="tradefleet",
        postgresql_with={"fillfactor": 50},
    )


def _create_trade_order() -> None:
    op.create_table(
        "trade_order",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("client_order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("bot", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.Column("request_seq", sa.BigInteger(), nullable=True),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("lots", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price_ticks", sa.BigInteger(), nullable=True),
        sa.Column("trigger_ticks", sa.BigInteger(), nullable=True),
        sa.Column("time_in_force", sa.Text(collation="C"), nullable=False),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("filled_lots", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reserved_asset", sa.Text(collation="C"), nullable=False),
        sa.Column("reserved_atoms", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("created_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("updated_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("updated_epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "event_no", sa.BigInteger(), server_default=sa.text("nextval('tradefleet.event_no')"), nullable=False
        ),
        sa.CheckConstraint("filled_lots >= 0", name=op.f("trade_order_filled_lots_check")),
        sa.CheckConstraint("lots > 0", name=op.f("trade_order_lots_check")),
        sa.PrimaryKeyConstraint("fleet", "client_order_id", name=op.f("trade_order_pkey")),
        schema="tradefleet",
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(
        op.f("trade_order_fleet_uid_event_no_idx"),
        "trade_order",
        ["fleet", "uid", "event_no"],
        unique=False,
        schema="tradefleet",
    )
    op.create_index(
        "trade_order_open_idx",
        "trade_order",
        ["fleet", "account", "event_no"],
        unique=False,
        schema="tradefleet",
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "trade_order_request_key", "trade_order", ["fleet", "uid", "request_seq"], unique=True, schema="tradefleet"
    )


def _create_venue_request() -> None:
    op.create_table(
        "venue_request",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("client_order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("is_settled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "event_no", sa.BigInteger(), server_default=sa.text("nextval('tradefleet.event_no')"), nullable=False
        ),
        sa.PrimaryKeyConstraint("fleet", "account", "no", name=op.f("venue_request_pkey")),
        schema="tradefleet",
        comment="Numbered requests to the venue; a void one stands for nothing any more.",
    )
    op.create_index(
        op.f("venue_request_fleet_client_order_id_idx"),
        "venue_request",
        ["fleet", "client_order_id"],
        unique=False,
        schema="tradefleet",
    )
    op.create_index(
        "venue_request_open_idx",
        "venue_request",
        ["fleet", "account", "no"],
        unique=False,
        schema="tradefleet",
        postgresql_where=sa.text("NOT is_settled"),
    )


def _create_venue_snapshot() -> None:
    op.create_table(
        "venue_snapshot",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("journal_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Text(collation="C"), nullable=False),
        sa.Column("state_hash", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("saved_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("fleet", "exchange", name=op.f("venue_snapshot_pkey")),
        schema="tradefleet",
        comment="A simulator's state after the journal record at journal_offset.",
    )


TABLES = {
    "audit_log": _create_audit_log,
    "backtest_result": _create_backtest_result,
    "bar": _create_bar,
    "bot": _create_bot,
    "bot_command": _create_bot_command,
    "bot_generation": _create_bot_generation,
    "bot_record_chunk": _create_bot_record_chunk,
    "bot_record_payload": _create_bot_record_payload,
    "bot_snapshot": _create_bot_snapshot,
    "broker_topic": _create_broker_topic,
    "consumer": _create_consumer,
    "dataset": _create_dataset,
    "dataset_coverage": _create_dataset_coverage,
    "dataset_import": _create_dataset_import,
    "dead_letter": _create_dead_letter,
    "fill": _create_fill,
    "fleet": _create_fleet,
    "gateway": _create_gateway,
    "gateway_blob": _create_gateway_blob,
    "halt": _create_halt,
    "halt_period": _create_halt_period,
    "instrument": _create_instrument,
    "lease": _create_lease,
    "ledger_entry": _create_ledger_entry,
    "login_role": _create_login_role,
    "outbox": _create_outbox,
    "posting": _create_posting,
    "progress": _create_progress,
    "resource": _create_resource,
    "run": _create_run,
    "run_participant": _create_run_participant,
    "statistics": _create_statistics,
    "stream": _create_stream,
    "trade_order": _create_trade_order,
    "venue_request": _create_venue_request,
    "venue_snapshot": _create_venue_snapshot,
}


def upgrade() -> None:
    """Make the tables."""
    op.execute(CreateSequence(EVENT_NUMBERS))
    for create in TABLES.values():
        create()


def downgrade() -> None:
    """Remove the tables with all they hold."""
    for table in reversed(TABLES):
        op.drop_table(table, schema="tradefleet")
    op.execute(DropSequence(EVENT_NUMBERS))
