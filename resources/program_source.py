"""Where agent processes read their programs: the lake's files, or the service over HTTP. Light to import.

What is read is not trusted here: `dspy_modules.serving` checks hashes and signatures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 10


class ProgramSourceError(Exception):
    """The programs cannot be read now. The message is a sentence."""


@dataclass(frozen=True)
class Pointer:
    """Which version an agent is to run, None for the program as it stands in the code; see `records.ProgramAlias`."""

    version: str | None
    sequence: int
    sha256: str | None

    def content(self) -> dict[str, Any]:
        return {"version": self.version, "sequence": self.sequence, "sha256": self.sha256}


class ProgramSource(Protocol):
    def pointer(self, agent: str, alias: str) -> Pointer | None:
        """None where the alias was never moved. Raises ProgramSourceError."""
        ...

    def artifact(self, agent: str, version: str) -> bytes:
        """The version's file. Raises ProgramSourceError."""
        ...


class ProgramFolder:
    """The folder `programs` of a lake: a path, or an fsspec address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def pointer(self, agent: str, alias: str) -> Pointer | None:
        body = self._read(agent, f"{alias}.json")
        return None if body is None else _pointer(body, self._url)

    def artifact(self, agent: str, version: str) -> bytes:
        body = self._read(agent, f"versions/{quote(version, safe='')}.json")
        if body is None:
            raise ProgramSourceError(f"{self._url} has no version {version} of {agent}.")
        return body

    def _read(self, agent: str, name: str) -> bytes | None:
        from upath import UPath

        path = UPath(self._url) / agent_folder(agent) / name
        try:
            return path.read_bytes() if path.exists() else None
        except OSError as error:
            raise ProgramSourceError(f"{path} cannot be read ({error}): let the agent's user read it.") from error


class ProgramService:
    """`perf-pipeline serve` at a base URL. An alias that has not changed costs an empty answer (ETag)."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._known: dict[str, tuple[str, Pointer]] = {}

    def pointer(self, agent: str, alias: str) -> Pointer | None:
        path = f"programs/{quote(agent, safe='')}/{quote(alias, safe='')}"
        known = self._known.get(path)
        answer = self._get(path, {"if-none-match": known[0]} if known else {})
        if answer.status_code == 304 and known:
            return known[1]
        if answer.status_code == 404:
            return None
        pointer = _pointer(answer.content, self._url)
        if etag := answer.headers.get("etag"):
            self._known[path] = (etag, pointer)
        return pointer

    def artifact(self, agent: str, version: str) -> bytes:
        answer = self._get(f"programs/{quote(agent, safe='')}/versions/{quote(version, safe='')}", {})
        if answer.status_code == 404:
            raise ProgramSourceError(f"{self._url} has no version {version} of {agent}.")
        return answer.content

    def _get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        import httpx

        login = {"authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = httpx.get(f"{self._url}/{path}", headers=headers | login, timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            raise ProgramSourceError(f"{self._url} cannot be reached ({error}).") from error
        if answer.status_code not in (200, 304, 404):
            raise ProgramSourceError(f"{self._url} answered {path} with HTTP {answer.status_code}.")
        return answer


def program_source(address: str, token: str | None = None) -> ProgramSource:
    """The service where the address begins with http:// or https://, else the folder `programs` of a lake."""
    if address.startswith(("http://", "https://")):
        return ProgramService(address, token)
    return ProgramFolder(address)


def agent_folder(agent: str) -> str:
    """A name that no file system takes for another folder."""
    return quote(agent, safe="").replace(".", "%2E")


def _pointer(body: bytes, place: str) -> Pointer:
    try:
        content = json.loads(body)
        return Pointer(content["version"], int(content["sequence"]), content["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramSourceError(f"What {place} says of an alias is not to be read ({error!r}).") from error
