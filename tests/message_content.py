"""Hypothesis strategies for messages with arbitrary content, and hostile text from outside."""

from __future__ import annotations

from hypothesis import strategies as st

from perf_pipeline.message import Button, Message, Piece, Section

HOSTILE = (
    "<!channel>",
    "<!here|here>",
    "<@U012AB3CD>",
    "<!subteam^S012AB3CD>",
    "@here and @everyone",
    "<https://evil.example|https://good.example>",
    "[https://good.example](https://evil.example)",
    "&lt;!channel&gt;",
    "boom\n\n🚨 PERFORMANCE ALERT\n\nAgent: Forged",
    "a\r\nb\tc\u2028d\u2029e\x0bf",
    "\u202egnp.exe\u202c \u2066hidden\u2069 \u200b\u200d\ufeff\u00ad",
    "\u3164\u115f\u2800",
    "z" + "\u0301" * 50,
    "\ud800 half a character \udfff",
    "{'a': 1}",
    "x" * 4000,
    "\n\n",
    "",
    "&" * 3000,
)

text = st.text(max_size=60) | st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=20)
urls = st.none() | st.sampled_from(
    (
        "https://phoenix.example/redirects/traces/4bf92f35",
        "http://127.0.0.1:6006/traces/1",
        "javascript:alert(1)",
        "https://good.example@evil.example/",
        "https://ana:secret@phoenix.example/",
        "slack://open",
        "https://",
        "https://[",
        "https://a b",
        "https://phoenix.example/" + "a" * 4000,
        "",
    )
)
pieces = st.builds(Piece, text=text, bold=st.booleans(), url=urls)
lines = st.lists(pieces, max_size=4).map(tuple)
sections = st.builds(Section, lines=st.lists(lines, max_size=5).map(tuple), bulleted=st.booleans())
buttons = st.lists(
    st.builds(
        Button,
        action=st.sampled_from(("acknowledge", "silence", "approve", "decline")),
        text=st.sampled_from(("Acknowledge", "x" * 75)),
        value=st.text(min_size=1, max_size=40) | st.just("v" * 2000),
        style=st.sampled_from((None, "primary", "danger")),
    ),
    max_size=4,
    unique_by=lambda button: button.action,
).map(tuple)
messages = st.builds(
    Message,
    title=text,
    headline=text,
    sections=st.lists(sections, max_size=8).map(tuple),
    buttons=buttons,
)
