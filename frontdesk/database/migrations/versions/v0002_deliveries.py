"""Webhooks of desks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the schema up."""
    op.create_table(
        "deliveries",
        sa.Column("desk", sa.String(length=40), nullable=False),
        sa.Column("delivery", sa.String(length=128), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("event", JSON, nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("desk", "delivery"),
        sa.UniqueConstraint("desk", "case_id", "content", name="deliveries_content"),
    )
    op.create_index("deliveries_due", "deliveries", ["state", "due_at"], unique=False)


def downgrade() -> None:
    """Bring the schema down."""
    op.drop_index("deliveries_due", table_name="deliveries")
    op.drop_table("deliveries")
