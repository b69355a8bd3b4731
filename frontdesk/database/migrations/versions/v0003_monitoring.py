"""Verdicts of windows, and retrainings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the schema up."""
    op.create_table(
        "verdicts",
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("part", sa.String(length=401), nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("reference_start", MOMENT, nullable=True),
        sa.Column("reference_end", MOMENT, nullable=True),
        sa.Column("model_id", sa.String(length=64), nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("alarms", JSON, nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("retraining", JSON, nullable=True),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("recipe", "part", "window_end"),
    )
    op.create_table(
        "retrainings",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("snapshot", sa.String(length=64), nullable=False),
        sa.Column("taxonomy", sa.String(length=64), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("run", sa.String(length=200), nullable=True),
        sa.Column("model_id", sa.String(length=64), nullable=True),
        sa.Column("active", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("active"),
    )
    op.create_index(op.f("ix_retrainings_recipe"), "retrainings", ["recipe"], unique=False)


def downgrade() -> None:
    """Bring the schema down."""
    op.drop_index(op.f("ix_retrainings_recipe"), table_name="retrainings")
    op.drop_table("retrainings")
    op.drop_table("verdicts")
