"""The demo's story, lived by real DSPy programs, leaves spans and records that agree with what happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dspy
import pandas as pd
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dspy_modules.demo_agents import FLEET, DemoAgent, call_directly
from dspy_modules.embedded_model import embedded_lm
from dspy_modules.tracing import AgentTracer, counting_tokens
from perf_pipeline.demo.script import DemoScript, SimulatedTask, plan_tasks, simulate
from perf_pipeline.fleet import load_fleet
from resources.log_files import LogFilesResource
from resources.span_file_exporter import SpanFileExporter
from resources.span_files import SpanFilesResource
from resources.state_files import StateFilesResource

NOW = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
SCRIPT = DemoScript(now=NOW, windows=4, tasks_per_window=(5, 7))
FIRST_BROKEN = SCRIPT.end - 2 * SCRIPT.window


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inbox")


@pytest.fixture(scope="module")
def progress() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def truth(inbox: Path, progress: list[tuple[int, int]]) -> list[SimulatedTask]:
    exporter = SpanFileExporter(inbox / "spans")
    return simulate(SCRIPT, exporter, inbox, lambda done, total: progress.append((done, total)))


@pytest.fixture(scope="module")
def spans(inbox: Path, truth: list[SimulatedTask]) -> pd.DataFrame:
    assert truth
    return read_spans(inbox / "spans", SCRIPT.start, NOW)


def read_spans(folder: Path, start: datetime, end: datetime) -> pd.DataFrame:
    attributes = ["agent.name", "metadata.agent_name"]
    parts = SpanFilesResource(folder=str(folder), agent_attributes=attributes).read_spans(start, end)
    return pd.concat(parts, ignore_index=True)


def task_rows(spans: pd.DataFrame) -> dict[str, dict[Hashable, Any]]:
    agents = spans[spans["kind"] == "AGENT"]
    assert agents["task_id"].is_unique
    return {str(row["task_id"]): row for row in agents.to_dict("records")}


def test_each_task_is_one_agent_span_with_the_scripted_time_and_outcome(
    spans: pd.DataFrame, truth: list[SimulatedTask]
) -> None:
    rows = task_rows(spans)
    assert set(rows) == {task.task_id for task in truth}
    for task in truth:
        row = rows[task.task_id]
        assert (row["agent"], row["status"] == "OK") == (task.agent, task.ok)
        raised = (task.error_type or "").rpartition(".")[2]
        assert row["error_type"] == raised or (task.ok and pd.isna(row["error_type"]))
        assert row["latency_ms"] == pytest.approx(task.latency_ms, abs=1)
        assert abs(row["start_time"] - task.start) <= timedelta(milliseconds=1)
        assert task.window_start <= row["start_time"] < task.window_start + SCRIPT.window
        assert pd.isna(row["parent_id"]) == (task.parent_agent is None)


def test_a_window_read_alone_holds_the_tasks_that_began_in_it(inbox: Path, truth: list[SimulatedTask]) -> None:
    rows = task_rows(read_spans(inbox / "spans", FIRST_BROKEN, FIRST_BROKEN + SCRIPT.window))
    assert set(rows) == {task.task_id for task in truth if task.window_start == FIRST_BROKEN}


def test_the_failing_agent_fails_at_everything_from_the_first_broken_window_on(truth: list[SimulatedTask]) -> None:
    broken = [task for task in truth if task.agent == "InboundAgent" and task.start >= FIRST_BROKEN]
    assert len(broken) >= 10
    assert {task.error_type for task in broken} == {"dspy.utils.exceptions.AdapterParseError"}
    others = [task for task in truth if task.agent != "InboundAgent" or task.start < FIRST_BROKEN]
    assert 0.8 < sum(task.ok for task in others) / len(others) < 1


def test_a_failed_task_leaves_several_error_spans_and_one_failed_root(
    spans: pd.DataFrame, truth: list[SimulatedTask]
) -> None:
    failed = next(task for task in truth if task.agent == "InboundAgent" and task.start >= FIRST_BROKEN)
    trace = spans[spans["trace_id"] == task_rows(spans)[failed.task_id]["trace_id"]]
    errors = trace[trace["status"] == "ERROR"]
    assert len(errors) >= 5
    assert errors["parent_id"].isna().sum() == 1
    assert set(trace["program_version"]) == {"v15"}
    assert set(trace["model"].dropna()) == {"simulated-2"}


def test_a_repaired_answer_leaves_error_spans_in_a_task_that_succeeded(
    spans: pd.DataFrame, truth: list[SimulatedTask]
) -> None:
    succeeded = {task.task_id for task in truth if task.ok}
    repaired = spans[(spans["status"] == "ERROR") & spans["task_id"].isin(succeeded)]
    assert set(repaired["name"]) == {"ChatAdapter.__call__"}


def test_an_agent_called_by_another_has_a_task_of_its_own_below_it(
    spans: pd.DataFrame, truth: list[SimulatedTask]
) -> None:
    nested = [task for task in truth if task.parent_agent is not None]
    assert {(task.agent, task.parent_agent) for task in nested} == {("AuditAgent", "AccountOrchestrator")}
    row = task_rows(spans)[nested[0].task_id]
    trace = spans[spans["trace_id"] == row["trace_id"]]
    assert trace[trace["parent_id"].isna()]["agent"].tolist() == ["AccountOrchestrator"]
    assert {"AccountOrchestrator", "AuditAgent"} == set(trace["agent"])


def test_children_lie_within_their_parents_at_the_simulated_times(spans: pd.DataFrame) -> None:
    pairs = spans.merge(spans, left_on=["trace_id", "parent_id"], right_on=["trace_id", "span_id"])
    assert len(pairs) == spans["parent_id"].notna().sum()
    assert (pairs["start_time_x"] >= pairs["start_time_y"]).all()
    assert (pairs["end_time_x"] <= pairs["end_time_y"]).all()


def test_tokens_are_noted_on_the_llm_spans_only(spans: pd.DataFrame) -> None:
    counted = spans["prompt_tokens"].notna() & spans["completion_tokens"].notna()
    answered = (spans["kind"] == "LLM") & (spans["status"] == "OK")
    assert answered.sum() > 100
    assert (counted == answered).all()


def test_tool_calls_name_their_tools(spans: pd.DataFrame) -> None:
    assert set(spans[spans["kind"] == "TOOL"]["tool"]) == {"look_up_company", "read_account"}


def test_task_states_agree_with_what_happened(inbox: Path, truth: list[SimulatedTask]) -> None:
    frame = StateFilesResource(folder=str(inbox)).read_task_counts(SCRIPT.start, NOW, {}).frame
    counted = {(row["agent"], row["status"]): row["tasks_total"] for row in frame.to_dict("records")}
    assert counted == Counter((task.agent, "completed" if task.ok else "failed") for task in truth)


def test_each_failure_is_an_error_line_that_names_the_agent(inbox: Path, truth: list[SimulatedTask]) -> None:
    frame = LogFilesResource(folder=str(inbox)).read_logs(SCRIPT.start, NOW).frame
    errors = frame[frame["severity"] == "error"]
    assert Counter(errors["agent"]) == Counter(task.agent for task in truth if not task.ok)
    assert {"info", "warn", "error"} == set(frame["severity"])


def test_the_deployment_is_recorded_minutes_before_the_incident(inbox: Path, truth: list[SimulatedTask]) -> None:
    assert truth
    frame = LogFilesResource(folder=str(inbox)).read_deployments(SCRIPT.start, NOW).frame
    assert list(frame["kind"]) == ["deployment", "model"]
    assert set(frame["agent"]) == {"InboundAgent"}
    assert ((FIRST_BROKEN - frame["time"]) == timedelta(minutes=2)).all()


def test_progress_counts_up_to_all_tasks(progress: list[tuple[int, int]], truth: list[SimulatedTask]) -> None:
    own = sum(task.parent_agent is None for task in truth)
    assert progress == [(done, own) for done in range(1, own + 1)]


def test_the_same_script_gives_the_same_story(tmp_path: Path) -> None:
    short = DemoScript(now=NOW, windows=1, tasks_per_window=(2, 2), incident_windows=1)
    runs = []
    for name in ("first", "second"):
        inbox = tmp_path / name
        happened = simulate(short, SpanFileExporter(inbox / "spans"), inbox, lambda *_: None)
        runs.append((happened, read_spans(inbox / "spans", short.start, NOW)))
    assert runs[0][0] == runs[1][0]
    pd.testing.assert_frame_equal(runs[0][1], runs[1][1])


def test_times_and_outcomes_are_the_planned_ones(truth: list[SimulatedTask]) -> None:
    happened = {task.task_id: task for task in truth if task.parent_agent is None}
    planned = plan_tasks(SCRIPT)
    assert set(happened) == {task.task_id for task in planned}
    for task in planned:
        own = happened[task.task_id]
        assert (own.start, own.ok) == (task.start, task.fault is None or not task.persists)
        assert own.latency_ms == pytest.approx(task.latency_ms, abs=0.001)


def test_spans_that_the_exporter_does_not_take_end_the_simulation(tmp_path: Path) -> None:
    (tmp_path / "spans").write_text("a file where the exporter wants its folder")
    with pytest.raises(LookupError, match="were not exported"):
        simulate(SCRIPT, SpanFileExporter(tmp_path / "spans"), tmp_path, lambda *_: None)
    assert not (tmp_path / "agent_state.jsonl").exists()


def test_another_seed_gives_another_story() -> None:
    assert plan_tasks(DemoScript(now=NOW, seed=1)) != plan_tasks(DemoScript(now=NOW, seed=2))


def test_the_whole_story_feeds_every_rule_of_the_fleet_file() -> None:
    planned = plan_tasks(DemoScript(now=NOW))
    good = Counter(task.agent for task in planned if task.fault is None or not task.persists)
    assert good["StrategyAgent"] >= 20
    assert min(good.values()) >= 10
    assert all(task.start < DemoScript(now=NOW).end <= NOW for task in planned)


def test_the_demo_fleet_is_the_fleet_of_the_fleet_file() -> None:
    fleet = load_fleet(Path("fleet.yaml"))
    assert [agent.name for agent in FLEET] == [agent.name for agent in fleet.agents]


@pytest.mark.parametrize("agent", FLEET, ids=[agent.name for agent in FLEET])
def test_every_sample_input_can_be_answered(agent: DemoAgent) -> None:
    assert len(agent.inputs) >= 12
    assert len({json.dumps(dict(inputs)) for inputs in agent.inputs}) == len(agent.inputs)
    program = agent.program()
    with dspy.context(lm=embedded_lm()):
        answers = [call_directly(agent.name, program, inputs) for inputs in agent.inputs]
    assert all(list(answer.keys()) for answer in answers)


@pytest.mark.parametrize("name", ["StrategyAgent", "InboundAgent"])
def test_labelled_examples_make_the_agent_better(name: str) -> None:
    agent = next(agent for agent in FLEET if agent.name == name)
    assert len(agent.examples) >= 60
    shown, asked = agent.examples[::2], agent.examples[1::2]
    plain, taught = agent.program(), agent.program()
    taught.predictors()[0].demos = [dspy.Example(**inputs, **outputs) for inputs, outputs in shown]

    def right(program: dspy.Module) -> int:
        with dspy.context(lm=embedded_lm()):
            answers = [program(**inputs) for inputs, _ in asked]
        return sum(
            all(answer[name] == value for name, value in outputs.items())
            for answer, (_, outputs) in zip(answers, asked, strict=True)
        )

    assert right(taught) >= right(plain) + 5


def test_two_tracers_cannot_be_entered_at_once() -> None:
    with AgentTracer(InMemorySpanExporter()), pytest.raises(RuntimeError, match="already traced"):
        AgentTracer(InMemorySpanExporter()).__enter__()


def test_only_a_model_with_its_own_engine_can_count_tokens_on_spans() -> None:
    with pytest.raises(TypeError, match="openai/any"):
        counting_tokens(dspy.LM("openai/any"))
