"""Experiments, the unit that a prediction was assigned by, and what closings measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the schema up."""
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT, nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    running = sa.text("state = 'running'")
    op.create_index(
        "experiments_running", "experiments", ["recipe"], unique=True, sqlite_where=running, postgresql_where=running
    )
    op.create_index("predictions_experiment", "predictions", ["experiment"], unique=False)
    op.add_column("predictions", sa.Column("unit", sa.String(length=200), nullable=True))
    op.add_column("feedback_events", sa.Column("measures", JSON, nullable=False, server_default="{}"))
    op.add_column("outcomes", sa.Column("measures", JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Bring the schema down."""
    op.drop_column("outcomes", "measures")
    op.drop_column("feedback_events", "measures")
    op.drop_index("predictions_experiment", table_name="predictions")
    op.drop_column("predictions", "unit")
    op.drop_index("experiments_running", table_name="experiments")
    op.drop_table("experiments")
