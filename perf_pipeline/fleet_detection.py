"""The part of fleet.yaml about detection: which changes matter, and how severe they are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from perf_pipeline.fleet_model import FleetModel, Hours, Percent, Positive, Severity


class SeveritySteps(FleetModel):
    """The effect from which a finding is of each severity; below `medium` it is low."""

    medium: Positive
    high: Positive
    critical: Positive

    @model_validator(mode="after")
    def _steps_rise(self) -> SeveritySteps:
        if not self.medium <= self.high <= self.critical:
            raise ValueError("the steps must rise: medium ≤ high ≤ critical")
        return self

    def of(self, effect: float) -> Severity:
        if effect >= self.critical:
            return Severity.CRITICAL
        if effect >= self.high:
            return Severity.HIGH
        if effect >= self.medium:
            return Severity.MEDIUM
        return Severity.LOW


class DropPolicy(FleetModel):
    """A fall in points: of the success rate, or of the score."""

    min_drop: Percent
    severity: SeveritySteps


class SuccessDropPolicy(DropPolicy):
    critical_below: Percent


class RatioPolicy(FleetModel):
    """A rise to so many times the baseline; for `traffic_drop`, a fall to the baseline divided by so much."""

    min_ratio: Annotated[float, Field(gt=1)]
    severity: SeveritySteps


class RisePolicy(FleetModel):
    """A rise in points: of a share in percent."""

    min_rise: Percent
    severity: SeveritySteps


class ChangePolicy(FleetModel):
    """A change for the worse by so much, in the metric's own unit."""

    min_change: Positive
    severity: SeveritySteps


Rule = DropPolicy | RisePolicy | RatioPolicy | ChangePolicy


class DetectionPolicy(FleetModel):
    """When a change is a finding. `false_alarms_per_agent_week` bounds them for all metrics of an agent together."""

    false_alarms_per_agent_week: Annotated[float, Field(gt=0, le=100)]
    memory_days: Annotated[float, Field(gt=0, le=90)]
    assumed_success_rate: Annotated[float, Field(gt=0, lt=100)]
    new_normal_days: Annotated[float, Field(gt=0, le=90)]
    reopen_within_hours: Hours
    success_drop: SuccessDropPolicy
    error_spike: RatioPolicy
    log_error_spike: RatioPolicy
    latency_increase: RatioPolicy
    cost_spike: RatioPolicy
    token_spike: RatioPolicy
    traffic_drop: RatioPolicy
    traffic_surge: RatioPolicy
    score_drop: DropPolicy
    unnoticed_failures: RisePolicy = RisePolicy(min_rise=8, severity=SeveritySteps(medium=15, high=40, critical=100))
    missing_traces: RisePolicy = RisePolicy(min_rise=15, severity=SeveritySteps(medium=25, high=60, critical=100))
    unseen_errors: RatioPolicy = RatioPolicy(min_ratio=2, severity=SeveritySteps(medium=2.5, high=10, critical=100))
