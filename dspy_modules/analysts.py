"""The product's own DSPy programs: they explain to people what was computed. They are optimized like any agent's."""

from __future__ import annotations

import dspy

from dspy_modules.performance_signatures import (
    AnomalyDetection,
    OptimizationRecommendation,
    PerformanceAnalysis,
    PerformanceReport,
)
from dspy_modules.programs import Program


class IncidentAnalyst(dspy.Module):
    """Explains an incident: `cause_kind`, `confidence`, and the three sentences of a report."""

    def __init__(self) -> None:
        super().__init__()
        self.find_cause = dspy.Predict(AnomalyDetection)
        self.report = dspy.Predict(PerformanceReport)

    def forward(self, facts: str) -> dspy.Prediction:
        found = self.find_cause(facts=facts)
        told = self.report(facts=facts, cause_kind=found.cause_kind)
        return dspy.Prediction(
            cause_kind=found.cause_kind,
            confidence=found.confidence,
            what_changed=told.what_changed,
            likely_cause=told.likely_cause,
            what_to_do=told.what_to_do,
        )


def fleet_analyst() -> Program:
    """Sums up a period of the fleet: `facts` to `assessment` and `insight`."""
    return dspy.Predict(PerformanceAnalysis)


def optimization_analyst() -> Program:
    """Comments on a decision to optimize: `facts` to `advice` and `reason`."""
    return dspy.Predict(OptimizationRecommendation)
