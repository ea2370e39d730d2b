"""The environment as settings: what each variable switches on, and what is said when one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf_pipeline.settings import SettingsError, read_settings

SECRET = "canary-3c1f9"

COMPLETE = {
    "PHOENIX_ENDPOINT": "http://phoenix.example",
    "PHOENIX_PROJECT_NAME": "agents",
    "PHOENIX_API_KEY": SECRET,
    "SUPABASE_URL": "https://team.supabase.co",
    "SUPABASE_KEY": SECRET,
    "RAILWAY_API_TOKEN": SECRET,
    "RAILWAY_ENVIRONMENT_ID": "environment",
    "RAILWAY_PROJECT_ID": "project",
    "SLACK_BOT_TOKEN": f"xoxb-{SECRET}",
    "SLACK_SIGNING_SECRET": SECRET,
    "SLACK_APP_TOKEN": f"xapp-{SECRET}",
    "PERF_PIPELINE_LEDGER": f"postgresql+psycopg://perf:{SECRET}@db.example/perf",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in COMPLETE.items() if name not in names}


def test_with_nothing_set_every_system_has_its_embedded_default() -> None:
    settings = read_settings({})
    assert (settings.phoenix, settings.supabase, settings.railway, settings.slack) == (None, None, None, None)
    assert settings.inbox == settings.home / "inbox"
    assert settings.lake_url == str(settings.home / "lake")
    assert settings.ledger_url == f"sqlite:///{settings.home / 'ledger.db'}"
    assert settings.home == Path(".perf-pipeline").absolute()
    assert not settings.ledger_is_set


def test_with_everything_set_every_system_is_the_real_one() -> None:
    settings = read_settings(COMPLETE)
    assert settings.phoenix is not None
    assert settings.phoenix.has_api_key
    assert settings.supabase is not None
    assert settings.railway is not None
    assert not settings.railway.project_token
    assert settings.slack is not None
    assert settings.slack.has_signing_secret
    assert settings.slack.has_app_token
    assert settings.ledger_is_set


def test_no_secret_is_in_the_settings_as_they_print() -> None:
    assert SECRET not in repr(read_settings(COMPLETE))
    assert SECRET not in str(read_settings(COMPLETE))


def test_a_variable_of_spaces_is_not_set() -> None:
    blank = dict.fromkeys(COMPLETE, "  ")
    assert read_settings(blank) == read_settings({})


@pytest.mark.parametrize(
    ("missing", "named_too"),
    [
        ("PHOENIX_ENDPOINT", "PHOENIX_PROJECT_NAME and PHOENIX_API_KEY"),
        ("PHOENIX_PROJECT_NAME", "PHOENIX_ENDPOINT and PHOENIX_API_KEY"),
        ("SUPABASE_URL", "SUPABASE_KEY"),
        ("SUPABASE_KEY", "SUPABASE_URL"),
        ("RAILWAY_ENVIRONMENT_ID", "RAILWAY_API_TOKEN and RAILWAY_PROJECT_ID"),
        ("RAILWAY_PROJECT_ID", "RAILWAY_API_TOKEN and RAILWAY_ENVIRONMENT_ID"),
        ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET and SLACK_APP_TOKEN"),
    ],
)
def test_a_missing_variable_is_named_beside_those_that_ask_for_it(missing: str, named_too: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(without(missing))
    assert str(caught.value).startswith(f"{missing} is not set, though {named_too} is: ")
    assert SECRET not in str(caught.value)


def test_a_phoenix_without_authentication_needs_no_key() -> None:
    phoenix = read_settings(without("PHOENIX_API_KEY")).phoenix
    assert phoenix is not None
    assert not phoenix.has_api_key


def test_railways_own_ids_alone_ask_for_nothing() -> None:
    settings = read_settings({"RAILWAY_ENVIRONMENT_ID": "e", "RAILWAY_PROJECT_ID": "p"})
    assert settings.railway is None


def test_a_project_token_is_told_from_an_account_token() -> None:
    railway = read_settings(without("RAILWAY_API_TOKEN") | {"RAILWAY_TOKEN": SECRET}).railway
    assert railway is not None
    assert railway.project_token


@pytest.mark.parametrize("name", ["PHOENIX_ENDPOINT", "SUPABASE_URL", "RAILWAY_ENDPOINT", "SLACK_BASE_URL"])
def test_an_address_must_be_one_and_is_not_repeated_for_it_may_be_a_key(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} must be an address that begins with http") as caught:
        read_settings(COMPLETE | {name: SECRET})
    assert SECRET not in str(caught.value)


def test_a_token_that_is_not_a_bots_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match=r"SLACK_BOT_TOKEN .*'xoxb-'") as caught:
        read_settings(COMPLETE | {"SLACK_BOT_TOKEN": f"xapp-{SECRET}"})
    assert SECRET not in str(caught.value)


def test_an_app_token_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match=r"SLACK_APP_TOKEN .*'xapp-'") as caught:
        read_settings(COMPLETE | {"SLACK_APP_TOKEN": f"xoxb-{SECRET}"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"])
@pytest.mark.parametrize("inside", ["\n", "\r\n", " ", "\t", "\x00", "\u00e9", "\u200b"])
def test_a_secret_of_slacks_with_a_character_that_none_has_is_refused_without_showing_it(
    name: str, inside: str
) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} .*space") as caught:
        read_settings(COMPLETE | {name: f"{COMPLETE[name]}{inside}SLACK=1"})
    assert SECRET not in str(caught.value)
    assert "SLACK=1" not in str(caught.value)


@pytest.mark.parametrize(("name", "prefix"), [("SLACK_BOT_TOKEN", "xoxb-"), ("SLACK_APP_TOKEN", "xapp-")])
def test_a_prefix_alone_is_no_token(name: str, prefix: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} "):
        read_settings(COMPLETE | {name: prefix})


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"])
def test_a_line_break_around_a_secret_does_no_harm(name: str) -> None:
    assert read_settings(COMPLETE | {name: f" {COMPLETE[name]}\n"}) == read_settings(COMPLETE)


def test_a_slack_that_is_only_posted_to_needs_no_more_than_the_bot_token() -> None:
    slack = read_settings(without("SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN")).slack
    assert slack is not None
    assert (slack.has_signing_secret, slack.has_app_token) == (False, False)


def test_the_channel_of_the_environment_is_optional() -> None:
    assert [read_settings(COMPLETE | extra).slack for extra in ({}, {"SLACK_CHANNEL": "#ops"})] != [None, None]
    slack = read_settings(COMPLETE | {"SLACK_CHANNEL": "#ops"}).slack
    assert slack is not None
    assert slack.channel == "#ops"
