"""Imports point one way: edges to the pure core to the declarations; each outside system has one door."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.test_settings import COMPLETE

ROOT = Path(__file__).parent.parent
PACKAGES = ("perf_pipeline", "dspy_modules", "resources")
PURE = ("perf_pipeline.monitoring", "perf_pipeline.optimization", "perf_pipeline.notifications")
DECLARATIONS = (
    "perf_pipeline.fleet",
    "perf_pipeline.fleet_analysts",
    "perf_pipeline.fleet_detection",
    "perf_pipeline.fleet_metrics",
    "perf_pipeline.fleet_model",
    "perf_pipeline.fleet_people",
    "perf_pipeline.fleet_sql",
    "perf_pipeline.fleet_targets",
    "perf_pipeline.message",
    "perf_pipeline.records",
    "perf_pipeline.tables",
)
CLIENTS = (
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "aiohttp",
    "alembic",
    "apprise",
    "asyncpg",
    "boto3",
    "fsspec",
    "http.client",
    "http.server",
    "httpx",
    "httpx2",
    "mcp",
    "phoenix",
    "psycopg",
    "psycopg2",
    "requests",
    "slack_sdk",
    "smtplib",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "stamina",
    "supabase",
    "upath",
    "urllib.request",
    "urllib3",
    "websockets",
)
HEAVY = (
    "adbc_driver_postgresql",
    "apprise",
    "dspy",
    "litellm",
    "matplotlib",
    "mcp",
    "opentelemetry",
    "phoenix",
    "slack_sdk",
    "supabase",
)


@dataclass(frozen=True)
class Import:
    importer: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def is_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@cache
def trees() -> dict[str, ast.Module]:
    """The parsed modules of the product, by their names."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


def imports_of(tree: ast.AST, importer: str) -> Iterator[Import]:
    """Every import, at the top of the module or within a function; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}:{node.lineno} imports relatively: write the whole name"
            yield from (Import(importer, f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for name, tree in trees().items() for found in imports_of(tree, name))


def offending(
    importers: tuple[str, ...], targets: tuple[str, ...], *, allowed: tuple[str, ...] = (), but: tuple[str, ...] = ()
) -> list[str]:
    """Imports of `targets`, except for those of `allowed`, by modules in `importers`, except for those in `but`."""
    return [
        str(found)
        for found in imports()
        if is_in(found.importer, *importers)
        and not is_in(found.importer, *but)
        and is_in(found.target, *targets)
        and not is_in(found.target, *allowed)
    ]


def test_the_reading_of_imports_sees_them_all() -> None:
    source = "import os.path\ndef f():\n    from a.b import c, d as e\n"
    assert [(found.target, found.line) for found in imports_of(ast.parse(source), "m")] == [
        ("os.path", 1),
        ("a.b.c", 3),
        ("a.b.d", 3),
    ]
    assert {"perf_pipeline.definitions", "resources.ledger", "dspy_modules"} <= set(trees())


def test_only_dspy_modules_import_dspy() -> None:
    assert offending(PACKAGES, ("dspy",), but=("dspy_modules",)) == []


def test_only_resources_talk_to_the_outside() -> None:
    assert offending(PACKAGES, CLIENTS, but=("resources",)) == []


def test_the_pure_core_imports_neither_dagster_nor_resources_nor_edges() -> None:
    assert offending(PURE, ("dagster", "resources", "dspy_modules")) == []
    assert offending(PURE, ("perf_pipeline",), allowed=(*DECLARATIONS, *PURE)) == []


def test_the_pure_core_reads_neither_clock_nor_environment_nor_files() -> None:
    assert offending(PURE, ("os", "sys", "time", "subprocess", "pathlib", "tempfile", "random", "shutil")) == []


def test_the_declarations_import_nothing_of_the_product_but_each_other() -> None:
    assert offending(DECLARATIONS, PACKAGES, allowed=DECLARATIONS) == []
    assert offending(DECLARATIONS, ("dagster",)) == []


def test_below_the_edges_nothing_asks_what_time_it_is() -> None:
    below = (*PURE, *DECLARATIONS, "perf_pipeline.collection", "perf_pipeline.delivery", "perf_pipeline.settings")
    calls = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in trees().items()
        if is_in(name, *below)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (node.attr in {"now", "utcnow", "today"} or ast.unparse(node) in {"os.environ", "os.getenv"})
    ]
    assert calls == []


def test_only_the_definitions_and_the_commands_read_the_environment() -> None:
    readers = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    }
    assert readers <= {
        "dspy_modules.run_models",
        "perf_pipeline.backtest_command",
        "perf_pipeline.cli",
        "perf_pipeline.definitions",
        "perf_pipeline.demo.run",
        "perf_pipeline.doctor_command",
        "perf_pipeline.notify_command",
        "perf_pipeline.opened_installation",
    }


def test_resources_know_tables_and_records_and_nothing_else_of_the_pipeline() -> None:
    words = ("perf_pipeline.fleet_model", "perf_pipeline.fleet_people.NotificationKind", "perf_pipeline.message")
    known = ("perf_pipeline.tables", "perf_pipeline.records", *words, "resources")
    assert offending(("resources",), PACKAGES, allowed=known) == []


def test_dspy_modules_know_dspy_and_not_the_pipeline() -> None:
    assert offending(("dspy_modules",), ("dagster", "resources", "perf_pipeline")) == []


def test_only_the_command_line_and_the_demo_itself_know_the_demo() -> None:
    assert offending(PACKAGES, ("perf_pipeline.demo",), but=("perf_pipeline.demo", "perf_pipeline.cli")) == []


def test_the_pure_packages_are_there_to_be_checked() -> None:
    for package in PURE:
        assert sum(is_in(name, package) for name in trees()) > 2


def test_no_module_imports_itself_in_a_circle() -> None:
    names = set(trees())
    at_load: dict[str, set[str]] = {name: set() for name in names}
    for name, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for found in imports_of(node, name):
                    target = found.target if found.target in names else found.target.rpartition(".")[0]
                    if target in names and target != name:
                        at_load[name].add(target)
    while leaves := {name for name, targets in at_load.items() if not targets}:
        at_load = {name: targets - leaves for name, targets in at_load.items() if name not in leaves}
    assert at_load == {}


LOAD = f"""
import sys

def refuse_the_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise AssertionError(f"{{event}} {{arguments}}")

sys.addaudithook(refuse_the_network)
from perf_pipeline.definitions import defs
definitions = defs()
assert len(definitions.resolve_all_asset_specs()) == 15
print(sorted(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize("environment", [{}, COMPLETE], ids=["embedded", "real systems"])
def test_definitions_load_in_a_fresh_interpreter_without_network_and_heavy_imports(
    environment: dict[str, str], tmp_path: Path
) -> None:
    prefixes = ("PHOENIX_", "SUPABASE_", "RAILWAY_", "SLACK_", "PERF_PIPELINE_", "DAGSTER_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    places = {"PERF_PIPELINE_HOME": str(tmp_path), "PERF_PIPELINE_FLEET": str(ROOT / "fleet.yaml")}
    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD],
        cwd=ROOT,
        env=clean | environment | places,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
