"""All detectors of the product: which metric, which finding, which family, and the policy that applies."""

from __future__ import annotations

import math
from datetime import timedelta

from perf_pipeline.fleet import DetectionPolicy, RatioPolicy, SeveritySteps
from perf_pipeline.monitoring.detectors.counts import CountModel
from perf_pipeline.monitoring.detectors.engine import Detector
from perf_pipeline.monitoring.detectors.levels import COST, LATENCY, SCORE, TOKENS, LevelModel
from perf_pipeline.monitoring.detectors.lifecycle import Bar
from perf_pipeline.monitoring.detectors.success import SuccessModel
from perf_pipeline.monitoring.detectors.traffic import TrafficModel

WEEK = timedelta(days=7)
METRICS = 9


def evidence_bar(policy: DetectionPolicy, window: timedelta) -> float:
    """The threshold on the statistic, in nats.

    One detector may alarm falsely once in A windows on average. With `METRICS` detectors on each agent that is
    METRICS · (windows a week) / A false alarms an agent and week, which is what the policy bounds.
    """
    return math.log(METRICS * (WEEK / window) / policy.false_alarms_per_agent_week)


def detectors(policy: DetectionPolicy, window: timedelta) -> tuple[Detector, ...]:
    evidence = evidence_bar(policy, window)
    lasting = timedelta(days=policy.new_normal_days) / window

    def bar(effect: float, steps: SeveritySteps, critical_below: float = -math.inf) -> Bar:
        return Bar(evidence, effect, (steps.medium, steps.high, steps.critical), critical_below, lasting)

    drop = policy.success_drop
    success = bar(drop.min_drop, drop.severity, drop.critical_below)
    failures = 1 - policy.assumed_success_rate / 100

    def ratio(rule: RatioPolicy) -> Bar:
        return bar(rule.min_ratio, rule.severity)

    score = bar(policy.score_drop.min_drop, policy.score_drop.severity)
    return (
        Detector(
            "success_rate", "success_drop", "reliability", SuccessModel(policy.assumed_success_rate / 100), success
        ),
        Detector(
            "errors_per_task", "error_spike", "reliability", CountModel("errors", failures), ratio(policy.error_spike)
        ),
        Detector(
            "log_errors",
            "log_error_spike",
            "reliability",
            CountModel("log_errors", failures, background=True),
            ratio(policy.log_error_spike),
        ),
        Detector("latency", "latency_increase", "latency", LevelModel(LATENCY), ratio(policy.latency_increase)),
        Detector("cost_per_task", "cost_spike", "cost", LevelModel(COST), ratio(policy.cost_spike)),
        Detector("tokens_per_task", "token_spike", "cost", LevelModel(TOKENS), ratio(policy.token_spike)),
        Detector("tasks", "traffic_drop", "traffic", TrafficModel(surge=False), ratio(policy.traffic_drop)),
        Detector("tasks", "traffic_surge", "surge", TrafficModel(surge=True), ratio(policy.traffic_surge)),
        Detector("score", "score_drop", "score", LevelModel(SCORE), score),
    )
