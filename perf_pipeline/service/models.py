"""What the routes answer, as types: shapes, units and examples. All times are UTC."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class ProgramVersionModel(BaseModel):
    """A version of an agent's program, as it was registered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent": "InboundAgent",
                    "version": "8c1f0a6d2b7e4f90",
                    "sha256": "8c1f0a6d2b7e4f90…",
                    "parent": None,
                    "registered_at": "2026-11-22T10:00:00Z",
                    "quarantined_because": None,
                    "in_production": True,
                }
            ]
        }
    )

    agent: str
    version: str
    sha256: str
    parent: str | None
    registered_at: datetime
    quarantined_because: str | None
    in_production: bool
