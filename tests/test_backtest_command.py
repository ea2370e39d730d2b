"""`perf-pipeline backtest`: files in, files out, and errors that say what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from perf_pipeline.cli import app
from perf_pipeline.tables import AGENT_METRICS
from resources.lake import Lake
from tests.builders import metrics_row

START = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
HEALTHY, FALLEN = 100, 6


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["backtest", *(str(argument) for argument in arguments)])


def table(windows: int = HEALTHY + FALLEN) -> pd.DataFrame:
    """An agent that succeeds at nine tasks of ten, and at none in the last windows."""
    rows = [(number, 0 if number >= HEALTHY else 9) for number in range(windows)]
    return pd.DataFrame(
        {"agent": "A", "window_start": str(START + number * WINDOW), "tasks": 10, "successes": successes}
        for number, successes in rows
    )


def test_a_table_of_metrics_gives_a_row_for_each_incident_with_times_as_they_were_given(tmp_path: Path) -> None:
    metrics = table()
    metrics["window_start"] = metrics["window_start"].str.removesuffix("+00:00")
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    done = run("--metrics", tmp_path / "metrics.csv", "--findings", tmp_path / "out" / "findings.csv")
    assert done.exit_code == 0, done.output
    (found,) = pd.read_csv(tmp_path / "out" / "findings.csv").to_dict("records")
    opened = metrics["window_start"].iloc[HEALTHY]
    expected = {"agent": "A", "window_start": opened, "type": "success_drop", "severity": "critical"}
    assert found == expected | {"onset": opened, "state": "open"}


def test_parquet_is_read_as_well_as_csv(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "metrics.parquet")
    run("--metrics", tmp_path / "metrics.parquet", "--findings", tmp_path / "findings.csv")
    assert len(pd.read_csv(tmp_path / "findings.csv")) == 1


def test_every_change_shows_the_finding_grow(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "metrics.csv", index=False)
    run("--metrics", tmp_path / "metrics.csv", "--findings", tmp_path / "findings.csv", "--every-change")
    assert "open" in set(pd.read_csv(tmp_path / "findings.csv")["state"])


def test_a_series_keeps_its_texts_and_gets_scores(tmp_path: Path) -> None:
    texts = [(f"2026-03-02 00:{minute:02}:00", f"{minute % 3}.50") for minute in range(60)]
    (tmp_path / "series.csv").write_text("timestamp,value\n" + "\n".join(",".join(row) for row in texts) + "\n")
    assert run("--series", tmp_path / "series.csv", "--scores", tmp_path / "scores.csv").exit_code == 0
    scored = pd.read_csv(tmp_path / "scores.csv", dtype={"timestamp": str, "value": str})
    assert list(zip(scored["timestamp"], scored["value"], strict=True)) == texts
    assert scored["anomaly_score"].between(0, 1).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metrics", "{folder}/none.csv", "--findings", "{folder}/out.csv"], "none.csv cannot be read"),
        (["--metrics", "{folder}/metrics.csv"], "needs both --metrics FILE and --findings OUT"),
        (["--series", "{folder}/metrics.csv"], "needs both --series FILE and --scores OUT"),
        (["--series", "{folder}/metrics.csv", "--scores", "{folder}/out.csv"], "needs the columns timestamp and value"),
        (["--home", "{folder}"], "There are no agent_metrics"),
        (
            ["--metrics", "{folder}/metrics.csv", "--findings", "{folder}/o.csv", "--fleet", "{folder}/no.yaml"],
            "no.yaml",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    table(3).to_csv(tmp_path / "metrics.csv", index=False)
    refused = run(*(argument.format(folder=tmp_path) for argument in arguments))
    assert refused.exit_code == 1
    assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.output
    assert not (tmp_path / "out.csv").exists()


def test_the_installations_history_is_replayed_and_compared_with_what_was_recorded(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for number in range(HEALTHY + FALLEN):
        fallen = number >= HEALTHY
        row = metrics_row(number=number, tasks=10, successes=0 if fallen else 9)
        frame = AGENT_METRICS.conform(pd.DataFrame([row]))
        lake.write(AGENT_METRICS, frame["window_start"].iloc[0].to_pydatetime(), frame)
    shown = run("--home", tmp_path, "--json", "--findings", tmp_path / "findings.csv")
    assert shown.exit_code == 0, shown.output
    summary = json.loads(shown.stdout)
    assert (summary["findings"], summary["sent"], summary["confirmed"], summary["recorded"]) == (1, 1, 1, 0)
    assert len(pd.read_csv(tmp_path / "findings.csv")) == 1
    assert "1 finding (" in run("--home", tmp_path).stdout
