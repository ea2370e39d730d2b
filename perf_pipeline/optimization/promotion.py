"""Where an alias is moved to when a version is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perf_pipeline.records import ProgramAlias, ProgramVersion


class RollbackRefusedError(ValueError):
    """The version cannot be taken back. The message says why."""


def rolled_back(
    current: ProgramAlias | None,
    moves: Sequence[ProgramAlias],
    versions: Sequence[ProgramVersion],
    person: str,
    reason: str,
    now: datetime,
) -> ProgramAlias:
    """The alias as it is to be: at the last version that was in production before and was never taken back, or at the
    program as it stands in the code, where there is none.

    `moves` are the alias's, oldest first. Raises RollbackRefusedError where the code is what runs.
    """
    if current is None or current.version is None:
        raise RollbackRefusedError("The program runs as it stands in the code: there is no version to take back.")
    usable = {version.version for version in versions if version.quarantined_because is None} - {current.version}
    earlier = [move.version for move in moves if move.version in usable]
    target = earlier[-1] if earlier else None
    return ProgramAlias(current.agent, current.name, target, current.sequence + 1, now, person, f"rollback: {reason}")
