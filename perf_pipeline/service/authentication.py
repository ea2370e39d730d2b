"""Who asks, and what they may do: bearer tokens, the sessions of browsers, and this machine while there is no token.

A token acts for a named person. Without any token the service listens on loopback only, and is open to whoever is on
this machine; pages of other sites, which a browser on this machine may be showing, are kept out by Host and Origin.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from perf_pipeline.records import ApiToken, Scope
from perf_pipeline.service.problems import NotAuthenticated, Problem
from perf_pipeline.service.rate_limits import RateLimits
from perf_pipeline.tokens import digest
from resources.ledger import Ledger

COOKIE = "perf_pipeline_session"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
SAFE = ("GET", "HEAD", "OPTIONS")

ASK_FOR_A_TOKEN = (
    "Send a token as 'Authorization: Bearer …'. 'perf-pipeline token create' makes one; one that was revoked or has "
    "expired does not count."
)

_BEARER = HTTPBearer(
    scheme_name="token", auto_error=False, description="A token of 'perf-pipeline token create', with the route's scope"
)
_COOKIE = APIKeyCookie(
    name=COOKIE, scheme_name="session", auto_error=False, description="The session of a browser that logged in"
)


@dataclass(frozen=True)
class Identity:
    """Who asks: the person that a token acts for, or who runs the service, where it is open to this machine."""

    person: str
    scopes: frozenset[Scope]
    through: Literal["token", "session", "this machine"]
    limited_as: str

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


class Gate:
    """What every route asks before it answers.

    `open_to_this_machine` says that the service listens on loopback only, so that it is open for as long as there is
    no token; `local_person` is who then asks.
    """

    def __init__(
        self,
        book: Ledger,
        clock: Callable[[], datetime],
        *,
        open_to_this_machine: bool = False,
        local_person: str = "",
        limits: RateLimits | None = None,
    ) -> None:
        self._book, self._clock = book, clock
        self._open_to_this_machine, self._local_person = open_to_this_machine, local_person
        self.limits = limits or RateLimits()

    def require(self, *scopes: Scope, or_secret: str | None = None) -> Callable[..., Identity]:
        """A dependency that lets those pass who have one of the scopes, or send `or_secret` as their bearer token, and
        tells the route who they are."""

        def identity(
            request: Request,
            _bearer: Annotated[object, Security(_BEARER)] = None,
            _cookie: Annotated[object, Security(_COOKIE)] = None,
        ) -> Identity:
            if or_secret and _sends(request, or_secret):
                return _of_agents(request, scopes)
            known = self.identify(request)
            if not any(known.may(scope) for scope in scopes):
                needed = " or ".join(f"'{scope}'" for scope in scopes)
                raise Problem(403, f"The token of {known.person} lacks the scope {needed}.")
            return known

        identity.scopes = scopes  # pyright: ignore[reportFunctionMemberAccess]
        return identity

    def identify(self, request: Request) -> Identity:
        """Raises NotAuthenticated, and Problem where a browser was sent by another site or asks too often."""
        address = request.client.host if request.client else ""
        try:
            known = self._of_bearer(request) or self._of_session(request) or self._of_this_machine(request, address)
        except NotAuthenticated:
            self.limits.count_refusal(address)
            raise
        self.limits.count(known.limited_as, changes=request.method not in SAFE)
        return known

    def token_of(self, secret: str) -> ApiToken | None:
        """The token with this secret, if it counts; that it was used is noted."""
        now = self._clock()
        token = self._book.usable_token(digest(secret), now)
        if token is not None:
            self._book.note_use(token, now)
        return token

    def _of_bearer(self, request: Request) -> Identity | None:
        given = request.headers.get("authorization")
        if given is None:
            return None
        scheme, _, secret = given.partition(" ")
        token = self.token_of(secret.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise NotAuthenticated(ASK_FOR_A_TOKEN)
        return _identity(token, "token")

    def _of_session(self, request: Request) -> Identity | None:
        secret = request.cookies.get(COOKIE)
        token = self._book.session_token(digest(secret), self._clock()) if secret else None
        if token is None:
            return None
        if request.method not in SAFE and not is_same_origin(request):
            raise Problem(403, "Another site sent this request, so that it is not taken for yours.")
        return _identity(token, "session")

    def _of_this_machine(self, request: Request, address: str) -> Identity:
        if not self._open_to_this_machine or self._book.has_usable_tokens(self._clock()):
            raise NotAuthenticated(ASK_FOR_A_TOKEN)
        if not is_loopback(address) or any(name in request.headers for name in FORWARDED):
            raise NotAuthenticated("This request came from another machine: a token is needed. " + ASK_FOR_A_TOKEN)
        if not is_loopback(request.url.hostname or ""):
            # A name of another site that was made to point to this machine (DNS rebinding).
            raise Problem(403, "Without a token, this service is asked for as localhost or 127.0.0.1 only.")
        from_a_browser = "origin" in request.headers or "sec-fetch-site" in request.headers
        if request.method not in SAFE and from_a_browser and not is_same_origin(request):
            raise Problem(403, "Another site sent this request, so that it is not taken for yours.")
        return Identity(self._local_person, frozenset({Scope.ADMIN}), "this machine", address)


def is_same_origin(request: Request) -> bool:
    """Whether a page of this service sent the request. Browsers say so in headers that no page can set."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is one of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _sends(request: Request, secret: str) -> bool:
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {secret}".encode())


def _of_agents(request: Request, scopes: tuple[Scope, ...]) -> Identity:
    address = request.client.host if request.client else ""
    return Identity("agent processes", frozenset(scopes), "token", address)


def _identity(token: ApiToken, through: Literal["token", "session"]) -> Identity:
    return Identity(token.person, frozenset(token.scopes), through, f"token {token.id}")
