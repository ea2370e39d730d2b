"""All detectors of the product: which metric, which finding, which family, and the policy that applies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from perf_pipeline.fleet_detection import DetectionPolicy, Rule, SuccessDropPolicy
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.detectors.counts import CountModel
from perf_pipeline.monitoring.detectors.engine import Detector
from perf_pipeline.monitoring.detectors.judgement import CUSTOM, CUSTOM_TASKS, Model
from perf_pipeline.monitoring.detectors.levels import COST, LATENCY, SCORE, TOKENS, LevelModel, LevelSettings
from perf_pipeline.monitoring.detectors.lifecycle import Bar
from perf_pipeline.monitoring.detectors.success import SuccessModel
from perf_pipeline.monitoring.detectors.traffic import TrafficModel
from perf_pipeline.monitoring.finding_facts import least_effect
from perf_pipeline.monitoring.findings import family_of

WEEK = timedelta(days=7)

ASSUMED_AGREEMENT = 0.97
"""The share of an agent's tasks on which spans, agent_state and logs agree, as long as it has no history."""


def detectors(policy: DetectionPolicy, window: timedelta, metrics: Sequence[MetricConfig] = ()) -> tuple[Detector, ...]:
    """One for each built-in finding, and one for each of the fleet's `metrics` that is watched."""
    models, watched = _models(policy), [metric for metric in metrics if metric.watched]
    evidence = evidence_bar(policy, window, len(models) + len(watched))
    lasting = timedelta(days=policy.new_normal_days) / window
    built_in = (
        Detector(metric, finding, family_of(finding), model, _bar(getattr(policy, finding), evidence, lasting))
        for metric, finding, model in models
    )
    custom = (
        Detector(
            metric.name,
            metric.name,
            family_of(metric.name),
            custom_model(metric),
            _bar(metric.rule, evidence, lasting),
            metric.definition,
            metric.applies_to,
        )
        for metric in watched
    )
    return (*built_in, *custom)


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
        ("unnoticed_failures", "unnoticed_failures", SuccessModel(ASSUMED_AGREEMENT, bad="unnoticed_failures")),
        ("missing_traces", "missing_traces", SuccessModel(ASSUMED_AGREEMENT, bad="missing_traces", of="finished_rows")),
        ("unseen_errors", "unseen_errors", CountModel("unseen_errors", 1 - ASSUMED_AGREEMENT, background=True)),
    )


def custom_model(metric: MetricConfig) -> LevelModel:
    """A level like cost, or like the score, on the scale of the smallest change that matters.

    Of what varies between tasks nothing is known beforehand but that scale.
    """
    least = least_effect(metric.rule)
    field, tasks, ratio = f"{CUSTOM}{metric.name}", f"{CUSTOM_TASKS}{metric.name}", metric.is_ratio
    unit = float(np.log(least)) if ratio else least
    sizes = (unit, 2 * unit, 4 * unit)
    if ratio:
        return LevelModel(LevelSettings(field, sizes, metric.sign, tasks_field=tasks, positive=True))
    return LevelModel(
        LevelSettings(
            field,
            sizes,
            metric.sign,
            between=0.375 * unit,
            least_between=0.125 * unit,
            within=3.75 * unit,
            logarithmic=False,
            tasks_field=tasks,
        )
    )


def _bar(rule: Rule, evidence: float, lasting: float) -> Bar:
    steps = (rule.severity.medium, rule.severity.high, rule.severity.critical)
    critical_below = rule.critical_below if isinstance(rule, SuccessDropPolicy) else -math.inf
    return Bar(evidence, least_effect(rule), steps, critical_below, lasting)
