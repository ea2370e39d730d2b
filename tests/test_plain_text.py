"""Messages without markup: what stands on which line, and nothing more."""

from __future__ import annotations

from hypothesis import given, settings

from perf_pipeline.message import Button, Message, Piece, bold, bullets, labelled, line, section
from perf_pipeline.notifications.plain_text import plain_text, subject
from perf_pipeline.notifications.safe_text import readable, web_address
from tests.message_content import messages


def test_sections_are_set_apart_and_lists_stand_below_what_announces_them() -> None:
    message = Message(
        title="Title",
        sections=(
            section(labelled("Agent", "InboundAgent"), labelled("Severity", "HIGH")),
            section(),
            section(labelled("Details")),
            bullets(["one", line(bold("two"), " things")]),
            section("No list announced here"),
            bullets(["three"]),
        ),
    )
    assert plain_text(message) == (
        "Agent: InboundAgent\nSeverity: HIGH\n\nDetails:\n- one\n- two things\n\nNo list announced here\n\n- three"
    )


def test_links_show_where_they_lead_and_what_is_no_address_of_the_web_is_no_link() -> None:
    pieces = [
        Piece(text="4bf9", url="https://phoenix.example/4bf9"),
        ", ",
        Piece(text="00f0", url="javascript:alert(1)"),
    ]
    assert (
        plain_text(Message(title="", sections=(section(line(*pieces)),))) == "4bf9 (https://phoenix.example/4bf9), 00f0"
    )


def test_where_there_are_no_buttons_the_command_is_named() -> None:
    buttons = (
        Button(action="acknowledge", text="Acknowledge", value="alert:0123"),
        Button(action="silence", text="Silence 4 h", value="alert:0123"),
    )
    assert plain_text(Message(title="", sections=(section("text"),), buttons=buttons)) == (
        "text\n\nTo acknowledge: perf-pipeline ack alert:0123"
    )


def test_the_subject_says_what_is_the_matter() -> None:
    assert subject(Message(title="🚨 PERFORMANCE ALERT", headline="InboundAgent: errors")) == (
        "🚨 PERFORMANCE ALERT · InboundAgent: errors"
    )
    assert subject(Message(title="📊 Daily Performance Summary")) == "📊 Daily Performance Summary"


@settings(max_examples=80, deadline=None)
@given(messages)
def test_there_are_never_more_lines_than_content(message: Message) -> None:
    def shows(pieces: tuple[Piece, ...]) -> bool:
        return any(readable(piece.text).strip() or web_address(piece.url) for piece in pieces)

    contents = [sum(shows(pieces) for pieces in part.lines) for part in message.sections]
    commands = sum(button.action == "acknowledge" for button in message.buttons)
    text = plain_text(message)
    assert len([row for row in text.split("\n") if row]) == sum(contents) + commands
    assert "\n\n\n" not in text
    assert text == text.strip()
    assert len(subject(message).splitlines()) <= 1
