"""fleet.yaml as types: every threshold, weight, price and cadence of the product, with its unit in its name.

What belongs here: what a team decides about its fleet. What does not: where systems are and how to log in
to them (`settings.py`), and any use of the values.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT, AnalystsConfig
from perf_pipeline.fleet_detection import DetectionPolicy, Rule
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.fleet_model import Approval, FleetModel, Hours, Percent, Positive
from perf_pipeline.fleet_model import Severity as Severity
from perf_pipeline.fleet_people import ApprovalsConfig, NotificationsConfig
from perf_pipeline.fleet_targets import NEEDS_REFLECTION, ModelConfig, OptimizerName, TargetConfig


class FleetError(ValueError):
    """fleet.yaml cannot be used. The message names the file, the key, the value and what was expected."""


class ScoreWeights(FleetModel):
    success: Annotated[float, Field(ge=0)]
    latency: Annotated[float, Field(ge=0)]
    errors: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _sum_to_100(self) -> ScoreWeights:
        total = self.success + self.latency + self.errors
        if abs(total - 100) > 1e-6:
            raise ValueError(f"the weights must sum to 100, not {total:g}")
        return self


class OptimizationPolicy(FleetModel):
    optimizer: OptimizerName
    min_tasks: Annotated[int, Field(ge=1)]
    max_cost_usd: Positive
    approval: Approval
    expected_improvement: tuple[Percent, Percent]

    @field_validator("expected_improvement")
    @classmethod
    def _from_low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must go from the lower to the higher percentage")
        return value


class AgentConfig(FleetModel):
    name: Annotated[str, Field(min_length=1)]
    policy: str
    latency_objective_ms: Positive
    score_weights: ScoreWeights | None = None
    monthly_budget_usd: Positive | None = None
    target: TargetConfig | None = None


class SourcesConfig(FleetModel):
    """How the sources are read. Where they are and how to log in is in the environment (`settings.py`)."""

    phoenix_road: Literal["query", "rest", "mcp", "postgres"] = "query"
    phoenix_mcp_command: tuple[str, ...] = ()
    railway_log_retention_days: Annotated[int, Field(ge=1, le=3650)] = 30


class FleetConfig(FleetModel):
    """The whole of fleet.yaml. Times are in the team's `timezone` only where a field says so; else UTC."""

    timezone: str
    daily_summary_at: time
    owner: Annotated[str, Field(pattern=r"^(team:\w+|[^@\s]+@[^@\s]+)$")]
    slack_channel: Annotated[str, Field(pattern=r"^(#[\w.-]+|[CGD][A-Z0-9]{5,})$")]
    history_start: date
    window_minutes: Annotated[int, Field(ge=1, le=60)]
    lateness_windows: Annotated[int, Field(ge=0, le=48)]
    longest_task_hours: Annotated[float, Field(gt=0, le=168)]
    catch_up_hours: Annotated[Hours, Field(gt=0)]
    catch_up_after_minutes: Positive
    act_within_hours: Annotated[Hours, Field(gt=0)]
    agent_attributes: Annotated[tuple[str, ...], Field(min_length=1)]
    ignored_agents: tuple[str, ...] = ()
    sources: SourcesConfig = SourcesConfig()
    score_weights: ScoreWeights
    detection: DetectionPolicy
    metrics: tuple[MetricConfig, ...] = ()
    optimization_policies: dict[str, OptimizationPolicy]
    cool_down_hours: Hours
    monthly_budget_usd: Positive
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    analysts: AnalystsConfig = AnalystsConfig()
    notifications: NotificationsConfig = NotificationsConfig()
    approvals: ApprovalsConfig = ApprovalsConfig()
    agents: Annotated[tuple[AgentConfig, ...], Field(min_length=1)]

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a time zone of the IANA database, such as Europe/Berlin") from error
        return value

    @field_validator("daily_summary_at", mode="before")
    @classmethod
    def _hour_and_minute(cls, value: object) -> object:
        # YAML reads 9:00 without quotes as the number 540.
        if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d", value):
            raise ValueError('must be a time of day in quotes, such as "09:00"')
        return value

    @field_validator("window_minutes")
    @classmethod
    def _divides_the_hour(cls, value: int) -> int:
        if 60 % value:
            raise ValueError("must divide 60, so that windows start alike in every hour")
        return value

    @model_validator(mode="after")
    def _names_agree(self) -> FleetConfig:
        names = [agent.name for agent in self.agents]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"agents: {', '.join(twice)} is listed twice")
        for agent in self.agents:
            if agent.policy not in self.optimization_policies:
                known = ", ".join(self.optimization_policies)
                raise ValueError(f"agents: {agent.name} has policy {agent.policy!r}; there are {known}")
        both = sorted(set(names) & set(self.ignored_agents))
        if both:
            raise ValueError(f"ignored_agents: {', '.join(both)} is also listed under agents")
        return self

    @model_validator(mode="after")
    def _analysts_can_be_asked(self) -> FleetConfig:
        name = self.analysts.model
        if name is None:
            return self
        if name not in self.models:
            raise ValueError(f"analysts: model is {name!r}; models has {', '.join(self.models) or 'none'}")
        if PERFORMANCE_AGENT not in self.agent_names:
            raise ValueError(f"analysts: list {PERFORMANCE_AGENT} under agents, for its calls are watched like others'")
        return self

    @model_validator(mode="after")
    def _metrics_agree(self) -> FleetConfig:
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"metrics: {', '.join(twice)} is listed twice")
        for metric in self.metrics:
            strangers = sorted(set(metric.agents) - set(self.agent_names))
            if strangers:
                raise ValueError(f"metrics: {metric.name} names the agents {', '.join(strangers)}, which agents lacks")
        return self

    @model_validator(mode="after")
    def _targets_can_be_run(self) -> FleetConfig:
        for agent in self.agents:
            if agent.target is not None:
                self._check_target(agent.name, agent.target, self.optimization_policies[agent.policy].optimizer)
        return self

    def _check_target(self, agent: str, target: TargetConfig, optimizer: str) -> None:
        place = f"agents: the target of {agent}"
        for key in ("task_model", "reflection_model", "judge_model"):
            name = getattr(target, key)
            if name is not None and name not in self.models:
                known = ", ".join(self.models) or "none"
                raise ValueError(f"{place} has {key} {name!r}; models has {known}")
        if optimizer in NEEDS_REFLECTION and target.reflection_model is None:
            raise ValueError(f"{place} needs a reflection_model, for {optimizer} rewrites instructions with it")
        try:
            target.optimizer_settings(optimizer)
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(["settings", *(str(part) for part in problem["loc"])])
            reason = str(problem["msg"]).removeprefix("Value error, ")
            raise ValueError(f"{place}: {key}, for {optimizer}: {reason}") from error

    @property
    def agent_names(self) -> tuple[str, ...]:
        return tuple(agent.name for agent in self.agents)

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.window_minutes)

    @property
    def lateness(self) -> timedelta:
        return self.window * self.lateness_windows

    @property
    def act_within(self) -> timedelta:
        return timedelta(hours=self.act_within_hours)

    @property
    def catch_up_after(self) -> timedelta:
        return timedelta(minutes=self.catch_up_after_minutes)

    @property
    def catch_up(self) -> timedelta:
        return timedelta(hours=self.catch_up_hours)

    @property
    def summary_within(self) -> timedelta:
        """How long after its end a day's summary is still sent: until that of the next day is due."""
        return timedelta(days=1, hours=self.daily_summary_at.hour, minutes=self.daily_summary_at.minute)

    @property
    def history_start_utc(self) -> datetime:
        return datetime(self.history_start.year, self.history_start.month, self.history_start.day, tzinfo=UTC)

    def agent(self, name: str) -> AgentConfig | None:
        return next((agent for agent in self.agents if agent.name == name), None)

    def metric(self, name: str) -> MetricConfig | None:
        return next((metric for metric in self.metrics if metric.name == name), None)

    def rule(self, finding: str) -> Rule:
        """When a change is a finding of this type, as a detector names it: built in, or the name of a metric."""
        metric = self.metric(finding)
        return getattr(self.detection, finding) if metric is None else metric.rule

    def optimization_policy(self, agent: AgentConfig) -> OptimizationPolicy:
        return self.optimization_policies[agent.policy]

    def weights(self, agent: AgentConfig | None) -> ScoreWeights:
        return (agent.score_weights if agent else None) or self.score_weights


def load_fleet(path: Path) -> FleetConfig:
    """Read fleet.yaml. Raises FleetError with one line for each wrong key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror}): set PERF_PIPELINE_FLEET to your fleet.yaml."
        raise FleetError(reason) from error
    except UnicodeDecodeError as error:
        raise FleetError(f"{path} is not UTF-8 text: save it in that encoding.") from error
    try:
        content = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise FleetError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise FleetError(f"{path} must be a mapping of settings; it holds {type(content).__name__}.")
    try:
        return FleetConfig.model_validate(content)
    except ValidationError as error:
        lines = [_sentence(dict(problem)) for problem in error.errors()]
        raise FleetError(f"{path} has {len(lines)} wrong setting(s):\n" + "\n".join(lines)) from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: else the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _sentence(problem: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"- {key}: is missing."
    if problem["type"] == "extra_forbidden":
        return f"- {key}: is not a setting of fleet.yaml; check its spelling."
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if not key:
        return f"- {reason}."
    return f"- {key}: {reason} (it is {problem['input']!r})."
