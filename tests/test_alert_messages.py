"""What people on call read: the layout of the seeds, short, on their clock, and true of whom it names."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from perf_pipeline.fleet import Severity
from perf_pipeline.message import Message
from perf_pipeline.notifications.alert_messages import (
    Change,
    acknowledged_message,
    alert_message,
    escalation_message,
    reminder_message,
    update_message,
)
from perf_pipeline.notifications.plain_text import plain_text, subject
from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.records import Incident
from tests.alert_stories import NEW_YORK, THREAD, alert_stories, failing, fleet_of, outage, over, slow
from tests.incident_builders import incident
from tests.message_content import text as any_text


def told(*incidents: Incident, timezone: str = "UTC") -> str:
    return plain_text(alert_message(incidents, THREAD.id, timezone, lambda _: None))


def changed(*changes: Change, still_open: tuple[Incident, ...] = ()) -> Message:
    return update_message(changes, still_open, "UTC")


def test_an_alert_has_the_layout_of_the_seeds() -> None:
    message = alert_message([incident()], "alert:1", "UTC", lambda _: None)
    assert message.title == "🚨 PERFORMANCE ALERT"
    assert plain_text(message) == (
        "Agent: InboundAgent\n"
        "Severity: HIGH\n"
        "Type: success_drop\n"
        "\n"
        "What Changed: Success rate dropped from 85% to 0%.\n"
        "Root Cause: Model degradation.\n"
        "Recommended Action: IMMEDIATE. Start with the example traces.\n"
        "\n"
        "Details: Success rate dropped from 85% to 0%\n"
        "\n"
        "Worded by: rules\n"
        "\n"
        "To acknowledge: perf-pipeline ack alert:1"
    )


def test_all_times_of_an_alert_are_on_the_teams_clock() -> None:
    text = told(failing(), timezone=NEW_YORK)
    assert "Success rate fell from 85% to 0% since 09:30 EDT (practically certain)." in text
    assert "the deployment of 09:24 EDT" in text
    assert "since 09:30 EDT (0 of 17 tasks" in text
    assert "UTC" not in text


def test_an_alert_names_the_other_types_and_links_to_its_traces() -> None:
    found = incident(also=("error_spike",), example_traces=("0123456789abcdef", "fedcba9876543210"))
    addresses = {"0123456789abcdef": "https://phoenix.example/t/1"}
    text = plain_text(alert_message([found], "alert:1", "UTC", addresses.get))
    assert "Type: success_drop (also error_spike)\n" in text
    assert "\n\nExample traces: 01234567 (https://phoenix.example/t/1), fedcba98\n\n" in text


def test_phones_read_what_is_wrong_in_the_first_line() -> None:
    first = subject(alert_message([failing()], "alert:1", "UTC", lambda _: None))
    assert first == "🚨 PERFORMANCE ALERT · InboundAgent: Success rate fell from 85% to 0% since 13:30 UTC"


def test_all_that_is_wrong_with_one_agent_is_listed_below_its_name() -> None:
    text = told(slow("InboundAgent"), failing())
    assert text.startswith(
        "Agent: InboundAgent\nSeverity: CRITICAL\nType: success_drop (also error_spike, latency_increase)\n"
    )
    assert re.search(r"Details:\n- Success rate fell .*\n- Typical latency rose .*\n\n", text)


def test_a_group_says_how_many_how_grave_and_what_they_have_in_common() -> None:
    message = alert_message(fleet_of(200), THREAD.id, NEW_YORK, lambda _: None)
    text = plain_text(message)
    assert text.startswith(
        "Agents: 200, the worst 10 are listed below\n"
        "Severity: CRITICAL (20 critical, 180 high)\n"
        "Type: success_drop, latency_increase (10 of 200)\n"
        "Since: 2025-10-27 09:30 EDT\n"
        "\n"
        "Root Cause: Deployment of 2025-10-27 09:24 EDT: Shorten the answer prompt (main), common to all 200 agents\n"
        "For example Agent000: 17 of 17 failures are AdapterParseError"
    )
    assert message.headline.startswith("200 agents: success_drop; cause: Deployment of 2025-10-27 09:24 EDT")


def test_a_group_lists_the_ten_worst_agents_and_counts_the_rest() -> None:
    rows = [row for row in told(*fleet_of(200)).splitlines() if row.startswith("- ")]
    assert [row[2:10] for row in rows[:10]] == [f"Agent{number:03}" for number in range(0, 100, 10)]
    assert rows[1] == "- Agent010: CRITICAL, success rate fell from 85% to 0% since 13:30 UTC (also latency_increase)"
    assert rows[10:] == ["- … and 190 more agents"]


def test_one_agent_more_than_the_list_holds_is_one_agent() -> None:
    assert "- … and 1 more agent\n" in told(*[failing(f"Agent{number}") for number in range(11)])
    assert "more" not in told(*[failing(f"Agent{number}") for number in range(10)])


@pytest.mark.parametrize(
    ("causes", "said"),
    [
        (("TimeoutError", "TimeoutError", "TimeoutError"), "TimeoutError, common to all 3 agents"),
        (("TimeoutError", "", "TimeoutError"), "TimeoutError, common to 2 of the 3 agents"),
        (("gpt-5-mini", "gpt-5-mini", ""), "gpt-5-mini, common to 2 of the 3 agents"),
        (("", "", ""), "No common one is known"),
    ],
)
def test_the_common_cause_says_of_how_many_agents_it_is_known(causes: tuple[str, ...], said: str) -> None:
    found = [failing(f"Agent{number}", cause=cause) for number, cause in enumerate(causes)]
    assert f"\nRoot Cause: {said}\nFor example Agent0: " in told(*found)


def test_the_worst_comes_first_whatever_the_order() -> None:
    found = [failing("A", severity=Severity.HIGH), failing("B"), failing("C", severity=Severity.MEDIUM)]
    assert told(*found) == told(*reversed(found))
    assert told(*found).startswith("Agents: B, A, C\nSeverity: CRITICAL (1 critical, 1 high, 1 medium)\n")


def test_an_outage_of_data_is_no_agents_failure() -> None:
    message = alert_message([outage()], THREAD.id, NEW_YORK, lambda _: None)
    text = plain_text(message)
    assert (message.title, message.headline) == ("📡 DATA OUTAGE", "the spans could not be read completely")
    assert text.startswith(
        "Source: spans\nSeverity: HIGH\nType: data_gap\nSince: 2025-10-27 09:30 EDT\n\nRoot Cause: Phoenix"
    )
    assert "\nThis is not an agent's failure. " in text
    assert "source:" not in text
    assert "Agent:" not in text


def test_an_outage_of_several_sources_says_what_each_answered() -> None:
    text = told(outage(), outage("logs", root_cause="Railway answered HTTP 503."))
    assert text.startswith("Sources: logs, spans\n")
    assert re.search(r"Root Cause:\nlogs: Railway answered HTTP 503\.\nspans: Phoenix at ", text)


BROKEN = failing()


@pytest.mark.parametrize(
    ("kind", "title", "said"),
    [
        (
            "worse",
            "It got worse",
            "InboundAgent is now CRITICAL: success rate fell from 85% to 0% since 13:30 UTC (0 of",
        ),
        ("back", "It is back", "InboundAgent is affected again (CRITICAL): success rate fell from 85% to 0%"),
        ("joined", "More is failing", "InboundAgent is affected, too (CRITICAL): success rate fell from 85% to 0%"),
    ],
)
def test_an_update_says_what_became_of_whom(kind: str, title: str, said: str) -> None:
    message = changed(Change(BROKEN, kind), still_open=(BROKEN,))  # type: ignore[arg-type]
    assert message.title == title
    assert plain_text(message).startswith(said)
    assert message.announce


def test_a_recovery_says_since_when_and_how_long_it_took() -> None:
    message = changed(Change(over(BROKEN), "recovered"))
    assert subject(message) == "✅ RECOVERED · InboundAgent is back to normal"
    assert plain_text(message) == "InboundAgent is back to normal since 2025-10-27 15:00 UTC, after 1 h 30 min"
    assert not message.announce


def test_a_recovery_of_some_names_those_that_are_not_over() -> None:
    message = changed(Change(over(BROKEN), "recovered"), still_open=(slow(), failing("AuditAgent")))
    assert message.title == "Recovered"
    assert plain_text(message).endswith("\n\nNot over yet: AuditAgent and ResearchAgent.")


def test_an_outage_that_ends_is_told_of_the_source() -> None:
    message = changed(Change(over(outage()), "recovered"))
    assert subject(message) == "✅ RECOVERED · the spans are read completely again"
    assert plain_text(message) == "The spans are read completely again since 2025-10-27 15:00 UTC, after 1 h 30 min"


def test_of_several_changes_the_gravest_comes_first_and_gives_the_title() -> None:
    message = alert_stories()["mixed"]
    assert message.title == "It got worse"
    assert message.headline == (
        "InboundAgent is now CRITICAL; FollowUpAgent is affected again; AuditAgent is affected, too; "
        "ResearchAgent is back to normal"
    )
    assert [row.split()[1] for row in plain_text(message).splitlines()] == [
        "InboundAgent",
        "FollowUpAgent",
        "AuditAgent",
        "ResearchAgent",
    ]
    assert message.announce


def test_many_changes_are_counted() -> None:
    found = fleet_of(14)
    message = changed(*(Change(one, "joined") for one in found), still_open=tuple(found))
    assert message.headline == "14 agents are affected, too"
    assert plain_text(message).endswith("\n- … and 5 more changes")


def test_an_acknowledgement_says_who_looks_after_it() -> None:
    assert subject(acknowledged_message("Ana <!here>")) == "👀 Acknowledged · by Ana ＜！here>"
    assert plain_text(acknowledged_message("Ana")).startswith("Ana looks after it.")


def test_a_reminder_says_since_when_nobody_has_acknowledged_it() -> None:
    message = reminder_message([failing("AuditAgent", severity=Severity.HIGH), BROKEN], THREAD, NEW_YORK)
    assert plain_text(message).startswith(
        "Told at 2025-10-27 10:02 EDT; nobody has acknowledged it.\n\n- InboundAgent: CRITICAL, success rate fell"
    )
    assert [button.action for button in message.buttons] == ["acknowledge", "silence"]


def test_an_escalation_is_the_whole_alert_for_people_who_have_not_read_it() -> None:
    alert = alert_message([BROKEN], THREAD.id, "UTC", lambda _: None)
    escalation = escalation_message(alert, THREAD, "UTC")
    assert escalation.title == "🚨 PERFORMANCE ALERT, not acknowledged"
    assert plain_text(escalation).endswith(plain_text(alert))
    assert escalation.buttons == alert.buttons


@pytest.mark.parametrize("name", alert_stories())
def test_no_message_shows_raw_data_or_long_numbers(name: str) -> None:
    message = alert_stories()[name]
    shown = re.sub(r"https?://\S+", "", subject(message) + "\n" + plain_text(message))
    shown = shown.replace(THREAD.id, "")
    assert not re.search(r"\b(nan|NaN|None|NaT|inf|True|False)\b|[{}\[\]]|\d{7,}|\d\.\d{3,}|Ã|â€|�", shown)
    assert not re.search(r"\b1 (agents|tasks|changes)\b|\b([02-9]|\d\d+) (agent|task|change)\b", shown)


@settings(max_examples=150, deadline=None)
@given(agent=any_text, cause=any_text, details=any_text, action=any_text, label=any_text)
def test_text_from_outside_neither_forges_lines_nor_makes_a_message_long(
    agent: str, cause: str, details: str, action: str, label: str
) -> None:
    hostile = failing(agent, root_cause=cause, details=details, recommended_action=action, cause=label)
    usual = replace(failing("B"), cause=label)
    for found in ([hostile], [hostile, usual]):
        message = alert_message(found, THREAD.id, NEW_YORK, lambda _: None)
        labels = re.findall(r"^(\w[\w ]*):", plain_text(message), re.MULTILINE)
        alone = len({one.agent for one in found}) == 1
        head = ["Agent", "Severity", "Type", "What Changed"] if alone else ["Agents", "Severity", "Type", "Since"]
        assert [
            one for one in labels if one in {"Agent", "Agents", "Severity", "Type", "Since", "What Changed"}
        ] == head
        assert max(len(row) for row in plain_text(message).splitlines()) < 700
        assert len(subject(message)) < 500
        assert one_line(subject(message)) == subject(message)
    for kind in ("joined", "worse", "back", "recovered"):
        rows = plain_text(changed(Change(over(hostile), kind), still_open=(usual,))).splitlines()
        assert len([row for row in rows if row]) == (2 if kind == "recovered" else 1)


def test_durations_are_told_to_the_minute() -> None:
    ends = [over(BROKEN, hours) for hours in (0.5, 1, 26, 49)]
    shown = [plain_text(changed(Change(one, "recovered"))).rpartition("after ")[2] for one in ends]
    assert shown == ["30 min", "1 h", "26 h", "2 days 1 h"]
