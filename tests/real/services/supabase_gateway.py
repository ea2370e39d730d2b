"""What stands before PostgREST at Supabase: the prefix /rest/v1 and the check of the apikey header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.wire.http_server import Answer, Handler, Request, http_server

PREFIX = "/rest/v1"
PASSED_ON = ("accept", "authorization", "prefer", "range", "content-type", "content-profile", "accept-profile")


@dataclass
class SupabaseGateway:
    """A running gateway. `paths` lists what it passed on, `after_answer` is called after each of these answers."""

    url: str
    paths: list[str] = field(default_factory=list)
    after_answer: Callable[[], None] | None = None


@contextmanager
def supabase_gateway(upstream: str, keys: Collection[str]) -> Iterator[SupabaseGateway]:
    """Passes requests under /rest/v1 to `upstream` where their apikey is one of `keys`; answers 401 otherwise."""
    gateway = SupabaseGateway("")

    class Gateway(Handler):
        def do_GET(self) -> None:
            request = self.read_request()
            if request.headers.get("apikey") not in keys:
                self.send(Answer(401, body='{"message":"Invalid API key"}'))
            elif not request.path.startswith(f"{PREFIX}/"):
                self.send(Answer(404, body='{"message":"no Route matched with those values"}'))
            else:
                self.send(pass_on(request))

    def pass_on(request: Request) -> Answer:
        path = request.path.removeprefix(PREFIX)
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        try:
            answer = client.get(upstream + path, headers=headers)
        except httpx.ConnectError:
            return Answer(502, "text/html", "<html>Bad Gateway</html>")
        gateway.paths.append(path)
        if gateway.after_answer:
            gateway.after_answer()
        return Answer(answer.status_code, answer.headers.get("content-type", "application/json"), answer.content)

    # Certificates are not needed here, and loading them for each request would take longer than the request.
    with httpx.Client(verify=False, timeout=60) as client, http_server(Gateway) as gateway.url:
        yield gateway
