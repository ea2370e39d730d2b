"""Which versions of agents' programs there are, and which of them agents run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.records import ProgramAlias, ProgramVersion
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection


class ProgramLedger(LedgerConnection):
    def register_version(self, version: ProgramVersion) -> bool:
        """Record a version. False, and nothing changes, where it is known."""
        return self._insert_new(schema.program_versions, asdict(version))

    def program_version(self, agent: str, version: str) -> ProgramVersion | None:
        table = schema.program_versions
        rows = self._all(sa.select(table).where(table.c.agent == agent, table.c.version == version))
        return ProgramVersion(**rows[0]) if rows else None

    def program_versions(self, agent: str | None = None) -> list[ProgramVersion]:
        """Oldest first."""
        table = schema.program_versions
        query = sa.select(table).order_by(table.c.registered_at, table.c.agent, table.c.version)
        return [
            ProgramVersion(**row) for row in self._all(query if agent is None else query.where(table.c.agent == agent))
        ]

    def program_alias(self, agent: str, name: str) -> ProgramAlias | None:
        """None where it was never moved: the agent runs the program as it stands in the code."""
        table = schema.program_aliases
        rows = self._all(sa.select(table).where(table.c.agent == agent, table.c.name == name))
        return ProgramAlias(**rows[0]) if rows else None

    def program_aliases(self) -> list[ProgramAlias]:
        table = schema.program_aliases
        return [ProgramAlias(**row) for row in self._all(sa.select(table).order_by(table.c.agent, table.c.name))]

    def alias_moves(self, agent: str, name: str) -> list[ProgramAlias]:
        """Where the alias was moved to, oldest first."""
        table = schema.program_alias_moves
        query = sa.select(table).where(table.c.agent == agent, table.c.name == name).order_by(table.c.sequence)
        return [ProgramAlias(**row) for row in self._all(query)]

    def move_alias(self, alias: ProgramAlias, *, quarantine: str | None = None) -> bool:
        """Move the alias, if it stands one move before `alias.sequence`, and the version may be run.

        `quarantine` is the version that is left because of `alias.reason`, and will never be moved to again.
        False, and nothing changes, where somebody else has moved it, or the version is quarantined or unknown.
        """
        with self._engine.connect() as connection, connection.begin() as transaction:
            moved = self._move(connection, alias)
            if moved and quarantine is not None:
                table = schema.program_versions
                connection.execute(
                    sa.update(table)
                    .where(table.c.agent == alias.agent, table.c.version == quarantine)
                    .values(quarantined_because=alias.reason)
                )
            if not moved:
                transaction.rollback()
            return moved

    def _move(self, connection: sa.Connection, alias: ProgramAlias) -> bool:
        """Within the caller's transaction, which is to be taken back where this says False."""
        aliases, versions = schema.program_aliases, schema.program_versions
        row: dict[str, Any] = asdict(alias)
        if alias.sequence == 1:
            insert = self._insert(aliases).values(row).on_conflict_do_nothing()
            moved = connection.execute(insert.returning(aliases.c.agent)).first() is not None
        else:
            before = sa.update(aliases).where(
                aliases.c.agent == alias.agent,
                aliases.c.name == alias.name,
                aliases.c.sequence == alias.sequence - 1,
            )
            moved = connection.execute(before.values(row)).rowcount == 1
        if not moved:
            return False
        if alias.version is not None:
            usable = sa.select(versions.c.version).where(
                versions.c.agent == alias.agent,
                versions.c.version == alias.version,
                versions.c.quarantined_because.is_(None),
            )
            if connection.execute(usable).first() is None:
                return False
        connection.execute(sa.insert(schema.program_alias_moves).values(row))
        return True

    def seen_examples(self, agent: str) -> set[str]:
        """Digests of the examples that a training or a gate of the agent has seen."""
        table = schema.seen_examples
        return {row["digest"] for row in self._all(sa.select(table.c.digest).where(table.c.agent == agent))}

    def record_seen_examples(self, agent: str, run_id: str, parts: Iterable[tuple[str, str]], now: datetime) -> None:
        """Remember (digest, part) pairs; one that was seen before stays as it was."""
        table = schema.seen_examples
        rows = [
            {"agent": agent, "digest": digest, "part": part, "run_id": run_id, "seen_at": now} for digest, part in parts
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(self._insert(table).on_conflict_do_nothing(), rows)

    def examples_seen_by_run(self, agent: str, run_id: str) -> set[str]:
        table = schema.seen_examples
        query = sa.select(table.c.digest).where(table.c.agent == agent, table.c.run_id == run_id)
        return {row["digest"] for row in self._all(query)}
