"""Starts and stops the local Slack API, npm's `emulate`, with a bot and people in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.real.services.free_port import free_port
from tests.real.services.node_packages import emulate_script
from tests.wire.slack_fault_proxy import CHAT_ONLY_TOKEN, DOCUMENTED_TOKEN, TOKEN

BOT = "perf-pipeline"
PEOPLE = {"alice": "xoxp-alice", "bob": "xoxp-bob", "carol": "xoxp-carol"}
"""Names of members and their tokens, which have every scope."""

CHAT_SCOPES = ("chat:write", "channels:read", "channels:history")
DOCUMENTED_SCOPES = (*CHAT_SCOPES, "files:write", "reactions:read")
WORKSPACE = {
    "users": [{"name": name} for name in (BOT, *PEOPLE)],
    "tokens": [
        {"token": TOKEN, "user": BOT},
        {"token": DOCUMENTED_TOKEN, "user": BOT, "scopes": DOCUMENTED_SCOPES},
        {"token": CHAT_ONLY_TOKEN, "user": BOT, "scopes": CHAT_SCOPES},
        *({"token": token, "user": name} for name, token in PEOPLE.items()),
    ],
    "strict_scopes": True,
}

READY_WITHIN_SECONDS = 30

# emulate listens on every interface and has no option for it: Node.js is told to before emulate is loaded.
LOOPBACK_ONLY = """
import net from "node:net";
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port) { return listen.call(this, port, "127.0.0.1"); };
"""


class SlackServerError(RuntimeError):
    """The local Slack API did not start. The message holds what it printed."""


@contextmanager
def running_slack(log_path: Path) -> Iterator[str]:
    """The base URL (http://127.0.0.1:<port>/api/) of a Slack API that holds the channels general and random.

    It is stopped, with all that it started, when the block ends. What it prints goes to `log_path`, and the workspace
    that it starts with stands beside it.
    """
    node = shutil.which("node")
    if node is None:
        raise SlackServerError("node is not installed: install Node.js 20 or newer.")
    port = free_port()
    workspace = log_path.with_suffix(".workspace.json")
    workspace.write_text(json.dumps({"slack": WORKSPACE}))
    preload = f"data:text/javascript,{quote(LOOPBACK_ONLY)}"
    options = ("--service", "slack", "--port", str(port), "--seed", str(workspace))
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [node, "--import", preload, str(emulate_script()), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, log_path)
            yield f"http://127.0.0.1:{port}/api/"
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SlackServerError(f"The local Slack API did not answer on port {port}: {log_path.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
