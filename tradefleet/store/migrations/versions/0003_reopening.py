"""What an owner says about a bot's stream that is closed: reopen it, leave out a request of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the step."""
    for column in ("reopen_no", "skip_seq"):
        op.add_column(
            "bot_command",
            sa.Column(column, sa.BigInteger(), server_default=sa.text("0"), autoincrement=False, nullable=False),
            schema="tradefleet",
        )


def downgrade() -> None:
    """Take the step back, with what owners have said."""
    for column in ("skip_seq", "reopen_no"):
        op.drop_column("bot_command", column, schema="tradefleet")
