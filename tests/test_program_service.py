"""Agents that cannot reach the lake read their programs over HTTP, with a token, and check what they get."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from dspy_modules.demo_agents import InboundAgent
from dspy_modules.programs import signature_fingerprint, state_of
from dspy_modules.serving import CODE, AgentProgram
from perf_pipeline.records import ProgramAlias, ProgramVersion
from perf_pipeline.service.app import create_app
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.program_source import ProgramService, ProgramSourceError
from tests.builders import shipped_fleet
from tests.real.services.free_port import free_port
from tests.service_fixtures import context_of, running

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
TOKEN = "token-of-agents"
AGENT = "InboundAgent"


class Registry:
    """A registry with a service before it."""

    def __init__(self, folder: Path) -> None:
        self.book = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.files = ProgramFiles(str(folder / "lake"))
        self.url = f"http://127.0.0.1:{free_port()}"

    def promote(self) -> str:
        program = InboundAgent()
        content = {"agent": AGENT, "signature": signature_fingerprint(program), "state": state_of(program)}
        version, sha256 = self.files.add_version(AGENT, content, {})
        self.book.register_version(ProgramVersion(AGENT, version, sha256, "run", None, NOON))
        known = self.book.program_alias(AGENT, "production")
        alias = ProgramAlias(AGENT, "production", version, known.sequence + 1 if known else 1, NOON, "test", "")
        assert self.book.move_alias(alias)
        return version

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", headers=headers)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path)
    context = context_of(made.book, shipped_fleet(), lambda: NOON, str(tmp_path / "lake"))
    with running(create_app(context, agents_secret=TOKEN), int(made.url.rpartition(":")[2])):
        yield made
    made.book.close()


def test_an_agent_runs_what_was_promoted_and_follows(registry: Registry) -> None:
    source = ProgramService(registry.url, TOKEN)
    agent = AgentProgram(AGENT, InboundAgent, source)
    assert (agent.version, agent.trouble) == (CODE, None)
    version = registry.promote()
    agent.refresh()
    assert (agent.version, agent.trouble) == (version, None)


def test_an_alias_that_did_not_move_is_answered_without_content(registry: Registry) -> None:
    registry.promote()
    login = {"authorization": f"Bearer {TOKEN}"}
    first = registry.get("programs/InboundAgent/production", **login)
    again = registry.get("programs/InboundAgent/production", **login, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    source = ProgramService(registry.url, TOKEN)
    assert source.pointer(AGENT, "production") == source.pointer(AGENT, "production")


@pytest.mark.parametrize("path", ["programs/InboundAgent/production", "programs/InboundAgent/versions/abc"])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN} x"])
def test_nothing_is_told_without_the_token(registry: Registry, path: str, authorization: str | None) -> None:
    registry.promote()
    answer = registry.get(path, **({"authorization": authorization} if authorization else {}))
    assert answer.status_code == 401
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", ["versions/..%2F..%2Fproduction", "versions/nothing", "staging", "versions/%00"])
def test_only_what_is_registered_is_there(registry: Registry, path: str) -> None:
    registry.promote()
    answer = registry.get(f"programs/InboundAgent/{path}", authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 404


def test_a_service_that_is_down_or_refuses_is_a_sentence(registry: Registry) -> None:
    with pytest.raises(ProgramSourceError, match="cannot be reached"):
        ProgramService("http://127.0.0.1:9", TOKEN).pointer(AGENT, "production")
    with pytest.raises(ProgramSourceError, match="HTTP 401"):
        ProgramService(registry.url, "wrong").pointer(AGENT, "production")
