"""Optimizations that run: their results, what was spent, program versions and what agents run of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "optimization_runs",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("optimizer", sa.String, nullable=False),
        sa.Column("cap_usd", sa.Float, nullable=False),
        sa.Column("baseline", sa.String),
        sa.Column("baseline_sequence", sa.Integer, nullable=False),
        sa.Column("data_fingerprint", sa.String, nullable=False),
        sa.Column("configuration", sa.JSON, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("said", sa.String, nullable=False),
        sa.Column("version", sa.String),
        sa.Column("baseline_score", sa.Float),
        sa.Column("candidate_score", sa.Float),
        sa.Column("gain_points", sa.Float),
        sa.Column("held_out_items", sa.Integer),
        sa.Column("spent_usd", sa.Float, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("trouble", sa.String, nullable=False),
        sa.Column("not_before", TIME),
        sa.Column("cancel_requested_by", sa.String),
    )
    op.create_index("optimization_runs_by_id", "optimization_runs", ["id"])
    op.create_table(
        "spend_accounts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("committed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "spend",
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
        sa.Column("reserved_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.Column("answer", sa.String),
    )
    op.create_index("spend_by_request", "spend", ["request_id", "call"])
    op.create_table(
        "program_versions",
        sa.Column("agent", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("parent", sa.String),
        sa.Column("registered_at", TIME, nullable=False),
        sa.Column("quarantined_because", sa.String),
    )
    op.create_table(
        "program_aliases",
        sa.Column("agent", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("moved_at", TIME, nullable=False),
        sa.Column("moved_by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_table(
        "program_alias_moves",
        sa.Column("agent", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("version", sa.String),
        sa.Column("moved_at", TIME, nullable=False),
        sa.Column("moved_by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_table(
        "seen_examples",
        sa.Column("agent", sa.String, primary_key=True),
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("part", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
    )


def downgrade() -> None:
    op.execute("UPDATE optimization_requests SET state = 'cancelled' WHERE state IN ('refused', 'failed')")
    for name in (
        "seen_examples",
        "program_alias_moves",
        "program_aliases",
        "program_versions",
        "spend",
        "spend_accounts",
        "optimization_runs",
    ):
        op.drop_table(name)
