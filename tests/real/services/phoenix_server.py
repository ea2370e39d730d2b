"""A real Phoenix server for tests: installed once into its own virtual environment, started and stopped at will.

It cannot live in the project's environment, because its dependencies contradict Dagster's.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

VERSION = "20.26.1"
ENVIRONMENT = Path(__file__).parents[3] / ".services" / "phoenix"
START_SECONDS = 120


@dataclass(frozen=True)
class RunningPhoenix:
    """`api_key` is empty where the server asks for none."""

    base_url: str
    api_key: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Ends the server and all that it started. Spans that it accepted and did not yet write are lost."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def start_phoenix(
    workdir: Path, port: int, grpc_port: int, auth: bool = False, database_url: str = ""
) -> RunningPhoenix:
    """Returns when the server answers. Its log lies in `workdir`, which may hold an earlier one; so does its database,
    unless `database_url` names one in PostgreSQL."""
    program = _installed()
    workdir.mkdir(parents=True, exist_ok=True)
    admin_secret = f"a1{secrets.token_hex(20)}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PHOENIX_")} | {
        "PHOENIX_WORKING_DIR": str(workdir),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_LOG_MIGRATIONS": "false",
    }
    if auth:
        environment |= {
            "PHOENIX_ENABLE_AUTH": "true",
            "PHOENIX_SECRET": f"b2{secrets.token_hex(20)}",
            "PHOENIX_ADMIN_SECRET": admin_secret,
        }
    if database_url:
        environment |= {"PHOENIX_SQL_DATABASE_URL": database_url}
    log = workdir / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve"], env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    base_url = f"http://127.0.0.1:{port}"
    running = RunningPhoenix(base_url, "", process)
    try:
        _wait_until_healthy(running, log)
        return RunningPhoenix(base_url, _new_api_key(base_url, admin_secret), process) if auth else running
    except BaseException:
        running.stop()
        raise


def _installed() -> Path:
    # pip installs a package after all that it needs, so its record says that nothing is missing. What an extra needs
    # may come later.
    records = [f"arize_phoenix-{VERSION}.dist-info", "asyncpg-*.dist-info"]
    has = [any(ENVIRONMENT.glob(f"lib/python*/site-packages/{record}")) for record in records]
    if not has[0]:
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    if not all(has):
        package = f"arize-phoenix[pg]=={VERSION}"
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", package], check=True)
    return ENVIRONMENT / "bin" / "phoenix"


def _wait_until_healthy(running: RunningPhoenix, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            raise RuntimeError(f"Phoenix ended while it started:\n{log.read_text()[-2000:]}")
        try:
            if httpx.get(f"{running.base_url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    raise TimeoutError(f"Phoenix does not answer after {START_SECONDS} s:\n{log.read_text()[-2000:]}")


def _new_api_key(base_url: str, admin_secret: str) -> str:
    answer = httpx.post(
        f"{base_url}/v1/system/api_keys",
        headers={"authorization": f"Bearer {admin_secret}"},
        json={"data": {"name": "tests"}},
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["data"]["key"])
