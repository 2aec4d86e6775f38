"""What an exchange was when a lockstep run began: an edit while it goes on waits for its end."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COMMENT = "Lockstep runs; `terms` is what their exchange was when they began, which holds until they end."


def upgrade() -> None:
    """Apply the step."""
    op.add_column(
        "run",
        sa.Column("terms", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        schema="tradefleet",
    )
    op.create_table_comment("run", _COMMENT, schema="tradefleet")


def downgrade() -> None:
    """Take the step back: runs that go on take up every edit from then on."""
    op.drop_table_comment("run", existing_comment=_COMMENT, schema="tradefleet")
    op.drop_column("run", "terms", schema="tradefleet")
