"""Versions of agents' programs in the lake, and beside them which one agents are to run: plain files, read by agents.

Layout: `programs/<agent>/versions/<version>.json` and `<version>.manifest.json`, never rewritten;
`programs/<agent>/<alias>.json`, a copy of the ledger's alias. A version is named by the hash of its file.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from upath import UPath

from perf_pipeline.records import ProgramAlias
from resources.program_source import Pointer, ProgramFolder, ProgramSourceError, agent_folder

ID_DIGITS = 16


class ProgramFiles:
    """The program store and the run folders of an installation's lake."""

    def __init__(self, lake_url: str) -> None:
        self._root = UPath(lake_url)

    @property
    def programs(self) -> ProgramFolder:
        return ProgramFolder(str(self._root / "programs"))

    def add_version(self, agent: str, content: Mapping[str, Any], manifest: Mapping[str, Any]) -> tuple[str, str]:
        """Write a version down, unless it is there: its name, and the SHA-256 of its file."""
        body = _json(content)
        sha256 = hashlib.sha256(body).hexdigest()
        version = sha256[:ID_DIGITS]
        folder = self._root / "programs" / agent_folder(agent) / "versions"
        if not (folder / f"{version}.json").exists():
            _write(folder / f"{version}.manifest.json", _json({"version": version, "sha256": sha256, **manifest}))
            _write(folder / f"{version}.json", body)
        return version, sha256

    def publish(self, alias: ProgramAlias, sha256: str | None) -> bool:
        """Copy the ledger's alias to where agents read it. False where a newer copy stands there."""
        try:
            known = self.programs.pointer(alias.agent, alias.name)
        except ProgramSourceError:
            # A damaged copy is written anew.
            known = None
        if known is not None and known.sequence >= alias.sequence:
            return False
        pointer = Pointer(alias.version, alias.sequence, sha256)
        _write(self._root / "programs" / agent_folder(alias.agent) / f"{alias.name}.json", _json(pointer.content()))
        return True

    def write_run_file(self, request_id: str, name: str, text: str) -> str:
        """Write a file into the folder of a run; its address."""
        path = self._run_folder(request_id) / name
        # Half of a character pair, as broken inputs hold it, cannot be written as it is.
        _write(path, text.encode("utf-8", "backslashreplace"))
        return str(path)

    def read_run_file(self, request_id: str, name: str) -> str | None:
        path = self._run_folder(request_id) / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def _run_folder(self, request_id: str) -> UPath:
        return self._root / "optimizations" / quote(request_id, safe="")


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, indent=1).encode()


def _write(path: UPath, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(body)
    temporary.rename(path)
