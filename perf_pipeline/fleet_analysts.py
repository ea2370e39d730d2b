"""The part of fleet.yaml about the analysts: which language model words incidents, and what that may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from perf_pipeline.fleet_model import FleetModel, Positive

PERFORMANCE_AGENT = "PerformanceAgent"
"""The agent that the analysts' own calls are traced as. It is watched and optimized like the others."""


class AnalystsConfig(FleetModel):
    """`model` is one of `models`; without one, rules word everything. All calls of a cycle, or of a summary, together
    get `seconds`; what is not answered by then is worded by rules."""

    model: str | None = None
    monthly_budget_usd: Positive = 5
    seconds: Annotated[float, Field(gt=0, le=120)] = 8
