"""What datasets hold of each series, tickers and trades."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the step."""
    op.add_column(
        "dataset",
        sa.Column("is_synthetic", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="tradefleet",
    )
    op.create_table(
        "dataset_series",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("interval_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bars", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_hash", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "dataset", "symbol", "interval_us", name=op.f("dataset_series_pkey")),
        schema="tradefleet",
        comment="What a dataset holds of one instrument and interval; the hash is over its bars in the order of time.",
    )
    op.create_table(
        "ticker",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("event_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bid", sa.Double(), nullable=False),
        sa.Column("bid_size", sa.Double(), nullable=False),
        sa.Column("ask", sa.Double(), nullable=False),
        sa.Column("ask_size", sa.Double(), nullable=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "exchange", "symbol", "event_us", "seq", name=op.f("ticker_pkey")),
        schema="tradefleet",
        comment="Best prices as they changed. seq tells two of the same microsecond apart.",
    )
    op.create_table(
        "market_trade",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("exchange", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("trade_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("size", sa.Double(), nullable=False),
        sa.Column("taker_side", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "exchange", "symbol", "trade_id", name=op.f("market_trade_pkey")),
        schema="tradefleet",
        comment="Public trades, each once, by the venue's id.",
    )
    op.create_index(
        op.f("market_trade_fleet_exchange_symbol_event_us_idx"),
        "market_trade",
        ["fleet", "exchange", "symbol", "event_us"],
        unique=False,
        schema="tradefleet",
    )


def downgrade() -> None:
    """Take the step back, with the tables' content."""
    op.drop_table("market_trade", schema="tradefleet")
    op.drop_table("ticker", schema="tradefleet")
    op.drop_table("dataset_series", schema="tradefleet")
    op.drop_column("dataset", "is_synthetic", schema="tradefleet")
