"""The ledger's tables, as SQLAlchemy sees them. Migrations in `migrations/versions` create them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.message import Message


class UtcTime(sa.TypeDecorator[datetime]):
    """An aware time in UTC. SQLite keeps no zone, so one is put back on when a value is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is not None and value.tzinfo is None:
            raise ValueError(f"The ledger takes aware times only, not {value!r}.")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class MessageJson(sa.TypeDecorator[Message]):
    """The content of a message, as JSON."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Message | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        return value.model_dump(mode="json", exclude_defaults=True) if value else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Message | None:  # noqa: ARG002
        return Message.model_validate(value) if value else None


metadata = sa.MetaData()

source_health = sa.Table(
    "source_health",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("window_start", UtcTime, primary_key=True),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("late_rows", sa.Integer, nullable=False),
    sa.Column("collected_at", UtcTime, nullable=False),
)

arrival_positions = sa.Table(
    "arrival_positions",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("position", sa.String, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("family", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("also", sa.JSON, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("onset", UtcTime, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("last_seen", UtcTime, nullable=False),
    sa.Column("resolved_at", UtcTime),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Column("root_cause", sa.String, nullable=False),
    sa.Column("recommended_action", sa.String, nullable=False),
    sa.Column("details", sa.String, nullable=False),
    sa.Column("example_traces", sa.JSON, nullable=False),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("evidence", sa.String, nullable=False),
    sa.Index("incidents_by_agent", "agent", "family", "onset"),
)

incident_analyses = sa.Table(
    "incident_analyses",
    metadata,
    sa.Column("incident_id", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("due_at", UtcTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("written_by", sa.String),
    sa.Column("written_at", UtcTime),
    sa.Column("trouble", sa.String, nullable=False),
    sa.Column("cause_kind", sa.String, nullable=False),
    sa.Column("confidence", sa.Float),
    sa.Column("what_changed", sa.String, nullable=False),
    sa.Column("likely_cause", sa.String, nullable=False),
    sa.Column("what_to_do", sa.String, nullable=False),
)

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("message", MessageJson, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("thread", sa.String),
    sa.Column("picture", sa.LargeBinary),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("claimed_by", sa.String),
    sa.Column("claimed_at", UtcTime),
    sa.Column("not_before", UtcTime),
    sa.Column("sent_at", UtcTime),
    sa.Column("channel", sa.String),
    sa.Column("message_ts", sa.String),
    sa.Column("note", sa.String),
    sa.Column("maybe_posted", sa.Boolean, nullable=False),
    sa.Index("notifications_by_state", "state", "created_at"),
)

optimization_requests = sa.Table(
    "optimization_requests",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("optimizer", sa.String, nullable=False),
    sa.Column("approval", sa.String, nullable=False),
    sa.Column("max_cost_usd", sa.Float, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("completed_tasks", sa.Integer, nullable=False),
    sa.Column("window_start", UtcTime, nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    # Two processes cannot both put an optimization of one agent in flight.
    sa.Index(
        "one_open_request_per_agent",
        "agent",
        unique=True,
        sqlite_where=sa.text("state IN ('awaiting_approval', 'ready', 'running')"),
        postgresql_where=sa.text("state IN ('awaiting_approval', 'ready', 'running')"),
    ),
)

alert_threads = sa.Table(
    "alert_threads",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("told_at", UtcTime, nullable=False),
    sa.Column("targets", sa.JSON, nullable=False),
    sa.Column("acknowledged_by", sa.String),
    sa.Column("acknowledged_at", UtcTime),
)

told_incidents = sa.Table(
    "told_incidents",
    metadata,
    sa.Column("incident_id", sa.String, primary_key=True),
    sa.Column("thread", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Column("withheld", sa.Boolean, nullable=False),
    sa.Index("told_incidents_by_thread", "thread"),
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("starts_at", UtcTime, nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("comment", sa.String, nullable=False),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("request_id", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("answered_by", sa.String),
    sa.Column("answered_through", sa.String),
    sa.Column("answered_at", UtcTime),
)

approval_answers = sa.Table(
    "approval_answers",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("answer", sa.String, nullable=False),
    sa.Column("person", sa.String, nullable=False),
    sa.Column("through", sa.String, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("reply", sa.String, nullable=False),
    sa.Index("approval_answers_by_request", "request_id"),
)

slack_requests = sa.Table(
    "slack_requests",
    metadata,
    sa.Column("signature", sa.String, primary_key=True),
    sa.Column("seen_at", UtcTime, nullable=False),
)

optimization_runs = sa.Table(
    "optimization_runs",
    metadata,
    sa.Column("request_id", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("agent", sa.String, nullable=False),
    sa.Column("optimizer", sa.String, nullable=False),
    sa.Column("cap_usd", sa.Float, nullable=False),
    sa.Column("baseline", sa.String),
    sa.Column("baseline_sequence", sa.Integer, nullable=False),
    sa.Column("data_fingerprint", sa.String, nullable=False),
    sa.Column("configuration", sa.JSON, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("outcome", sa.String),
    sa.Column("said", sa.String, nullable=False),
    sa.Column("version", sa.String),
    sa.Column("baseline_score", sa.Float),
    sa.Column("candidate_score", sa.Float),
    sa.Column("gain_points", sa.Float),
    sa.Column("held_out_items", sa.Integer),
    sa.Column("spent_usd", sa.Float, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("trouble", sa.String, nullable=False),
    sa.Column("not_before", UtcTime),
    sa.Column("cancel_requested_by", sa.String),
    sa.Index("optimization_runs_by_id", "id"),
)

spend_accounts = sa.Table(
    "spend_accounts",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # Nanodollars: billed, and reserved for calls that are under way.
    sa.Column("committed", sa.BigInteger, nullable=False),
)

spend = sa.Table(
    "spend",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("accounts", sa.JSON, nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("call", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("billed", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reserved_at", UtcTime, nullable=False),
    sa.Column("settled_at", UtcTime),
    # Kept until the run has ended, so that one that is taken up again does not pay twice.
    sa.Column("answer", sa.String),
    sa.Index("spend_by_request", "request_id", "call"),
)

program_versions = sa.Table(
    "program_versions",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("parent", sa.String),
    sa.Column("registered_at", UtcTime, nullable=False),
    sa.Column("quarantined_because", sa.String),
)

program_aliases = sa.Table(
    "program_aliases",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.String),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("moved_at", UtcTime, nullable=False),
    sa.Column("moved_by", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)

program_alias_moves = sa.Table(
    "program_alias_moves",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("version", sa.String),
    sa.Column("moved_at", UtcTime, nullable=False),
    sa.Column("moved_by", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("person", sa.String, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("last_used_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sa.Column("revoked_by", sa.String),
    sa.Index("api_tokens_by_digest", "digest", unique=True),
)

browser_sessions = sa.Table(
    "browser_sessions",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("token_id", sa.String, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
)

seen_examples = sa.Table(
    "seen_examples",
    metadata,
    sa.Column("agent", sa.String, primary_key=True),
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("part", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),
)
