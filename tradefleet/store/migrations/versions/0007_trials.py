"""Trials of Backtests: what was asked, and one row for each trial. Nothing was ever written to the table of before."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the step."""
    op.drop_table("backtest_result", schema="tradefleet")
    op.create_table(
        "backtest_run",
        _text("fleet"),
        _text("uid"),
        _text("question"),
        _text("backtest"),
        _number("generation"),
        _number("trials"),
        sa.Column("db_role", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        _number("asked_us"),
        _document("inputs"),
        sa.PrimaryKeyConstraint("fleet", "uid", "question", name=op.f("backtest_run_pkey")),
        schema="tradefleet",
        comment="What a Backtest asked, and how many trials that took: kept for good, since luck grows with their "
        "number. db_role: the one log-in that may add their results; asked_us: when it was asked last.",
    )
    op.create_index(op.f("backtest_run_db_role_idx"), "backtest_run", ["db_role"], unique=False, schema="tradefleet")
    op.create_table(
        "backtest_result",
        _text("fleet"),
        _text("uid"),
        _text("question"),
        _number("trial"),
        _document("parameters"),
        sa.Column("score", sa.Numeric(), nullable=True),
        sa.Column("vs_hold", sa.Numeric(), nullable=True),
        _text("quote"),
        _text("bot"),
        _text("error"),
        _text("dataset_hash"),
        _text("ledger_hash"),
        sa.Column("is_synthetic", sa.Boolean(), nullable=False),
        _number("started_us"),
        _number("finished_us"),
        _document("figures"),
        sa.Column("report", sa.LargeBinary(), server_default=sa.text("''::bytea"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", "question", "trial", name=op.f("backtest_result_pkey")),
        schema="tradefleet",
        comment="One row per trial, added once: its figures, or the error that ended it. report: a page, as zlib packs "
        "it, of a run that is no part of a search.",
    )
    op.create_index(
        "backtest_result_best_idx",
        "backtest_result",
        ["fleet", "uid", "question", sa.text("score DESC NULLS LAST"), "trial"],
        unique=False,
        schema="tradefleet",
    )


def downgrade() -> None:
    """Take the step back; trials are lost."""
    op.drop_table("backtest_result", schema="tradefleet")
    op.drop_table("backtest_run", schema="tradefleet")
    op.create_table(
        "backtest_result",
        _text("fleet"),
        _text("uid"),
        _text("trial"),
        _text("backtest"),
        _number("generation"),
        _text("ledger_hash"),
        _number("started_us"),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        _document("inputs"),
        _document("figures"),
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


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _document(name: str) -> sa.Column[object]:
    return sa.Column(
        name, postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
    )
