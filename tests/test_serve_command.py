"""`perf-pipeline serve` as people start it: the process, its HTTP address and its Socket Mode, over one ledger."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import yaml

from perf_pipeline.records import Scope
from perf_pipeline.serve_command import MAX_CONNECTIONS
from perf_pipeline.tokens import new_token
from resources.ledger import Ledger
from tests.approval_builders import SECRET, asked, form, payload, request_to_approve, signed, state
from tests.real.services.free_port import free_port
from tests.wire.slack_socket_server import APP_TOKEN, SocketServer, envelope, send, slack_socket_server

ROOT = Path(__file__).parents[1]


def command(home: Path, *arguments: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    outside = ("SLACK_", "PERF_PIPELINE_", "PHOENIX_", "SUPABASE_", "RAILWAY_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    line = [sys.executable, "-m", "perf_pipeline", "serve", "--home", str(home), *arguments]
    return line, {**clean, "PYTHONPATH": str(ROOT), **environment}


@contextmanager
def serving(folder: Path, slack: SocketServer) -> Iterator[str]:
    """The service's address; it has ended, and ended well, after the block."""
    content = yaml.safe_load((ROOT / "fleet.yaml").read_text(encoding="utf-8"))
    content["approvals"] = {"approvers": [{"name": "ana", "slack": "U0ANA"}]}
    (folder / "fleet.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    port = free_port()
    line, environment = command(
        folder,
        f"--port={port}",
        PERF_PIPELINE_FLEET=str(folder / "fleet.yaml"),
        SLACK_BOT_TOKEN="xoxb-local",
        SLACK_SIGNING_SECRET=SECRET,
        SLACK_APP_TOKEN=APP_TOKEN,
        SLACK_BASE_URL=slack.base_url,
    )
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(line, env=environment, cwd=folder)
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{url}/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


def test_clicks_are_taken_by_http_and_by_socket_mode(tmp_path: Path) -> None:
    by_http, by_socket = request_to_approve(), request_to_approve("AuditAgent")
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    asked(book, by_http, by_socket, now=datetime.now(UTC))
    values = [note.message.buttons[0].value for note in book.notifications()]
    with slack_socket_server() as slack, serving(tmp_path, slack) as url:
        body = form(payload(value=next(value for value in values if by_http.id in value), response_url=""))
        answer = httpx.post(f"{url}/slack/interactions", content=body, headers=signed(body, datetime.now(UTC)))
        assert answer.status_code == 200
        assert state(book, by_http.id) == ("approved", "ready")
        other = payload("decline", next(value for value in values if by_socket.id in value), response_url="")
        send(slack.next_connection(), envelope(other))
        slack.next_ack()
        assert state(book, by_socket.id) == ("declined", "declined")
    book.close()


def test_more_connections_than_slack_needs_are_refused_and_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with slack_socket_server() as slack, ExitStack() as held, serving(tmp_path, slack) as url:
        for _ in range(MAX_CONNECTIONS):
            held.enter_context(socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=30))
        assert httpx.get(f"{url}/healthz").status_code == 503


def test_the_service_is_not_served_to_others_without_a_token(tmp_path: Path) -> None:
    line, environment = command(tmp_path, "--host=0.0.0.0", PERF_PIPELINE_FLEET=str(ROOT / "fleet.yaml"))
    refused = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 1
    assert "perf-pipeline token create" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_app_token_that_slack_refuses_ends_the_command_with_a_sentence(tmp_path: Path) -> None:
    with slack_socket_server() as slack:
        line, environment = command(
            tmp_path,
            PERF_PIPELINE_FLEET=str(ROOT / "fleet.yaml"),
            SLACK_BOT_TOKEN="xoxb-local",
            SLACK_APP_TOKEN="xapp-wrong-canary",
            SLACK_BASE_URL=slack.base_url,
        )
        refused = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 1
    assert "SLACK_APP_TOKEN must be an app-level token" in refused.stderr
    assert "canary" not in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_a_token_the_service_says_that_it_is_open_to_this_machine_until_there_is_one(tmp_path: Path) -> None:
    port = free_port()
    line, environment = command(tmp_path, f"--port={port}", PERF_PIPELINE_FLEET=str(ROOT / "fleet.yaml"))
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(line, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        assert httpx.get(f"{url}/agents").status_code == 200
        book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        secret, token = new_token("test", "ana", [Scope.READ], "ana", datetime.now(UTC))
        book.add_token(token)
        book.close()
        assert httpx.get(f"{url}/agents").status_code == 401
        assert httpx.get(f"{url}/agents", headers={"authorization": f"Bearer {secret}"}).status_code == 200
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "listens on loopback only" in said
