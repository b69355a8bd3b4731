"""First tables: keys, predictions, idempotent answers, feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the schema up."""
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("prefix"),
    )
    op.create_index(op.f("ix_api_keys_client"), "api_keys", ["client"], unique=False)
    op.create_table(
        "feedback_events",
        sa.Column("source", sa.String(length=401), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("prediction_id", sa.String(length=32), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("source", "event"),
    )
    op.create_index("feedback_events_case", "feedback_events", ["recipe", "case_id"], unique=False)
    op.create_table(
        "idempotent_answers",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_idempotent_answers_expires_at"), "idempotent_answers", ["expires_at"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("verdicts", JSON, nullable=False),
        sa.Column("shown_at", MOMENT, nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("recipe", "case_id"),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("recipe", sa.String(length=40), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=True),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("intents", JSON, nullable=True),
        sa.Column("source", sa.String(length=40), nullable=True),
        sa.Column("degraded", sa.Boolean(), nullable=False),
        sa.Column("holdout", sa.Boolean(), nullable=False),
        sa.Column("experiment", sa.String(length=200), nullable=True),
        sa.Column("arm", sa.String(length=200), nullable=True),
        sa.Column("line", sa.String(length=200), nullable=True),
        sa.Column("features", JSON, nullable=False),
        sa.Column("inputs", JSON, nullable=True),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.Double(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("predictions_at", "predictions", ["recipe", "at"], unique=False)
    op.create_index("predictions_case", "predictions", ["recipe", "case_id"], unique=False)


def downgrade() -> None:
    """Bring the schema down."""
    op.drop_index("predictions_case", table_name="predictions")
    op.drop_index("predictions_at", table_name="predictions")
    op.drop_table("predictions")
    op.drop_table("outcomes")
    op.drop_index(op.f("ix_idempotent_answers_expires_at"), table_name="idempotent_answers")
    op.drop_table("idempotent_answers")
    op.drop_index("feedback_events_case", table_name="feedback_events")
    op.drop_table("feedback_events")
    op.drop_index(op.f("ix_api_keys_client"), table_name="api_keys")
    op.drop_table("api_keys")
