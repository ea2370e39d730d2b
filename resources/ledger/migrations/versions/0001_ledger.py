"""Source health, incidents, notifications and optimization requests."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

OPEN = sa.text("state IN ('awaiting_approval', 'ready', 'running')")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "source_health",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("window_start", TIME, primary_key=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("late_rows", sa.Integer, nullable=False),
        sa.Column("collected_at", TIME, nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("family", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("also", sa.JSON, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("onset", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("root_cause", sa.String, nullable=False),
        sa.Column("recommended_action", sa.String, nullable=False),
        sa.Column("details", sa.String, nullable=False),
        sa.Column("example_traces", sa.JSON, nullable=False),
    )
    op.create_index("incidents_by_agent", "incidents", ["agent", "family", "onset"])
    op.create_table(
        "notifications",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("blocks", sa.JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.String),
        sa.Column("claimed_at", TIME),
        sa.Column("not_before", TIME),
        sa.Column("sent_at", TIME),
        sa.Column("channel", sa.String),
        sa.Column("message_ts", sa.String),
        sa.Column("note", sa.String),
    )
    op.create_index("notifications_by_state", "notifications", ["state", "created_at"])
    op.create_table(
        "optimization_requests",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("optimizer", sa.String, nullable=False),
        sa.Column("approval", sa.String, nullable=False),
        sa.Column("max_cost_usd", sa.Float, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("completed_tasks", sa.Integer, nullable=False),
        sa.Column("window_start", TIME, nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
    )
    op.create_index(
        "one_open_request_per_agent",
        "optimization_requests",
        ["agent"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )


def downgrade() -> None:
    for table in ("optimization_requests", "notifications", "incidents", "source_health"):
        op.drop_table(table)
