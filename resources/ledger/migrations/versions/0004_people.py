"""Messages as content, to several targets and in threads; what people were told; silences; approvals."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("incidents") as incidents:
        incidents.add_column(sa.Column("cause", sa.String, nullable=False, server_default=""))
    with op.batch_alter_table("incidents") as incidents:
        incidents.alter_column("cause", existing_type=sa.String, server_default=None)
    _messages_as_content()
    op.create_table(
        "alert_threads",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("told_at", TIME, nullable=False),
        sa.Column("targets", sa.JSON, nullable=False),
        sa.Column("acknowledged_by", sa.String),
        sa.Column("acknowledged_at", TIME),
    )
    op.create_table(
        "told_incidents",
        sa.Column("incident_id", sa.String, primary_key=True),
        sa.Column("thread", sa.String, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reopened", sa.Integer, nullable=False),
        sa.Column("withheld", sa.Boolean, nullable=False),
    )
    op.create_index("told_incidents_by_thread", "told_incidents", ["thread"])
    # An incident whose alert stands in the outbox was told, in a thread that is named by the alert's key.
    op.execute(
        "INSERT INTO told_incidents SELECT i.id, 'alert:' || i.id, i.severity, i.state, i.reopened, "
        "n.state = 'withheld' FROM incidents i JOIN notifications n ON n.key = 'alert:' || i.id || '@slack'"
    )
    op.execute(
        "INSERT INTO alert_threads (id, cause, opened_at, told_at, targets) SELECT 'alert:' || i.id, "
        "'', i.opened_at, n.created_at, '[\"slack\"]' FROM incidents i "
        "JOIN notifications n ON n.key = 'alert:' || i.id || '@slack'"
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("comment", sa.String, nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("answered_by", sa.String),
        sa.Column("answered_through", sa.String),
        sa.Column("answered_at", TIME),
    )
    op.create_table(
        "approval_answers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("answer", sa.String, nullable=False),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("through", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("reply", sa.String, nullable=False),
    )
    op.create_index("approval_answers_by_request", "approval_answers", ["request_id"])
    op.create_table(
        "slack_requests",
        sa.Column("signature", sa.String, primary_key=True),
        sa.Column("seen_at", TIME, nullable=False),
    )


def _messages_as_content() -> None:
    with op.batch_alter_table("notifications") as notifications:
        notifications.add_column(sa.Column("message", sa.JSON))
        notifications.add_column(sa.Column("target", sa.String, nullable=False, server_default="slack"))
        notifications.add_column(sa.Column("thread", sa.String))
        notifications.add_column(sa.Column("picture", sa.LargeBinary))
        notifications.add_column(sa.Column("maybe_posted", sa.Boolean, nullable=False, server_default=sa.false()))
    connection = op.get_bind()
    for key, text in connection.execute(sa.text("SELECT key, text FROM notifications")).all():
        connection.execute(
            sa.text("UPDATE notifications SET message = :message, key = :new WHERE key = :key"),
            {"message": json.dumps(_content(text)), "new": f"{key}@slack", "key": key},
        )
    with op.batch_alter_table("notifications") as notifications:
        notifications.drop_column("text")
        notifications.drop_column("blocks")
        notifications.alter_column("message", existing_type=sa.JSON, nullable=False)
        notifications.alter_column("target", existing_type=sa.String, server_default=None)
        notifications.alter_column("maybe_posted", existing_type=sa.Boolean, server_default=None)


def _content(text: str) -> dict[str, object]:
    """The content of a message of which only the text in Slack's markup was kept."""
    title, *paragraphs = text.split("\n\n")
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        paragraphs = [paragraph.replace(entity, character) for paragraph in paragraphs]
    sections = [{"lines": [[{"text": line}] for line in paragraph.split("\n")]} for paragraph in paragraphs]
    return {"title": title, "sections": sections}


def downgrade() -> None:
    for name in ("slack_requests", "approval_answers", "approvals", "silences", "told_incidents", "alert_threads"):
        op.drop_table(name)
    op.execute("UPDATE optimization_requests SET state = 'cancelled' WHERE state IN ('declined', 'expired')")
    op.execute("DELETE FROM notifications")
    with op.batch_alter_table("notifications") as notifications:
        for name in ("message", "target", "thread", "picture", "maybe_posted"):
            notifications.drop_column(name)
        notifications.add_column(sa.Column("text", sa.String, nullable=False))
        notifications.add_column(sa.Column("blocks", sa.JSON, nullable=False))
    with op.batch_alter_table("incidents") as incidents:
        incidents.drop_column("cause")
