"""detector_states: the evidence on every metric of every agent, and what the detectors remember of them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg
import pandas as pd

from perf_pipeline.assets.metric_plots import plot_markdown
from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import refused_result
from perf_pipeline.detector_memory import memory_before
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.metric_history import read_metrics
from perf_pipeline.monitoring.detector_states import replay_states
from perf_pipeline.tables import AGENT_METRICS, DETECTOR_STATES
from resources.lake import Lake, LakeResource

VERDICTS = DETECTOR_STATES.view(*(name for name in DETECTOR_STATES.columns if name not in ("layout", "memory")))
"""The table without the detectors' memory, which only they can read."""

PLOTTED_AGENTS = 5
PLOTTED_TIME = timedelta(hours=36)


def detector_states_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    # It writes its windows itself, one at a time: those of the run, and those whose stored state was stale.
    @window_asset(
        fleet,
        DETECTOR_STATES,
        "performance",
        {"numpy", "parquet"},
        deps=[AGENT_METRICS.name],
        dagster_type=dg.Nothing,
    )
    def detector_states(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        store = lake.open()
        problems: list[str] = []
        rewritten: list[datetime] = []

        def write(start: datetime, rows: pd.DataFrame) -> None:
            found = DETECTOR_STATES.problems(rows)
            problems.extend(found)
            if not found:
                store.write(DETECTOR_STATES, start, rows)
                rewritten.append(start)

        memory = memory_before(windows[0].start, store, fleet, write)
        replayed = len(rewritten)
        metrics = read_metrics(store, fleet, windows[0].start, windows[-1].end)
        replay_states(metrics, memory, fleet, write)
        newest = store.read(VERDICTS, windows[-1].start, windows[-1].end)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(newest),
                "earlier windows brought up to date": replayed,
                "open": int(newest["phase"].isin(["open", "recovering"]).sum()),
                "pending": int((newest["phase"] == "pending").sum()),
                "findings": _pictures(store, newest, windows[-1].end, {one.name: one.unit for one in fleet.metrics}),
                "newest window": markdown(_at_a_glance(newest)),
            },
            check_results=[refused_result(problems)],
        )

    return detector_states


def _at_a_glance(newest: pd.DataFrame) -> pd.DataFrame:
    """A row an agent: what was seen of each metric, and the band in which it was expected."""
    shown = newest.drop_duplicates(["agent", "metric"])
    texts = [
        "" if pd.isna(value) else f"{value:,.3g}" + ("" if pd.isna(low) else f" ({low:,.3g} to {high:,.3g})")
        for value, low, high in zip(shown["value"], shown["low"], shown["high"], strict=True)
    ]
    table = shown.assign(text=texts).pivot(index="agent", columns="metric", values="text")
    told = newest[newest["phase"] != "quiet"]
    phases = (told["finding"] + " " + told["phase"]).groupby(told["agent"]).agg(", ".join)
    ordered = table[list(shown["metric"].drop_duplicates())] if len(shown) else table
    return ordered.assign(findings=phases).reset_index().rename_axis(columns=None)


def _pictures(store: Lake, newest: pd.DataFrame, end: datetime, units: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """The worst open or pending finding of each agent, for a few agents."""
    told = newest[newest["phase"] != "quiet"].sort_values("evidence_nats", ascending=False)
    told = told.drop_duplicates("agent").head(PLOTTED_AGENTS)
    if told.empty:
        return dg.MetadataValue.md("None.")
    rows = store.scan(store.connect(), VERDICTS, end - PLOTTED_TIME, end)
    history = VERDICTS.conform(rows.filter(rows.agent.isin(told["agent"].tolist())).to_pandas())
    parts = []
    for agent, finding in zip(told["agent"], told["finding"], strict=True):
        own = history[(history["agent"] == agent) & (history["finding"] == finding)]
        parts.append(plot_markdown(own.sort_values("window_start"), units))
    return dg.MetadataValue.md("\n\n".join(parts))
