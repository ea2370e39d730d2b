"""All detectors of the product: which metric, which finding, which family, and the policy that applies."""

from __future__ import annotations

import math
from datetime import timedelta

from perf_pipeline.fleet import DetectionPolicy, DropPolicy, RatioPolicy, SuccessDropPolicy
from perf_pipeline.monitoring.detectors.counts import CountModel
from perf_pipeline.monitoring.detectors.engine import Detector
from perf_pipeline.monitoring.detectors.judgement import Model
from perf_pipeline.monitoring.detectors.levels import COST, LATENCY, SCORE, TOKENS, LevelModel
from perf_pipeline.monitoring.detectors.lifecycle import Bar
from perf_pipeline.monitoring.detectors.success import SuccessModel
from perf_pipeline.monitoring.detectors.traffic import TrafficModel
from perf_pipeline.monitoring.finding_facts import least_effect
from perf_pipeline.monitoring.findings import FAMILIES

WEEK = timedelta(days=7)


def detectors(policy: DetectionPolicy, window: timedelta) -> tuple[Detector, ...]:
    models = _models(policy)
    evidence = evidence_bar(policy, window, len(models))
    lasting = timedelta(days=policy.new_normal_days) / window
    return tuple(
        Detector(metric, finding, FAMILIES[finding], model, _bar(getattr(policy, finding), evidence, lasting))
        for metric, finding, model in models
    )


def evidence_bar(policy: DetectionPolicy, window: timedelta, detectors: int) -> float:
    """The threshold on the statistic, in nats, where so many detectors watch each agent.

    One detector may alarm falsely once in A windows on average. That is detectors · (windows a week) / A false alarms
    an agent and week, which is what the policy bounds.
    """
    return math.log(detectors * (WEEK / window) / policy.false_alarms_per_agent_week)


def _models(policy: DetectionPolicy) -> tuple[tuple[str, str, Model], ...]:
    """Metric, finding (as the policy names it) and model of each detector."""
    success = policy.assumed_success_rate / 100
    failures = 1 - success
    return (
        ("success_rate", "success_drop", SuccessModel(success)),
        ("errors_per_task", "error_spike", CountModel("errors", failures)),
        ("log_errors", "log_error_spike", CountModel("log_errors", failures, background=True)),
        ("latency", "latency_increase", LevelModel(LATENCY)),
        ("cost_per_task", "cost_spike", LevelModel(COST)),
        ("tokens_per_task", "token_spike", LevelModel(TOKENS)),
        ("tasks", "traffic_drop", TrafficModel(surge=False)),
        ("tasks", "traffic_surge", TrafficModel(surge=True)),
        ("score", "score_drop", LevelModel(SCORE)),
    )


def _bar(rule: DropPolicy | RatioPolicy, evidence: float, lasting: float) -> Bar:
    steps = (rule.severity.medium, rule.severity.high, rule.severity.critical)
    critical_below = rule.critical_below if isinstance(rule, SuccessDropPolicy) else -math.inf
    return Bar(evidence, least_effect(rule), steps, critical_below, lasting)
