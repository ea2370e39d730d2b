"""The figures that an incident's cause rests on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("incidents") as incidents:
        incidents.add_column(sa.Column("evidence", sa.String, nullable=False, server_default=""))
    with op.batch_alter_table("incidents") as incidents:
        incidents.alter_column("evidence", existing_type=sa.String, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("incidents") as incidents:
        incidents.drop_column("evidence")
