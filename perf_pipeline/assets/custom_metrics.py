"""custom_metrics: the metrics of fleet.yaml, of each agent and window. What a metric does wrong stays with it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import CUSTOM_METRICS_COMPUTED, advisory_spec, custom_metrics_computed_result, schema_result
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.fleet_sql import check_aggregate
from perf_pipeline.monitoring.custom_metrics import (
    Computed,
    Group,
    annotation_means,
    grouped,
    groups_of,
    metric_rows,
    problems,
)
from perf_pipeline.tables import CUSTOM_METRICS, DETECTOR_STATES
from resources.lake import Lake, LakeResource
from resources.metric_functions import MetricFunctions
from resources.metric_value import MetricError
from resources.reading import SourceError
from resources.sources import SpanSource, TaskPlace
from resources.task_sql import TaskSql

SECONDS_A_WINDOW = 10.0
"""So long a metric may take, for all agents of a window together."""

EXPECTED = DETECTOR_STATES.view("window_start", "agent", "metric", "expected")


def custom_metrics_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(
        fleet,
        CUSTOM_METRICS,
        "performance",
        {"duckdb", "parquet"},
        [
            advisory_spec(
                CUSTOM_METRICS, CUSTOM_METRICS_COMPUTED, "Every metric of fleet.yaml could be computed and compared."
            )
        ],
    )
    def custom_metrics(
        context: dg.AssetExecutionContext,
        agent_tasks: pd.DataFrame,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        frame = compute(agent_tasks, fleet, span_source, SECONDS_A_WINDOW * len(windows))
        wrong = problems(frame)
        newest = frame[frame["window_start"] == windows[-1].start]
        before = _expected_before(lake.open(), windows[-1].start, fleet)
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "metrics": ", ".join(metric.name for metric in fleet.metrics) or "none in fleet.yaml",
                "newest window": markdown(_at_a_glance(newest, before, fleet)),
                "not computed": dg.MetadataValue.md("\n".join(f"- {one}" for one in wrong) or "None."),
            },
            check_results=[schema_result(CUSTOM_METRICS, frame), custom_metrics_computed_result(wrong)],
        )

    return custom_metrics


def compute(tasks: pd.DataFrame, fleet: FleetConfig, spans: SpanSource, seconds: float) -> pd.DataFrame:
    """`tables.CUSTOM_METRICS` of the tasks (`tables.AGENT_TASKS`). Each metric may take so many `seconds` for all."""
    if not fleet.metrics or tasks.empty:
        return CUSTOM_METRICS.empty()
    numbered, groups = grouped(tasks, pd.Timedelta(fleet.window))
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        sql = stack.enter_context(TaskSql(numbered)) if any(one.sql for one in fleet.metrics) else None
        functions = stack.enter_context(MetricFunctions(numbered))
        for metric in fleet.metrics:
            own = groups_of(metric, groups)
            numbers = [group.number for group in own]
            if not own:
                continue
            try:
                if metric.annotation is not None:
                    found = _annotated(numbered, own, spans, metric.annotation)
                elif metric.sql is not None:
                    assert sql is not None
                    found = _told(sql.values(check_aggregate(metric.sql), numbers, seconds), own)
                else:
                    found = _told(functions.values(str(metric.function), numbers, seconds), own)
            except (MetricError, SourceError) as error:
                rows += metric_rows(metric, own, str(error))
            else:
                rows += metric_rows(metric, own, found)
    return CUSTOM_METRICS.conform(pd.DataFrame(rows)) if rows else CUSTOM_METRICS.empty()


def _told(values: Mapping[int, float | MetricError | None], groups: Sequence[Group]) -> dict[int, Computed]:
    found = {}
    for group in groups:
        value = values.get(group.number)
        error = str(value) if isinstance(value, MetricError) else None
        found[group.number] = Computed(None if isinstance(value, MetricError) else value, group.tasks, error)
    return found


def _annotated(
    numbered: pd.DataFrame, groups: Sequence[Group], spans: SpanSource, annotation: str
) -> dict[int, Computed]:
    own = numbered[numbered["task_group"].isin([group.number for group in groups])]
    ids = own["task_id"].astype(object).where(own["task_id"].notna(), None)
    places = [
        TaskPlace(span, trace, start.to_pydatetime(), task)
        for span, trace, start, task in zip(own["task_span_id"], own["trace_id"], own["start_time"], ids, strict=True)
    ]
    return annotation_means(own, groups, spans.read_feedback(places), annotation)


def _expected_before(store: Lake, start: datetime, fleet: FleetConfig) -> pd.DataFrame:
    """The baselines that were known in the window before."""
    return store.read(EXPECTED, start - fleet.window, start) if fleet.metrics else EXPECTED.empty()


def _at_a_glance(newest: pd.DataFrame, before: pd.DataFrame, fleet: FleetConfig) -> pd.DataFrame:
    """For people: what each metric is, was expected to be, and should be."""
    baselines = before.set_index(["agent", "metric"])["expected"]
    metrics: dict[str, MetricConfig] = {metric.name: metric for metric in fleet.metrics}
    return pd.DataFrame(
        {
            "metric": newest["metric"],
            "agent": newest["agent"],
            "value": [_number(value) for value in newest["value"]],
            "unit": newest["unit"],
            "baseline": [
                _number(baselines.get((agent, metric)))
                for agent, metric in zip(newest["agent"], newest["metric"], strict=True)
            ],
            "objective": [_number(metrics[metric].objective) for metric in newest["metric"]],
            "better": [metrics[metric].better for metric in newest["metric"]],
            "tasks": newest["tasks"],
            "error": newest["error"].fillna(""),
        }
    )


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:,.4g}"
