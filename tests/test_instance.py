"""What the template of dagster.yaml promises an installation."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from perf_pipeline.instance import prepare_instance


def test_a_run_that_no_machine_runs_any_more_frees_its_slot_within_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(prepare_instance(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", folder)
    with dg.DagsterInstance.from_config(folder) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds == 3600
