"""Who is let in: every route, whatever it is, by token, by session and on this machine; and what keeps others out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from limits import parse

from perf_pipeline.records import Scope
from perf_pipeline.service.app import create_app
from perf_pipeline.service.authentication import COOKIE, Gate
from perf_pipeline.service.dashboard.router import dashboard_router
from perf_pipeline.service.rate_limits import REFUSALS, RateLimits
from perf_pipeline.service.request_limits import MAX_BODY
from perf_pipeline.tokens import new_token
from resources.ledger import Ledger
from tests.approval_builders import FLEET, NOON
from tests.service_fixtures import context_of

WITHOUT_A_TOKEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /login",
    "POST /login",
    "POST /logout",
    "POST /slack/interactions",
    "GET /static/{name}",
}
"""Supervisors, people who are about to log in, Slack, whose requests are signed, and styles and scripts."""

ALL = parse("1000000/minute")
HERE = "http://127.0.0.1:8080"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def application(book: Ledger, *, open_here: bool = False, limits: RateLimits | None = None) -> FastAPI:
    gate = Gate(book, lambda: NOON, open_to_this_machine=open_here, local_person="ana", limits=limits)
    context = context_of(book, FLEET, lambda: NOON, gate=gate)
    read = [Depends(gate.require(Scope.READ))]
    pages = dashboard_router(book, context.lake, FLEET, lambda: NOON, lambda _trace: None, read, warm=False)
    return create_app(context, pages=[pages])


def client(app: FastAPI, *, address: str = "127.0.0.1") -> TestClient:
    return TestClient(app, HERE, raise_server_exceptions=False, follow_redirects=False, client=(address, 50000))


def routes(app: FastAPI) -> dict[str, Any]:
    """All that is served, by method and path; files that are served as they are by `FILES` and path."""
    found: dict[str, Any] = {}
    for route in iter_route_contexts(app.routes):
        for method in sorted(getattr(route, "methods", None) or {"FILES"}):
            found[f"{method} {route.path}"] = route
    return found


def ask(caller: TestClient, name: str, **more: Any) -> int:
    method, path = name.split(" ")
    return caller.request(method, re.sub(r"\{\w+\}", "unknown", path), json={}, **more).status_code


def bearer(book: Ledger, *scopes: Scope, **changes: Any) -> dict[str, str]:
    secret, token = new_token("test", "ana", scopes, "ana", NOON, **changes)
    book.add_token(token)
    return {"authorization": f"Bearer {secret}"}


def revoked_bearer(book: Ledger) -> dict[str, str]:
    secret, token = new_token("test", "ana", [Scope.ADMIN], "ana", NOON)
    book.add_token(token)
    assert book.revoke_token(token.id, "ana", NOON)
    return {"authorization": f"Bearer {secret}"}


def scopes_of(route: Any) -> tuple[Scope, ...]:
    """The scopes of which the route asks for one."""
    asked = [getattr(one.call, "scopes", ()) for one in route.dependant.dependencies]
    return next((scopes for scopes in asked if scopes), ())


def test_every_route_asks_for_a_scope_but_those_that_need_none(book: Ledger) -> None:
    served = routes(application(book))
    assert set(served) >= WITHOUT_A_TOKEN
    assert len(served) > len(WITHOUT_A_TOKEN)
    assert [name for name in served if name not in WITHOUT_A_TOKEN and not scopes_of(served[name])] == []


def test_every_route_is_closed_without_a_token_to_a_wrong_scope_and_to_a_token_that_ended(book: Ledger) -> None:
    app = application(book, limits=RateLimits(ALL, ALL, ALL))
    caller = client(app)
    tokens = {scope: bearer(book, scope) for scope in Scope}
    expired, revoked = bearer(book, Scope.ADMIN, expires_at=NOON), revoked_bearer(book)
    unusable = (expired, revoked, {"authorization": "Bearer wrong"}, {"authorization": "Basic YTpi"})
    for name, route in routes(app).items():
        if name in WITHOUT_A_TOKEN:
            continue
        assert ask(caller, name) == 401, name
        for headers in unusable:
            assert ask(caller, name, headers=headers) == 401, name
        for scope, token in tokens.items():
            answered = ask(caller, name, headers=token)
            if scope in scopes_of(route) or scope is Scope.ADMIN:
                assert answered not in (401, 403, 429, 500), f"{name} with {scope}: {answered}"
            else:
                assert answered == 403, f"{name} with {scope}: {answered}"


def test_without_tokens_every_route_is_open_to_this_machine_and_to_nobody_else(book: Ledger) -> None:
    app = application(book, open_here=True, limits=RateLimits(ALL, ALL, ALL))
    here, elsewhere = client(app), client(app, address="192.0.2.7")
    for name in set(routes(app)) - WITHOUT_A_TOKEN:
        assert ask(here, name) not in (401, 403, 500), name
        assert ask(elsewhere, name) == 401, name
        assert ask(here, name, headers={"x-forwarded-for": "192.0.2.7"}) == 401, name
        assert ask(here, name, headers={"host": "attacker.example"}) == 403, name


def test_the_first_token_ends_the_openness_to_this_machine(book: Ledger) -> None:
    caller = client(application(book, open_here=True))
    assert ask(caller, "GET /openapi.json") == 200
    token = bearer(book, Scope.READ)
    assert ask(caller, "GET /openapi.json") == 401
    assert ask(caller, "GET /openapi.json", headers=token) == 200


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": HERE}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": "null"}, False),
    ],
    ids=str,
)
def test_a_page_of_another_site_cannot_act_through_a_browser_on_this_machine(
    book: Ledger, headers: dict[str, str], may: bool
) -> None:
    app = application(book, open_here=True)
    changing = "POST /silences"
    assert (ask(client(app), changing, headers=headers) != 403) is may


# Browsers


def log_in(book: Ledger, app: FastAPI, *scopes: Scope, **changes: Any) -> TestClient:
    secret = bearer(book, *scopes, **changes)["authorization"].removeprefix("Bearer ")
    browser = client(app)
    answer = browser.post("/login", data={"token": secret}, headers={"origin": HERE})
    assert answer.status_code == 303, answer.text
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Max-Age=43200"))
    assert secret not in cookie
    return browser


def test_a_browser_logs_in_with_a_token_and_out_again(book: Ledger) -> None:
    app = application(book)
    browser = log_in(book, app, Scope.READ)
    assert browser.get("/openapi.json").status_code == 200
    assert browser.post("/logout", headers={"origin": HERE}).headers["location"] == "/login"
    assert browser.get("/openapi.json").status_code == 401


def test_a_session_kept_by_somebody_ends_with_the_token_and_with_the_logout(book: Ledger) -> None:
    app = application(book)
    browser = log_in(book, app, Scope.READ)
    kept = browser.cookies[COOKIE]
    book.revoke_token(book.tokens()[0].id, "ana", NOON)
    assert client(app).get("/openapi.json", headers={"cookie": f"{COOKIE}={kept}"}).status_code == 401


def test_a_session_acts_only_from_pages_of_this_service(book: Ledger) -> None:
    app = application(book)
    browser = log_in(book, app, Scope.ADMIN)
    changing = "POST /silences"
    assert ask(browser, changing) == 403
    assert ask(browser, changing, headers={"origin": "https://attacker.example"}) == 403
    assert ask(browser, changing, headers={"sec-fetch-site": "same-origin"}) != 403


def test_another_site_cannot_log_a_browser_in(book: Ledger) -> None:
    app = application(book)
    answer = client(app).post("/login", data={"token": "x"}, headers={"origin": "https://attacker.example"})
    assert answer.status_code == 403


def test_a_token_that_does_not_count_is_said_on_the_page_and_not_repeated(book: Ledger) -> None:
    answer = client(application(book)).post("/login", data={"token": "canary"}, headers={"origin": HERE})
    assert answer.status_code == 401
    assert "does not count" in answer.text
    assert "canary" not in answer.text


def test_a_browser_without_a_session_is_shown_where_to_log_in_and_a_program_is_not(book: Ledger) -> None:
    caller = client(application(book))
    page = caller.get("/openapi.json", headers={"accept": "text/html,*/*"})
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    answer = caller.get("/openapi.json")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Unauthorized"


# Limits


def test_who_asks_too_often_is_told_how_long_to_wait_and_others_are_not_held_up(book: Ledger) -> None:
    caller = client(application(book, limits=RateLimits(requests=parse("3/minute"))))
    eager, calm = bearer(book, Scope.READ), bearer(book, Scope.READ)
    statuses = [ask(caller, "GET /openapi.json", headers=eager) for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = caller.get("/openapi.json", headers=eager)
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert ask(caller, "GET /openapi.json", headers=calm) == 200


def test_guessing_is_slowed_down_and_who_has_a_token_is_answered_all_the_same(book: Ledger) -> None:
    caller = client(application(book))
    wrong = {"authorization": "Bearer wrong"}
    statuses = [ask(caller, "GET /openapi.json", headers=wrong) for _ in range(REFUSALS.amount + 1)]
    assert (statuses[0], statuses[-1]) == (401, 429)
    assert ask(caller, "GET /openapi.json", headers=bearer(book, Scope.READ)) == 200


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "in chunks"])
def test_a_body_that_is_too_large_is_refused(book: Ledger, declared: bool) -> None:
    body = b"token=" + b"x" * MAX_BODY
    content = body if declared else iter([body])
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": HERE}
    answer = client(application(book)).post("/login", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_answers_tell_browsers_to_be_careful_and_other_sites_nothing(book: Ledger) -> None:
    caller = client(application(book))
    answer = caller.get("/healthz", headers={"origin": "https://elsewhere.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers
    assert "style-src 'sha256-" in caller.get("/login").headers["content-security-policy"]


def test_a_method_that_a_path_does_not_take_is_told_which_ones_it_does(book: Ledger) -> None:
    refused = client(application(book)).options("/silences")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


def test_a_defect_is_a_problem_without_a_trace(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("password=canary")

    token = bearer(book, Scope.READ)
    monkeypatch.setattr(Ledger, "usable_token", fail)
    answer = client(application(book)).get("/openapi.json", headers=token)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
