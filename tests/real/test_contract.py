"""Schemathesis over the running service: no failure, no break of the contract, every operation covered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from limits import parse

from perf_pipeline.monitoring.windows import floor_to_window, windows_between
from perf_pipeline.records import Scope
from perf_pipeline.service.app import create_app
from perf_pipeline.service.authentication import Gate
from perf_pipeline.service.rate_limits import RateLimits
from perf_pipeline.tokens import new_token
from resources.lake import Lake
from resources.ledger import Ledger
from resources.slack_interactions import SlackSignature
from tests.approval_builders import FLEET, SECRET, asked
from tests.incident_actions_builders import told_thread
from tests.metrics_lake import write_windows
from tests.real.services.free_port import free_port
from tests.service_fixtures import context_of, running
from tests.wire.dagster_server import dagster_server

pytestmark = [pytest.mark.real]

MANY = parse("1000000/minute")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a service with something of everything in it, and a token that may do all."""

    def clock() -> datetime:
        return datetime.now(UTC)

    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    now = floor_to_window(clock(), FLEET.window)
    windows = windows_between(now - timedelta(hours=3), now, FLEET.window)
    write_windows(Lake(str(tmp_path / "lake")), FLEET.agent_names, windows)
    told_thread(book)
    asked(book, now=clock())
    secret, token = new_token("schemathesis", "ana", [Scope.ADMIN], "ana", clock())
    book.add_token(token)
    gate = Gate(book, clock, limits=RateLimits(MANY, MANY, MANY))
    with dagster_server() as dagster_url:
        context = context_of(book, FLEET, clock, str(tmp_path / "lake"), gate, dagster_url)
        with running(create_app(context, SlackSignature(SECRET)), free_port()) as url:
            yield url, secret
    book.close()


@pytest.mark.timeout(900)
def test_the_service_keeps_to_its_description_whatever_it_is_sent(service: tuple[str, str], tmp_path: Path) -> None:
    url, secret = service
    authorization = f"Authorization: Bearer {secret}"
    report = tmp_path / "report.xml"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--header", authorization),
        *("--max-examples", "25", "--seed", "1", "--report", "junit", "--report-junit-path", str(report)),
        *("--exclude-checks", "positive_data_acceptance", "--no-color"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    described = httpx.get(f"{url}/openapi.json", headers={"authorization": f"Bearer {secret}"}).json()
    operations = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    tested = {case.get("name") for case in ElementTree.parse(report).iter("testcase")}
    # The description itself is what Schemathesis reads first, and not what it tests.
    assert operations - tested == {"GET /openapi.json"}
