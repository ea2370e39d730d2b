"""The part of fleet.yaml about people: who hears of what, through which channel, and who may approve."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from perf_pipeline.fleet_model import FleetModel, Hours, Positive, Severity

SlackChannel = Annotated[str, Field(pattern=r"^(#[\w.-]+|[CGD][A-Z0-9]{5,})$")]
TargetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SLACK = "slack"
"""The target that is there without being named: the fleet's own channel, which approvals are asked in."""


class NotificationKind(StrEnum):
    ALERT = "alert"
    APPROVAL = "approval"
    OPTIMIZATION = "optimization"
    DAILY_SUMMARY = "daily_summary"
    WEEKLY_SUMMARY = "weekly_summary"
    TEST = "test"


class SlackTarget(FleetModel):
    """A channel of the workspace of SLACK_BOT_TOKEN; without a name, the fleet's own."""

    kind: Literal["slack"]
    channel: SlackChannel | None = None


class AppriseTarget(FleetModel):
    """E-mail, SMS, PagerDuty, Teams, Discord, a webhook: whatever an Apprise address names. The address holds secrets,
    so the environment variable `url_variable` holds it."""

    kind: Literal["apprise"]
    url_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class AlertmanagerTarget(FleetModel):
    """Prometheus Alertmanager, which then does its own grouping and routing. It gets alerts, not other messages."""

    kind: Literal["alertmanager"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]


Target = Annotated[SlackTarget | AppriseTarget | AlertmanagerTarget, Field(discriminator="kind")]


class Route(FleetModel):
    """Messages that match in everything that is given go to `to`. Agents are patterns of a shell, such as Re*."""

    to: Annotated[tuple[TargetName, ...], Field(min_length=1)]
    kinds: tuple[NotificationKind, ...] = ()
    severities: tuple[Severity, ...] = ()
    agents: tuple[str, ...] = ()


class NotificationsConfig(FleetModel):
    targets: dict[TargetName, Target] = Field(default_factory=lambda: {SLACK: SlackTarget(kind="slack")})
    routes: Annotated[tuple[Route, ...], Field(min_length=1)] = (Route(to=(SLACK,)),)
    alert_from: Severity = Severity.HIGH
    repeat_hours: Annotated[Hours, Field(gt=0)] = 12
    acknowledge_within_minutes: Positive = 60
    escalate_to: tuple[TargetName, ...] = ()
    weekly_summary_on: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"

    @field_validator("targets")
    @classmethod
    def _with_slack(cls, value: dict[str, Target]) -> dict[str, Target]:
        return {SLACK: SlackTarget(kind="slack"), **value}

    @model_validator(mode="after")
    def _targets_are_known(self) -> NotificationsConfig:
        for place, names in [*(("routes", route.to) for route in self.routes), ("escalate_to", self.escalate_to)]:
            for name in names:
                if name not in self.targets:
                    raise ValueError(f"{place}: {name!r} is not among the targets {', '.join(self.targets)}")
        for name in self.escalate_to:
            if isinstance(self.targets[name], AlertmanagerTarget):
                raise ValueError(f"escalate_to: {name} is an Alertmanager, which gets no messages; name another target")
        if not isinstance(self.targets[SLACK], SlackTarget):
            raise ValueError("targets: slack must be of kind slack; give the other target another name")
        return self

    @property
    def repeat(self) -> timedelta:
        return timedelta(hours=self.repeat_hours)

    @property
    def acknowledge_within(self) -> timedelta:
        return timedelta(minutes=self.acknowledge_within_minutes)


class Approver(FleetModel):
    """`slack` is the person's member ID, which Slack shows in the profile under 'Copy member ID'."""

    name: Annotated[str, Field(min_length=1)]
    slack: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,}$")] | None = None


class ApprovalsConfig(FleetModel):
    approvers: tuple[Approver, ...] = ()
    expire_after_hours: Annotated[Hours, Field(gt=0)] = 48

    @model_validator(mode="after")
    def _each_once(self) -> ApprovalsConfig:
        for what, values in (
            ("name", [approver.name for approver in self.approvers]),
            ("slack", [approver.slack for approver in self.approvers if approver.slack]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"approvers: the {what} {', '.join(twice)} is listed twice")
        return self

    @property
    def expire_after(self) -> timedelta:
        return timedelta(hours=self.expire_after_hours)

    def by_name(self, name: str) -> Approver | None:
        return next((approver for approver in self.approvers if approver.name == name), None)

    def by_slack(self, member_id: str) -> Approver | None:
        return next((approver for approver in self.approvers if approver.slack == member_id), None)
