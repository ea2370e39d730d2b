"""Text from outside calls nobody, hides nothing and holds no secret."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from perf_pipeline.notifications.safe_text import MASK, calling_nobody, one_line, shorten, web_address
from tests.message_content import text


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("boom\n\n🚨 PERFORMANCE ALERT\n\nAgent: Forged", "boom 🚨 PERFORMANCE ALERT Agent: Forged"),
        ("a\r\nb\tc\u2028d\x0be", "a b c d e"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("pay\u200bpal\u2060\ufeff \u2066x\u2069", "paypal x"),
        ("\u3164\u115f\uffa0\u2800empty", "empty"),
        ("a\U000e0041\U000e0100b", "ab"),
        ("half \ud800 a character", "half a character"),
        ("z" + "\u0301" * 40, "z" + "\u0301" * 3),
        ("Überprüfung ñ 検査 ⚠️ 🚨", "Überprüfung ñ 検査 ⚠️ 🚨"),
    ],
)
def test_a_line_shows_all_that_it_holds(outside: str, shown: str) -> None:
    assert one_line(outside) == shown


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123456789012-abcdefghij",
        "xapp-1-A012-3456-abcdef",
        "sk-proj-abcdefghijklmnop1234567890",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZSJ9.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_secret_is_masked(secret: str) -> None:
    assert one_line(f"Deploy with {secret} now") == f"Deploy with {MASK} now"


def test_passwords_of_addresses_and_headers_are_masked() -> None:
    assert one_line("postgresql://ana:pa55@db.example/phoenix") == f"postgresql://{MASK}@db.example/phoenix"
    assert one_line("Authorization: Bearer abcdef0123456789==") == f"Authorization: Bearer {MASK}"


@pytest.mark.parametrize(
    "harmless", ["4bf92f3577b34da6a3ce929d0e0e4736", "task-0123456789abcdef0", "sk-learn-pipelines-rule"]
)
def test_identities_of_traces_and_tasks_are_no_secrets(harmless: str) -> None:
    assert one_line(harmless) == harmless


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("<!channel> look", "＜！channel> look"),
        ("!channel> look", "！channel> look"),
        ("<@U012AB3CD>", "＜＠U012AB3CD>"),
        ("@here, @Everyone and me@here", "＠here, ＠Everyone and me＠here"),
        ("@U012AB3CD>", "＠U012AB3CD>"),
        ("<https://evil.example|good>", "<https://evil.example｜good>"),
        ("[good](https://evil.example)", "[good］(https://evil.example)"),
        ("ana@example.com", "ana@example.com"),
        ("a < b! c > d | e", "a < b! c > d | e"),
    ],
)
def test_what_a_channel_takes_for_a_call_or_a_link_is_written_so_that_none_does(outside: str, shown: str) -> None:
    assert calling_nobody(outside) == shown


@settings(max_examples=300, deadline=None)
@given(text)
def test_no_text_calls_anybody(outside: str) -> None:
    shown = calling_nobody(one_line(outside))
    assert not re.search(
        r"<\s*[!@#]|@(everyone|here|channel|all)\b|!(channel|here|everyone)\b|://\S*\|", shown, re.IGNORECASE
    )
    assert one_line(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    "address",
    [
        "https://phoenix.example/redirects/traces/4bf9",
        "http://127.0.0.1:6006/traces/1?a=b#c",
        "HTTPS://phoenix.example",
    ],
)
def test_addresses_of_the_web_become_links(address: str) -> None:
    assert web_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "phoenix.example",
        "javascript:alert(1)",
        "ftp://phoenix.example",
        "https://",
        "https://[",
        "https://a b",
        "https://phoenix.example|good",
        "https://phoenix.example/\u202egnp",
        "https://good.example@evil.example/",
        "https://ana:secret@phoenix.example/",
        "https://phoenix.example/" + "a" * 2000,
    ],
)
def test_other_addresses_do_not(address: str | None) -> None:
    assert web_address(address) is None


def test_a_short_text_is_left_alone_and_a_long_one_ends_in_an_ellipsis() -> None:
    assert shorten("abcde", 5) == "abcde"
    assert shorten("abcdef", 5) == "abcd…"
    assert shorten("abc def", 5) == "abc…"
