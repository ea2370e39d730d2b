"""PostgREST over a fresh PostgreSQL 15, with Supabase's roles and its agent_state table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from tests.real.services.free_port import free_port
from tests.real.services.node_packages import postgrest_binary

POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
JWT_SECRET = "a-secret-of-the-tests-with-more-than-32-characters"

SCHEMA = """
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

create table agent_state (
    id uuid primary key default gen_random_uuid(),
    agent_name text, lead_id text, state_data jsonb, status text,
    created_at timestamptz default now(), updated_at timestamptz default now()
);
alter table agent_state enable row level security;
create table hidden_state (like agent_state);

create view slow_agent_state as
    select agent_state.* from agent_state, (select pg_sleep(3) offset 0) as delay;

grant usage on schema public to anon, authenticated, service_role;
grant select on agent_state, slow_agent_state to anon, authenticated, service_role;
alter role authenticator set statement_timeout = '1s';
"""


class ServiceError(RuntimeError):
    """A test server could not be installed or did not start. The message holds the end of its log."""


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a new cluster that holds SCHEMA; it is deleted at the end."""
    _need_postgres()
    # PostgreSQL refuses to run as root, so root lends the folder and the processes to its own user.
    user = "postgres" if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="perf-pipeline-postgres-"))
    if user:
        shutil.chown(home, user, user)
    try:
        data = home / "data"
        subprocess.run(
            [POSTGRES_BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            user=user,
            group=user,
            cwd=home,
        )
        port = free_port()
        address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        arguments = ["-D", data, "-k", home, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [str(part) for part in (POSTGRES_BIN / "postgres", *arguments)]
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM waits for every client to leave.
        with _running(command, home, lambda: _accepts(address), signal.SIGINT, user):
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(SCHEMA)
            yield address
    finally:
        shutil.rmtree(home)


@contextmanager
def postgrest(database: str, *, aggregates: bool, row_cap: int = 1000) -> Iterator[str]:
    """The address of a PostgREST over the `database` of postgres()."""
    port, admin_port = free_port(), free_port()
    settings = {
        "PGRST_DB_URI": database.replace("postgres@", "authenticator@"),
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_MAX_ROWS": str(row_cap),
        "PGRST_DB_AGGREGATES_ENABLED": str(aggregates).lower(),
        "PGRST_JWT_SECRET": JWT_SECRET,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
        "PGRST_ADMIN_SERVER_PORT": str(admin_port),
    }
    home = Path(tempfile.mkdtemp(prefix="perf-pipeline-postgrest-"))
    try:
        ready = f"http://127.0.0.1:{admin_port}/ready"
        with _running([str(postgrest_binary())], home, lambda: _is_ready(ready), signal.SIGTERM, None, settings):
            yield f"http://127.0.0.1:{port}"
    finally:
        shutil.rmtree(home)


@contextmanager
def _running(
    command: list[str],
    home: Path,
    is_ready: Callable[[], bool],
    stop_signal: signal.Signals,
    user: str | None,
    settings: dict[str, str] | None = None,
) -> Iterator[None]:
    log = home / "log"
    environment = {**os.environ, **(settings or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
            env=environment,
            user=user,
            group=user,
        )
    try:
        deadline = time.monotonic() + 30
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        _stop(process, stop_signal)


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, stop_signal)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def _accepts(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(address, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def _need_postgres() -> None:
    if (POSTGRES_BIN / "initdb").is_file():
        return
    if os.geteuid() != 0:
        raise ServiceError(f"{POSTGRES_BIN} is missing: install PostgreSQL 15 (apt-get install postgresql) as root.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        ["apt-get", "install", "-y", "postgresql"], capture_output=True, text=True, env=environment, timeout=600
    )
    if result.returncode != 0 or not (POSTGRES_BIN / "initdb").is_file():
        raise ServiceError(f"apt-get could not install PostgreSQL 15: {result.stderr[-2000:]}")
