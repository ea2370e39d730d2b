"""Which of a Phoenix server's projects is meant, and what to say where it has none of that name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from resources.reading import PhoenixError

PROJECTS_NAMED_IN_ERRORS = 10


def find_project(projects: Iterable[Mapping[str, Any]], wanted: str, place: str) -> Mapping[str, Any]:
    """The project with that name, else with that id, out of mappings with `name` and `id`. Raises PhoenixError.

    `place` names the server in the error. To be asked on every road: a query on an unknown project answers 200 with no
    rows.
    """
    known = list(projects)
    for identity in ("name", "id"):
        for project in known:
            if project[identity] == wanted:
                return project
    names = [str(project["name"]) for project in known]
    names.sort(key=lambda name: SequenceMatcher(None, name.lower(), wanted.lower()).ratio(), reverse=True)
    shown = ", ".join(names[:PROJECTS_NAMED_IN_ERRORS]) + (", ..." if len(names) > PROJECTS_NAMED_IN_ERRORS else "")
    raise PhoenixError(
        f"{place} has no project {wanted!r}; it has: {shown or 'none'}. "
        "Set PHOENIX_PROJECT_NAME to one of them; a new project appears with the first span sent to it.",
        retryable=False,
    )
