"""What fleet.yaml may say about people, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from perf_pipeline.fleet_people import ApprovalsConfig, NotificationsConfig, SlackTarget

MAIL = {"kind": "apprise", "url_variable": "MAIL_URL"}
PROM = {"kind": "alertmanager", "url": "http://alertmanager:9093"}


def config(**content: Any) -> NotificationsConfig:
    return NotificationsConfig.model_validate(content)


def refusal(**content: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        config(**content)
    return str(refused.value)


def test_without_a_word_about_them_notifications_go_to_slack() -> None:
    assert config().targets == {"slack": SlackTarget(kind="slack")}
    assert [route.to for route in config().routes] == [("slack",)]


def test_slack_is_there_beside_the_targets_that_are_named_and_keeps_its_own_channel() -> None:
    assert list(config(targets={"mail": MAIL}).targets) == ["slack", "mail"]
    slack = config(targets={"slack": {"kind": "slack", "channel": "#ops"}}).targets["slack"]
    assert isinstance(slack, SlackTarget)
    assert slack.channel == "#ops"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"routes": [{"to": ["pager"]}]}, "routes: 'pager' is not among the targets slack"),
        ({"escalate_to": ["pager"]}, "escalate_to: 'pager' is not among the targets slack"),
        ({"targets": {"slack": MAIL}}, "slack must be of kind slack"),
        ({"targets": {"prom": PROM}, "escalate_to": ["prom"]}, "prom is an Alertmanager, which gets no messages"),
        ({"routes": []}, "at least 1"),
        ({"routes": [{"to": []}]}, "at least 1"),
        ({"targets": {"mail": {"kind": "apprise", "url_variable": "mailto://me:secret@example.com"}}}, "url_variable"),
        ({"targets": {"prom": {"kind": "alertmanager", "url": "http://me:secret@prom"}}}, "url"),
        ({"targets": {"prom": {"kind": "alertmanager", "url": "prom:9093"}}}, "url"),
        ({"targets": {"Slack Ops": {"kind": "slack"}}}, "Slack Ops"),
        ({"targets": {"carrier": {"kind": "pigeon"}}}, "pigeon"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(content: dict[str, Any], said: str) -> None:
    assert said in refusal(**content)


def test_an_approver_counts_once() -> None:
    people = [{"name": "Ana", "slack": "U111"}, {"name": "Ben", "slack": "U111"}]
    with pytest.raises(ValidationError, match="the slack U111 is listed twice"):
        ApprovalsConfig.model_validate({"approvers": people})
    known = ApprovalsConfig.model_validate({"approvers": people[:1]})
    assert (known.by_name("Ana"), known.by_slack("U111")) == (known.approvers[0], known.approvers[0])
    assert (known.by_name("Ben"), known.by_slack("U222")) == (None, None)
