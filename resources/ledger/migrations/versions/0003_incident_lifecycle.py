"""When an incident opened and was resolved, and how often it came back."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    with op.batch_alter_table("incidents") as incidents:
        incidents.add_column(sa.Column("opened_at", time))
        incidents.add_column(sa.Column("resolved_at", time))
        incidents.add_column(sa.Column("reopened", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE incidents SET opened_at = onset")
    op.execute("UPDATE incidents SET resolved_at = last_seen WHERE state = 'resolved'")
    with op.batch_alter_table("incidents") as incidents:
        incidents.alter_column("opened_at", existing_type=time, nullable=False)
        incidents.alter_column("reopened", existing_type=sa.Integer, server_default=None)


def downgrade() -> None:
    op.execute("UPDATE incidents SET state = 'open' WHERE state = 'recovering'")
    with op.batch_alter_table("incidents") as incidents:
        for name in ("opened_at", "resolved_at", "reopened"):
            incidents.drop_column(name)
