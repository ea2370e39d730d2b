"""The command line: what it refuses, and the demo's story from beginning to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def perf_pipeline(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perf_pipeline", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=280, check=False)


def test_a_demo_does_not_overwrite_a_folder_that_is_not_one(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "fleet.yaml", tmp_path / "fleet.yaml")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").write_text("weeks of it")
    refused = perf_pipeline("demo", "--home", "precious", cwd=tmp_path)
    assert refused.returncode == 1
    assert "not an earlier demo" in " ".join(refused.stdout.split())
    assert (tmp_path / "precious" / "work.txt").read_text() == "weeks of it"


def test_a_demo_without_fleet_yaml_says_which_file_is_missing(tmp_path: Path) -> None:
    refused = perf_pipeline("demo", cwd=tmp_path)
    assert refused.returncode == 1
    assert "fleet.yaml" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_the_uis_demo_asks_for_a_demo_first(tmp_path: Path) -> None:
    refused = perf_pipeline("dev", "--demo", cwd=tmp_path)
    assert refused.returncode == 1
    assert "make demo" in refused.stderr


@pytest.mark.timeout(300)
def test_the_demo_alerts_asks_optimizes_and_sums_up_whatever_the_environment_names(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "fleet.yaml", tmp_path / "fleet.yaml")
    shown = perf_pipeline("demo", cwd=tmp_path, PHOENIX_ENDPOINT="http://127.0.0.1:9", SLACK_BOT_TOKEN="xoxb-canary")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    messages = [json.loads(line) for line in (tmp_path / ".demo" / "messages.jsonl").read_text().splitlines()]
    said = {message["title"]: message["text"] for message in messages}
    assert len(said) == len(messages) == 6
    (question,) = [title for title in said if "APPROVAL NEEDED" in title]
    (summary,) = [title for title in said if "Daily Performance Summary" in title]
    assert {"🚨 PERFORMANCE ALERT", "✅ Approved"} <= set(said)
    assert "Agent: InboundAgent" in said["🚨 PERFORMANCE ALERT"]
    assert "to 0%" in said["🚨 PERFORMANCE ALERT"]
    assert "StrategyAgent" in question
    for agent, optimizer, cap in (("InboundAgent", "BootstrapFewShot", "$5"), ("StrategyAgent", "GEPA", "$30")):
        result = said[f"🚀 {agent} got better: {optimizer} promoted a new version"]
        assert f"of at most {cap} (simulated model)" in result
        assert f"{agent}: {optimizer} (finished)" in said[summary]
        pointer = json.loads((tmp_path / ".demo" / "lake" / "programs" / agent / "production.json").read_text())
        assert pointer["version"] in result
        # What was promoted is what the fleet ran in the windows after it.
        assert shown.stdout.count(pointer["version"]) >= 2
    assert "Where to look next" in shown.stdout
    assert "canary" not in shown.stdout + shown.stderr
