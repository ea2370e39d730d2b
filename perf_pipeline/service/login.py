"""The page on which a browser logs in with a token, and the session that it gets for it.

The cookie holds a secret of its own, not the token: it ends after `SESSION_LASTS`, with the token, or by logging out.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from perf_pipeline.service.authentication import COOKIE, is_same_origin
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.problems import LOGIN, Problem, problems
from perf_pipeline.tokens import digest, new_secret

SESSION_LASTS = timedelta(hours=12)
AFTER_LOGIN = "/"

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 90vh; margin: 1rem; }
form { display: grid; gap: .75rem; width: min(24rem, 100%); }
input, button { font: inherit; padding: .6rem; border-radius: .4rem; border: 1px solid #888; }
button { background: #1f5fbf; border-color: #1f5fbf; color: #fff; cursor: pointer; }
.refused { border-left: .25rem solid #c62828; padding-left: .75rem; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in · perf-pipeline</title>
<style>{style}</style>
</head>
<body>
<main>
<form method="post" action="{action}">
<h1>perf-pipeline</h1>
{refused}<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
 aria-describedby="hint">
<p id="hint">Made with <code>perf-pipeline token create</code>.</p>
<button>Log in</button>
</form>
</main>
</body>
</html>
"""

REFUSED = '<p class="refused" role="alert">This token does not count: it is mistyped, revoked, or has expired.</p>\n'

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
}


def login_router(context: ServiceContext) -> APIRouter:
    book, gate, clock = context.book, context.gate, context.clock
    router = APIRouter(tags=["browser"])

    @router.get(LOGIN, response_class=HTMLResponse)
    def login_page() -> HTMLResponse:
        """The page that asks for a token."""
        return _page()

    @router.post(
        LOGIN,
        status_code=303,
        response_class=Response,
        responses={303: {"description": "Logged in, with the session's cookie"}, **problems()},
    )
    def login(request: Request, token: Annotated[str, Form(max_length=200)]) -> Response:
        """Begin a session with a token."""
        _refuse_other_sites(request)
        known = gate.token_of(token.strip())
        if known is None:
            gate.limits.count_refusal(request.client.host if request.client else "")
            return _page(REFUSED, 401)
        now, secret = clock(), new_secret()
        book.open_session(digest(secret), known, now + SESSION_LASTS, now)
        answer = RedirectResponse(AFTER_LOGIN, 303)
        answer.set_cookie(
            COOKIE,
            secret,
            max_age=round(SESSION_LASTS.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post(
        "/logout",
        status_code=303,
        response_class=Response,
        responses={303: {"description": "Logged out"}, **problems()},
    )
    def logout(request: Request) -> Response:
        """End the session of the browser that asks."""
        _refuse_other_sites(request)
        if secret := request.cookies.get(COOKIE):
            book.close_session(digest(secret))
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


def _refuse_other_sites(request: Request) -> None:
    if not is_same_origin(request):
        raise Problem(403, "Only the page of this service logs in and out.")


def _page(refused: str = "", status: int = 200) -> HTMLResponse:
    return HTMLResponse(PAGE.format(style=STYLE, action=LOGIN, refused=refused), status, _HEADERS)
