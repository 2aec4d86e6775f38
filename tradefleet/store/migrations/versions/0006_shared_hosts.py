"""Bots that share a process: which host runs a bot, and why it was put out of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_BEFORE = "Lease, positions and open chunk (tail) of the record. retired: the policy a bot was deleted with."
_COMMENT = f"{_BEFORE} host: the shared process that runs it; trouble: why that put it out."


def upgrade() -> None:
    """Apply the step."""
    for column in ("host", "trouble"):
        op.add_column(
            "bot",
            sa.Column(column, sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
            schema="tradefleet",
        )
    op.create_table_comment("bot", _COMMENT, existing_comment=_BEFORE, schema="tradefleet")


def downgrade() -> None:
    """Take the step back: every bot runs in a process of its own."""
    op.create_table_comment("bot", _BEFORE, existing_comment=_COMMENT, schema="tradefleet")
    for column in ("trouble", "host"):
        op.drop_column("bot", column, schema="tradefleet")
