"""Every kind of message as its readers see it, drawn as Slack does: on a desktop, on a phone, in a notification.

The pictures are for people to look at: .demo/screenshots/messages.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from perf_pipeline.assets.score_chart import score_chart
from perf_pipeline.fleet_people import SLACK, NotificationKind
from perf_pipeline.message import Message, RenderedMessage
from perf_pipeline.notifications.alert_messages import alert_message
from perf_pipeline.notifications.approval_messages import Prospect, approval_message, outcome_message
from perf_pipeline.notifications.daily_message import DayReport, daily_summary_message
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.rendering import render
from perf_pipeline.notifications.silence_messages import silenced_message
from perf_pipeline.notifications.trial_message import trial_message
from perf_pipeline.notifications.weekly_message import weekly_summary_message
from perf_pipeline.records import ApprovalRecord, ApprovalState, Silence
from resources.slack_pictures import with_picture
from tests.alert_stories import NEW_YORK, alert_stories, failing
from tests.approval_builders import FLEET, NOON, request_to_approve
from tests.message_content import HOSTILE
from tests.summary_builders import NINE, bad_day, day_report, empty_day, eventful_week, large_fleet

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PAGE = Path(__file__).parent / "slack_message.html"
PICTURES = Path(__file__).parents[2] / ".demo" / "screenshots" / "messages"


@dataclass(frozen=True)
class Story:
    message: Message
    picture: bytes | None = None
    answers: bool = False
    """Whether it stands in a thread."""


THREADED = (
    "joined",
    "many-joined",
    "worse",
    "back",
    "recovered",
    "recovered-in-part",
    "outage-over",
    "mixed",
    "acknowledged",
    "reminder",
    "reminder-of-200-agents",
)


def approvals() -> Mapping[str, Story]:
    request = request_to_approve(
        reasons=(
            "22 completed tasks since the last optimization, 20 are needed",
            "score 62/100 and degrading over the last 7 days",
        )
    )
    asked = ApprovalRecord(request.id, "3f9c2a", ApprovalState.REQUESTED, NOON, NOON + timedelta(hours=48))
    answered = replace(asked, answered_by="ana", answered_through="reaction", answered_at=NOON + timedelta(minutes=9))
    outcomes = {
        state: replace(answered, state=state) for state in ApprovalState if state is not ApprovalState.REQUESTED
    }
    fleet = FLEET.model_copy(update={"timezone": NEW_YORK})
    ends = [state for state in ApprovalState if state is not ApprovalState.REQUESTED]
    outcomes = {state: outcome_message(request, replace(answered, state=state), fleet) for state in ends}
    return {
        "approval": Story(approval_message(request, asked, Prospect((20, 40)), fleet)),
        "approval-with-past-gains": Story(approval_message(request, asked, Prospect((20, 40), (12, 31, 4)), fleet)),
        **{f"approval-{state}": Story(message, answers=True) for state, message in outcomes.items()},
    }


def summaries() -> Mapping[str, Story]:
    bad, figures = bad_day()
    many, figures_of_many = large_fleet()
    return {
        "daily-summary-quiet": Story(daily_summary_message(day_report())),
        "daily-summary-bad": _summary_with_chart(bad, figures),
        "daily-summary-empty": Story(daily_summary_message(empty_day())),
        "daily-summary-of-200-agents": _summary_with_chart(many, figures_of_many),
        "weekly-summary": Story(weekly_summary_message(eventful_week())),
        "weekly-summary-of-200-agents": Story(weekly_summary_message(eventful_week(200))),
    }


def _summary_with_chart(report: DayReport, figures: pd.DataFrame) -> Story:
    chart = score_chart(figures, report.summary, report.incidents, report.day, report.timezone, report.window, NINE)
    return Story(daily_summary_message(report), chart)


def hostile() -> Message:
    """An alert whose every text is an attack."""
    attack = " ".join(text for text in HOSTILE if len(text) < 200)
    found = failing(attack, root_cause=attack, details=attack, recommended_action=attack)
    return alert_message([found], "alert:0123456789abcdef", NEW_YORK, lambda _: "javascript:alert(1)")


def stories() -> Mapping[str, Story]:
    silence = Silence("s1", "InboundAgent", "success_drop", NOON, NOON + timedelta(hours=4), "Ana Ruiz")
    return {
        **{name: Story(message, answers=name in THREADED) for name, message in alert_stories().items()},
        "silenced": Story(silenced_message([silence], NEW_YORK), answers=True),
        "test": Story(trial_message("slack", NOON)),
        "hostile": Story(hostile()),
        **approvals(),
        **summaries(),
    }


def rendered(story: Story) -> RenderedMessage:
    [notification] = to_targets("key", NotificationKind.TEST, story.message, (SLACK,), NOON, picture=story.picture)
    return render(notification)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "Chromium is not installed: apt-get install chromium."
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1220, "height": 400})
        page.goto(PAGE.as_uri())
        yield page
        browser.close()


def test_every_kind_of_message_is_drawn_as_its_readers_see_it(page: Page) -> None:
    for name, story in stories().items():
        shown = rendered(story)
        blocks = shown.slack_blocks
        if story.picture:
            blocks = with_picture(blocks, "F0123456789", shown.picture_text or "")
        content = {"text": shown.slack_text, "blocks": blocks, "picture": _address(story), "reply": _reply(story)}
        page.evaluate("draw", content)
        assert page.locator("#desktop .header").inner_text() == shown.title
        # Nothing is wider than the phone.
        assert page.evaluate("document.getElementById('phone').scrollWidth <= 352"), name
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def _address(story: Story) -> str | None:
    return f"data:image/png;base64,{base64.b64encode(story.picture).decode()}" if story.picture else None


def _reply(story: Story) -> str | None:
    if not story.answers:
        return None
    return "replied to a thread, and to the channel" if story.message.announce else "replied to a thread"
