"""What language models said of incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "incident_analyses",
        sa.Column("incident_id", sa.String, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("written_by", sa.String),
        sa.Column("written_at", TIME),
        sa.Column("trouble", sa.String, nullable=False),
        sa.Column("cause_kind", sa.String, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("what_changed", sa.String, nullable=False),
        sa.Column("likely_cause", sa.String, nullable=False),
        sa.Column("what_to_do", sa.String, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("incident_analyses")
