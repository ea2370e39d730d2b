"""The product's own DSPy programs: they explain to people what was computed. They are optimized like any agent's."""

from __future__ import annotations

import dspy

from dspy_modules.performance_signatures import (
    AnomalyDetection,
    OptimizationRecommendation,
    PerformanceAnalysis,
    PerformanceReport,
)


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


class FleetAnalyst(dspy.Module):
    """Sums up a period of the fleet: `assessment` and `insight`."""

    def __init__(self) -> None:
        super().__init__()
        self.analyse = dspy.Predict(PerformanceAnalysis)

    def forward(self, facts: str) -> dspy.Prediction:
        return self.analyse(facts=facts)


class OptimizationAnalyst(dspy.Module):
    """Comments on a decision to optimize: `advice` and `reason`."""

    def __init__(self) -> None:
        super().__init__()
        self.recommend = dspy.Predict(OptimizationRecommendation)

    def forward(self, facts: str) -> dspy.Prediction:
        return self.recommend(facts=facts)
