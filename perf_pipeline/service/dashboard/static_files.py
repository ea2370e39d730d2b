"""The files beside the pages: our own, and the chart library's, from its installed package."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request, Response

from perf_pipeline.service.problems import Problem

OWN = Path(__file__).parent / "static"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
A_YEAR_SECONDS = 31_536_000


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    packed: bytes
    media_type: str
    version: str


def static_router() -> APIRouter:
    """GET /static/<name>. They hold nothing of the installation, so anybody may read them."""
    router = APIRouter(prefix="/static", include_in_schema=False)

    @router.get("/{name}")
    def static_file(name: str, request: Request) -> Response:
        if name not in _paths():
            raise Problem(404, "There is no such file.")
        file = load(name)
        packs = "gzip" in request.headers.get("accept-encoding", "")
        headers = {
            "Cache-Control": f"public, max-age={A_YEAR_SECONDS}, immutable",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": "gzip"} if packs else {}),
        }
        return Response(file.packed if packs else file.content, media_type=file.media_type, headers=headers)

    return router


def static_address(name: str) -> str:
    """The path of a file, which changes with its content: browsers keep it for a year."""
    return f"/static/{name}?v={load(name).version}"


@cache
def load(name: str) -> StaticFile:
    path = _paths()[name]
    content = path.read_bytes()
    return StaticFile(
        content=content,
        packed=gzip.compress(content, mtime=0),
        media_type=MEDIA_TYPES[path.suffix],
        version=hashlib.sha256(content).hexdigest()[:12],
    )


@cache
def _paths() -> dict[str, Path]:
    # Only found, not imported: its Python part takes half a second to load and is not used.
    bokeh = find_spec("bokeh")
    if bokeh is None or not bokeh.submodule_search_locations:
        raise ModuleNotFoundError("The package bokeh, which holds the dashboard's chart library, is not installed.")
    library = Path(bokeh.submodule_search_locations[0]) / "server" / "static" / "js"
    scripts = [library / "bokeh.min.js", library / "bokeh-api.min.js"]
    return {path.name: path for path in (*OWN.iterdir(), *scripts)}
