"""Channels behind an Apprise address against servers that speak their wire: SMTP, and Teams over TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from perf_pipeline.message import Message, RenderedMessage, section
from perf_pipeline.notifications.rendering import render
from resources.apprise_channel import AppriseResource
from resources.reading import MessengerError
from tests.incident_builders import notification
from tests.real.services.free_port import free_port
from tests.wire.http_server import Answer, Handler, Request

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

VARIABLE = "CHANNEL_ADDRESS"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def rendered(title: str = "🚨 PERFORMANCE ALERT", **changes: Any) -> RenderedMessage:
    content = Message(
        title=title,
        sections=(section("Agent: InboundAgent", "Details: 85% → 0% <b>not bold</b>"), section("one", bulleted=True)),
        picture_text="a chart",
    )
    return render(replace(notification(), message=content, picture=PICTURE, **changes))


def post(message: RenderedMessage) -> None:
    AppriseResource(url_variable=VARIABLE).post(message, "alert:1@mail")


@dataclass
class Mailbox:
    """An SMTP server that asks for a password, and what it took."""

    port: int = field(default_factory=free_port)
    password: str = "s3cret-pass"
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    verdict: str = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        if self.verdict.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.mails.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default))
            self.recipients.append(envelope.rcpt_tos)
        return self.verdict

    def authenticate(self, *given: Any) -> AuthResult:
        login = given[-1]
        assert isinstance(login, LoginPassword)
        return AuthResult(success=login.password == self.password.encode(), handled=False)

    def address(self, password: str | None = None) -> str:
        given = password or self.password
        return f"mailto://watcher:{given}@127.0.0.1:{self.port}?from=watch@example.com&to=team@example.com"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    known = Mailbox()
    options = {"authenticator": known.authenticate, "auth_required": True, "auth_require_tls": False}
    controller = Controller(known, hostname="127.0.0.1", port=known.port, **options)
    controller.start()
    yield known
    controller.stop()


def test_a_mail_has_the_subject_the_lines_as_text_and_the_picture(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, mailbox.address())
    post(rendered())
    [mail], [recipients] = mailbox.mails, mailbox.recipients
    assert recipients == ["team@example.com"]
    assert "PERFORMANCE ALERT" in mail["Subject"]
    assert "watch@example.com" in mail["From"]
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Details: 85% → 0% <b>not bold</b>" in body.get_content()
    [attachment] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert attachment.get_content() == PICTURE


def test_markup_in_a_message_is_text_in_a_mails_html(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{mailbox.address()}&format=html")
    post(rendered())
    html = mailbox.mails[0].get_body(("html",))
    assert html is not None
    assert "&lt;b&gt;not" in html.get_content()


def test_a_title_forges_no_header(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, mailbox.address())
    post(rendered("alert\r\nBcc: thief@example.com"))
    assert mailbox.recipients == [["team@example.com"]]
    assert mailbox.mails[0]["Bcc"] is None


def test_a_refused_password_is_said_and_not_shown(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, mailbox.address("wrong-pa55word"))
    with pytest.raises(MessengerError, match=r"CHANNEL_ADDRESS did not take the message.*535") as refused:
        post(rendered())
    assert "wrong-pa55word" not in str(refused.value)
    assert (refused.value.retryable, refused.value.surely_refused) == (True, True)
    assert mailbox.mails == []


def test_a_mail_that_the_server_refuses_is_said_with_its_answer(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, mailbox.address())
    mailbox.verdict = "552 mailbox is full"
    with pytest.raises(MessengerError, match="did not take the message") as refused:
        post(rendered())
    assert (refused.value.retryable, refused.value.surely_refused) == (True, False)


@contextmanager
def teams(folder: Path) -> Iterator[tuple[int, list[Request]]]:
    """A workflow of Teams: HTTPS, as Apprise insists on it, with a certificate of its own."""
    requests: list[Request] = []

    class Server(Handler):
        def do_POST(self) -> None:
            requests.append(self.read_request())
            self.send(Answer(202, body=b""))

    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-days", "1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_teams_gets_an_adaptive_card_that_mentions_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teams(tmp_path) as (port, requests):
        monkeypatch.setenv(VARIABLE, f"workflows://localhost:{port}/workflow1/signature1?verify=no")
        post(rendered("Agent <at>boss@example.com</at>"))
    [request] = requests
    assert "workflow1" in request.path
    [card] = json.loads(request.body)["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "Details: 85% → 0%" in card["content"]["body"][-1]["text"]
    assert "entities" not in card["content"]["msteams"]


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teams(tmp_path) as (port, requests):
        monkeypatch.setenv(VARIABLE, f"workflows://localhost:{port}/workflow1/signature1")
        with pytest.raises(MessengerError, match=r"(?i)certificate"):
            post(rendered())
    assert requests == []
