"""Slack's Socket Mode as a server of ours: apps.connections.open, and a websocket that sends envelopes and takes acks.

Written after Slack's page 'Using Socket Mode'. As Slack does, it gives each connection an address that is good once.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.wire.http_server import Answer, Handler, http_server

APP_TOKEN = "xapp-1-local"


@dataclass
class SocketServer:
    """`refusals` are answers to apps.connections.open, used up one a call: status 0 is no HTTP at all, and with
    the header Connection the body breaks off. `acks` are the envelopes that were taken."""

    base_url: str = ""
    refusals: list[Answer] = field(default_factory=list)
    acks: Queue[dict[str, Any]] = field(default_factory=Queue)
    connections: Queue[ServerConnection] = field(default_factory=Queue)
    opened: int = 0
    tickets: set[str] = field(default_factory=set)

    def next_connection(self) -> ServerConnection:
        return self.connections.get(timeout=30)

    def next_ack(self) -> dict[str, Any]:
        return self.acks.get(timeout=30)


def envelope(payload: Any, type: str = "interactive") -> dict[str, Any]:
    return {"type": type, "envelope_id": str(uuid.uuid4()), "payload": payload, "accepts_response_payload": False}


def send(connection: ServerConnection, message: dict[str, Any]) -> None:
    connection.send(json.dumps(message))


@contextmanager
def slack_socket_server() -> Iterator[SocketServer]:
    found = SocketServer()

    def talk(connection: ServerConnection) -> None:
        ticket = connection.request.path.rpartition("ticket=")[2] if connection.request else ""
        if ticket not in found.tickets:
            connection.close(1008, "the address is used up")
            return
        found.tickets.discard(ticket)
        send(connection, {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0"}})
        found.connections.put(connection)
        try:
            for text in connection:
                found.acks.put(json.loads(text))
        except ConnectionClosed:
            return

    socket = serve(talk, "127.0.0.1", 0)
    address = socket.socket.getsockname()

    class WebApi(Handler):
        def do_POST(self) -> None:
            request = self.read_request()
            found.opened += 1
            if found.refusals:
                self._refuse(found.refusals.pop(0))
                return
            if (
                request.path != "/api/apps.connections.open"
                or request.headers["authorization"] != f"Bearer {APP_TOKEN}"
            ):
                self.send(Answer(body=json.dumps({"ok": False, "error": "invalid_auth"})))
                return
            ticket = uuid.uuid4().hex
            found.tickets.add(ticket)
            url = f"ws://{address[0]}:{address[1]}/link/?ticket={ticket}"
            self.send(Answer(body=json.dumps({"ok": True, "url": url})))

        def _refuse(self, answer: Answer) -> None:
            if answer.status == 0:
                self.wfile.write(b"\x00 no status line\r\n\r\n")
                self.close_connection = True
            elif "Connection" in answer.headers:
                self.send_head(answer, {"Content-Length": str(len(answer.payload) + 10)})
                self.wfile.write(answer.payload)
                self.close_connection = True
            else:
                self.send(answer)

    thread = threading.Thread(target=socket.serve_forever, daemon=True)
    thread.start()
    try:
        with http_server(WebApi) as base_url:
            found.base_url = f"{base_url}/api/"
            yield found
    finally:
        socket.shutdown()
        thread.join()
