"""An installation that watches real servers, run through Dagster in process, and how tests look into it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import dagster as dg
import pandas as pd

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.jobs import MONITORING, QUIET, SUMMARY, range_tags
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.settings import read_settings
from perf_pipeline.tables import Table
from resources.lake import Lake
from resources.ledger import Ledger

FLEET_FILE = Path(__file__).parents[2] / "fleet.yaml"
PREFIXES = ("PERF_PIPELINE_", "PHOENIX_", "SUPABASE_", "RAILWAY_", "SLACK_")


@dataclass(frozen=True)
class Installation:
    """An installation in `home`, as `environment` (names and values) describes it.

    `changes` replace variables of the environment for one run, as a restart with other settings would.
    """

    home: Path
    environment: dict[str, str]
    instance: dg.DagsterInstance

    @property
    def fleet(self) -> FleetConfig:
        return load_fleet(FLEET_FILE)

    def run(self, windows: Sequence[Window], **changes: str) -> dg.ExecuteInProcessResult:
        """One run of the monitoring job over the windows. Raises what a step raises."""
        with self._started(changes) as (definitions, _):
            return definitions.resolve_job_def(MONITORING).execute_in_process(
                instance=self.instance, tags=range_tags(windows[0].key, windows[-1].key), run_config=QUIET
            )

    def summarize(self, day: str) -> dg.ExecuteInProcessResult:
        with self._started({}) as (definitions, _):
            return definitions.resolve_job_def(SUMMARY).execute_in_process(
                instance=self.instance, partition_key=day, run_config=QUIET
            )

    def tick(self, sensor: str) -> str:
        """Evaluates the sensor once; what it says for itself."""
        with self._started({}) as (definitions, resources):
            context = dg.build_sensor_context(instance=self.instance, definitions=definitions, resources=resources)
            with context:
                return definitions.resolve_sensor_def(sensor).evaluate_tick(context).skip_message or ""

    def table(self, table: Table, windows: Sequence[Window]) -> pd.DataFrame:
        return Lake(str(self.home / "lake")).read(table, windows[0].start, windows[-1].end)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(f"sqlite:///{self.home / 'ledger.db'}")
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def _started(self, changes: dict[str, str]) -> Iterator[tuple[dg.Definitions, dict[str, object]]]:
        """The definitions that production would load in this environment, which holds while they are in use."""
        unrelated = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
        places = {"PERF_PIPELINE_HOME": str(self.home), "PERF_PIPELINE_FLEET": str(FLEET_FILE)}
        with mock.patch.dict(os.environ, unrelated | places | self.environment | changes, clear=True):
            settings = read_settings(os.environ)
            resources = installed_resources(settings, self.fleet)
            yield build_defs(self.fleet, resources), resources


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], str]:
    """What the checks that did not pass say, by asset and check."""
    return {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation.description or ""
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    }
