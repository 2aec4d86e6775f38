"""Whose leases are: a resource that is made again under a name takes over what the one before has left."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COMMENT = "UIDs of deleted Exchanges and Feeds: no process of theirs gets a lease any more."


def upgrade() -> None:
    """Apply the step."""
    for table in ("gateway", "lease"):
        op.add_column(
            table,
            sa.Column("owner", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
            schema="tradefleet",
        )
    op.create_table(
        "retired_owner",
        sa.Column("fleet", sa.Text(collation="C"), nullable=False),
        sa.Column("uid", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("fleet", "uid", name=op.f("retired_owner_pkey")),
        schema="tradefleet",
        comment=_COMMENT,
    )


def downgrade() -> None:
    """Take the step back: an Exchange or Feed that was made again waits for the generation of the one before."""
    op.drop_table("retired_owner", schema="tradefleet")
    for table in ("lease", "gateway"):
        op.drop_column(table, "owner", schema="tradefleet")
