"""Channels behind an Apprise address: what arrives, what a failure says, and that the address stays secret."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet_people import NotificationsConfig
from perf_pipeline.installation import installed_resources
from perf_pipeline.message import RenderedMessage
from perf_pipeline.records import NotificationState
from perf_pipeline.settings import read_settings
from resources.apprise_channel import AppriseResource
from resources.apprise_failure import failure_of, without_secrets
from resources.ledger import Ledger
from resources.reading import MessengerError
from tests.builders import shipped_fleet
from tests.incident_builders import notification
from tests.real.services.free_port import free_port
from tests.wire.http_server import Answer, Handler, Request, http_server

VARIABLE = "PAGER_ADDRESS"
USER, PASSWORD, TOKEN = "carla-ops", "pa55-W0rd%", "T0k3n/with+signs"
SECRETS = (USER, PASSWORD, quote(PASSWORD, safe=""), "T0k3n", "with+signs", "with%2Bsigns", "aG9va2lk")


@dataclass
class Webhook:
    """A server that answers as told and keeps what it was sent; while `hangs` is set it does not answer at all."""

    host: str = ""
    answer: Answer = field(default_factory=Answer)
    requests: list[Request] = field(default_factory=list)
    hangs: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        place = quote(TOKEN, safe="")
        return f"json://{USER}:{quote(PASSWORD, safe='')}@{self.host}/hooks/{place}?:hook=aG9va2lk"

    @property
    def content(self) -> dict[str, object]:
        return json.loads(self.requests[-1].body)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    known = Webhook()

    class Server(Handler):
        def do_POST(self) -> None:
            known.requests.append(self.read_request())
            if known.hangs:
                known.released.wait(30)
            self.send(known.answer)

    with http_server(Server) as address:
        known.host = address.removeprefix("http://")
        monkeypatch.setenv(VARIABLE, known.address)
        yield known
        known.released.set()


def message(plain: str = "line one\n\n- line two", picture: bytes | None = None) -> RenderedMessage:
    return RenderedMessage("🚨 PERFORMANCE ALERT", plain, "", [], picture=picture, subject="🚨 InboundAgent fails")


def post(content: RenderedMessage | None = None, seconds: float = 20) -> None:
    channel = AppriseResource(url_variable=VARIABLE, timeout_seconds=seconds)
    assert channel.post(content or message(), "alert:1@pager").channel == VARIABLE


def refused(seconds: float = 20) -> MessengerError:
    with pytest.raises(MessengerError) as found:
        post(seconds=seconds)
    return found.value


def test_a_message_arrives_with_its_subject_and_its_lines(webhook: Webhook) -> None:
    post()
    assert webhook.content["title"] == "🚨 InboundAgent fails"
    assert webhook.content["message"] == "line one\n\n- line two"
    assert webhook.content["attachments"] == []


def test_the_picture_goes_with_it_where_the_channel_takes_attachments(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    post(message(picture=picture))
    assert webhook.content["attachments"] == [
        {"filename": "picture.png", "mimetype": "image/png", "base64": base64.b64encode(picture).decode()}
    ]
    monkeypatch.setenv(VARIABLE, f"gotify://{webhook.host}/aToken1234567890")
    post(message(picture=picture))
    assert "line one" in str(webhook.content["message"])


def test_a_message_too_long_for_the_channel_is_cut_where_the_reader_sees_it(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"mmost://{webhook.host}/{'a' * 26}")
    post(message("word " * 10_000))
    assert len(str(webhook.content["text"])) <= 4000
    assert str(webhook.content["text"]).endswith("…")
    assert len(webhook.requests) == 1


def test_an_address_may_ask_for_the_rest_in_further_messages(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"mmost://{webhook.host}/{'a' * 26}?overflow=split")
    post(message("word " * 1_500))
    assert len(webhook.requests) > 1


@pytest.mark.parametrize(
    ("status", "retryable", "surely_refused"),
    [(400, False, True), (401, False, True), (404, False, True), (429, True, True), (500, True, False)],
)
def test_a_status_says_whether_trying_again_helps(
    webhook: Webhook, status: int, retryable: bool, surely_refused: bool
) -> None:
    webhook.answer = Answer(status, body='{"message": "Unknown Webhook"}')
    error = refused()
    assert (error.retryable, error.surely_refused) == (retryable, surely_refused)
    assert f"error={status}" in str(error)
    assert "Unknown Webhook" in str(error)
    assert ("Mend the address in PAGER_ADDRESS" in str(error)) is not retryable


def test_a_page_of_html_is_not_quoted(webhook: Webhook) -> None:
    webhook.answer = Answer(502, "text/html", "<html><body>nginx</body></html>")
    assert "nginx" not in str(refused())


def test_a_server_that_is_not_there_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"json://127.0.0.1:{free_port()}/hook")
    error = refused()
    assert (error.retryable, error.surely_refused) == (True, True)
    assert "Connection refused" in str(error)
    assert "0x" not in str(error)


def test_a_server_that_hangs_holds_nobody_up_and_may_have_the_message(webhook: Webhook) -> None:
    webhook.hangs = True
    error = refused(seconds=0.3)
    assert (error.retryable, error.surely_refused) == (True, False)
    assert "did not finish within" in str(error)
    assert "not known whether it has the message" in str(error)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "PAGER_ADDRESS is not set"),
        ("  ", "PAGER_ADDRESS is not set"),
        ("hunter2-is-my-password", "no address that Apprise can use"),
        ("discord://hunter2", "no address that Apprise can use"),
        ("json://localhost/hunter2 json://localhost/b", "holds 2 addresses"),
    ],
)
def test_an_address_that_cannot_work_names_its_variable_and_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str | None, said: str
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv(VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setenv(VARIABLE, address)
    error = refused()
    assert (error.retryable, error.surely_refused) == (False, True)
    assert said in str(error)
    assert VARIABLE in str(error)
    assert "hunter2" not in str(error) + caplog.text


@pytest.mark.parametrize("status", [200, 401])
def test_nothing_of_the_address_is_in_logs_errors_or_on_the_terminal(
    webhook: Webhook, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = repr(AppriseResource(url_variable=VARIABLE))
    header = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    webhook.answer = Answer(status, body=json.dumps({"you": webhook.address, "sent": f"Basic {header}", "as": TOKEN}))
    if status == 200:
        post()
    else:
        shown += str(refused())
        assert "***" in shown
    assert webhook.requests[0].headers["authorization"] == f"Basic {header}"
    output = capfd.readouterr()
    everything = shown + caplog.text + output.out + output.err
    assert [secret for secret in (*SECRETS, header) if secret in everything] == []


secret_text = st.text("abcXYZ019-_.~%+=!$", min_size=4, max_size=20).filter(lambda text: re.search(r"\w{4}", text))


@given(secret_text, secret_text, secret_text, secret_text, st.booleans())
def test_no_secret_survives_however_it_is_encoded(
    user: str, password: str, token: str, value: str, is_quoted: bool
) -> None:
    parts = [quote(part, safe="") if is_quoted else part for part in (user, password, token, value)]
    address = "https://{}:{}@host.example:8443/a/{}?key={}".format(*parts)
    text = " | ".join([address, *parts, user, password, token, value, json.dumps(address)]) if is_quoted else address
    left = without_secrets(text, address)
    for part in (user, password, token, value) if is_quoted else parts:
        assert part not in left


def test_statuses_ports_and_words_of_apprise_stay_readable() -> None:
    said = [("WARNING", "Failed to send JSON POST notification: Unauthorized, error=443.")]
    assert "error=443" in failure_of(said, "json://host.example:443/abcdef").reason


def test_payloads_are_not_quoted() -> None:
    said = [("WARNING", "Failed, error=400."), ("DEBUG", "JSON Payload: {'message': 'the text'}")]
    assert failure_of(said, "json://host/abcdef").reason == "Failed, error=400"


def test_a_target_whose_variable_is_not_set_does_not_silence_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    targets = {"pager": {"kind": "apprise", "url_variable": VARIABLE}}
    config = NotificationsConfig.model_validate({"targets": targets})
    fleet = shipped_fleet().model_copy(update={"notifications": config})
    resources = installed_resources(read_settings({"PERF_PIPELINE_HOME": str(tmp_path)}), fleet)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for target in ("pager", "slack"):
        ledger.enqueue(notification(f"alert:1@{target}", datetime.now(UTC), target=target))
    definitions = build_defs(fleet, resources)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context,
    ):
        said = definitions.resolve_sensor_def("notifications").evaluate_tick(context).skip_message
    states = {message.target: (message.state, message.note) for message in ledger.notifications()}
    ledger.close()
    assert states["slack"] == (NotificationState.SENT, None)
    assert states["pager"][0] is NotificationState.UNDELIVERABLE
    assert "PAGER_ADDRESS is not set" in str(states["pager"][1])
    assert "1 undeliverable in all" in str(said)
