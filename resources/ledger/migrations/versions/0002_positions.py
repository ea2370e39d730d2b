"""How far the arrivals of a source have been looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "arrival_positions",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("position", sa.String, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("arrival_positions")
