"""The part of fleet.yaml about metrics of a team's own: how they are computed, and what their values mean."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from perf_pipeline.fleet_detection import ChangePolicy, RatioPolicy, SeveritySteps
from perf_pipeline.fleet_model import FleetModel, Positive
from perf_pipeline.fleet_targets import ImportPath

KINDS = ("sql", "function", "annotation")

TAKEN = frozenset(
    (
        *(
            "success_rate",
            "errors_per_task",
            "log_errors",
            "latency",
            "cost_per_task",
            "tokens_per_task",
            "tasks",
            "score",
        ),
        *("success_drop", "error_spike", "log_error_spike", "latency_increase", "cost_spike", "token_spike"),
        *("traffic_drop", "traffic_surge", "silence", "score_drop", "data_gap"),
        *("unnoticed_failures", "missing_traces", "unseen_errors"),
        *("reliability", "cost", "traffic", "surge", "data", "disagreement"),
    )
)
"""Names of built-in metrics, findings and their families: a metric of the same name would be taken for them."""

LEAST_RATIO, LEAST_PERCENT, LEAST_SCORE = 1.4, 10.0, 0.1
"""The smallest changes that matter where fleet.yaml says nothing: times, percentage points, points of an annotation."""

RATIO_AT_ZERO = 4.0
"""So many times worse than its objective, a metric that is compared as a ratio adds nothing to the score."""

CHANGES_TO_ZERO = 5.0
"""The same for one that is compared as a difference, in smallest changes that matter."""


class MetricDetection(FleetModel):
    """From which change on a metric is a finding: `min_ratio` times, or `min_change` in the metric's unit.

    Without `severity`, twice the logarithm of the ratio is medium, 3.3 times high and 5 times critical; of a
    difference 1.5, 2.5 and 5 times.
    """

    min_ratio: Annotated[float, Field(gt=1)] | None = None
    min_change: Positive | None = None
    severity: SeveritySteps | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> MetricDetection:
        if (self.min_ratio is None) == (self.min_change is None):
            raise ValueError("needs either min_ratio (times) or min_change (in the metric's unit)")
        return self

    @property
    def rule(self) -> RatioPolicy | ChangePolicy:
        if self.min_ratio is not None:
            ratio = self.min_ratio
            steps = SeveritySteps(medium=ratio**2, high=ratio**3.3, critical=ratio**5)
            return RatioPolicy(min_ratio=ratio, severity=self.severity or steps)
        assert self.min_change is not None
        change = self.min_change
        steps = SeveritySteps(medium=1.5 * change, high=2.5 * change, critical=5 * change)
        return ChangePolicy(min_change=change, severity=self.severity or steps)


class MetricConfig(FleetModel):
    """A metric of each agent and window: an SQL aggregate over agent_tasks, a Python function of its tasks, or the mean
    score of an annotation. docs/custom-metrics.md says what each of them gets and gives.

    `weight` is its part of the score beside the 100 of the built-in ones; `zero_at` the value at which it adds nothing.
    An empty `agents` stands for all. What is not `watched` is computed and shown, and alarms nobody.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    sql: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    function: ImportPath | None = None
    annotation: Annotated[str, Field(min_length=1)] | None = None
    unit: Annotated[str, Field(max_length=20, pattern=r"^[^\s|`<>]?[^|`<>\n]*$")] = ""
    better: Literal["lower", "higher"]
    objective: float | None = None
    weight: Annotated[float, Field(ge=0, le=100)] = 0
    zero_at: float | None = None
    detection: MetricDetection | None = None
    watched: bool = True
    agents: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_one_kind(self) -> MetricConfig:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            had = f"has {' and '.join(given)}" if given else "has none of them"
            raise ValueError(f"{self.name} needs one of sql, function and annotation, and {had}")
        if self.name in TAKEN:
            raise ValueError(f"name: {self.name} is the name of something built in; choose another one")
        return self

    @model_validator(mode="after")
    def _sql_is_an_aggregate(self) -> MetricConfig:
        if self.sql is not None:
            # Only fleet files with such a metric pay for the parser.
            from perf_pipeline.fleet_sql import check_aggregate

            try:
                check_aggregate(self.sql)
            except ValueError as error:
                raise ValueError(f"sql: that of {self.name} {error}") from error
        return self

    @model_validator(mode="after")
    def _scored_by_an_objective(self) -> MetricConfig:
        if self.objective is None:
            for key in ("weight", "zero_at"):
                if getattr(self, key):
                    raise ValueError(f"{key}: {self.name} has one, and so needs an objective")
            return self
        if self.weight and self.zero_at is None and self.is_ratio and self.objective <= 0:
            raise ValueError(
                f"objective: that of {self.name} is compared as a ratio and must be positive; else give "
                "detection.min_change, or zero_at"
            )
        if self.zero_at is not None and self.sign * (self.zero_at - self.objective) <= 0:
            worse = "above" if self.better == "lower" else "below"
            raise ValueError(
                f"zero_at: that of {self.name} must lie {worse} its objective, for {self.better} is better"
            )
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def source(self) -> str:
        """The SQL, the import path or the name of the annotation."""
        return str(getattr(self, self.kind))

    @property
    def sign(self) -> int:
        """+1 where more is worse, -1 where less is."""
        return 1 if self.better == "lower" else -1

    @property
    def rule(self) -> RatioPolicy | ChangePolicy:
        return (self.detection or self._usual_detection).rule

    @property
    def _usual_detection(self) -> MetricDetection:
        if self.unit == "%":
            return MetricDetection(min_change=LEAST_PERCENT)
        if self.annotation is not None:
            return MetricDetection(min_change=LEAST_SCORE)
        return MetricDetection(min_ratio=LEAST_RATIO)

    @property
    def is_ratio(self) -> bool:
        """Whether its values are positive, and compared by how many times one is the other."""
        return isinstance(self.rule, RatioPolicy)

    @property
    def definition(self) -> str:
        """Names what is computed and how it is compared: values and baselines of another definition do not count."""
        told = [self.kind, self.source, self.unit, self.better, self.is_ratio]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]

    def applies_to(self, agent: str) -> bool:
        return not self.agents or agent in self.agents
