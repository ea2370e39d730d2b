"""What people read about an optimization run, in Markdown: what changed, what it gained, what it cost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from perf_pipeline.optimization.gate import GateVerdict
from perf_pipeline.records import OptimizationRun, RunOutcome

MOST_ITEMS = 10
LONGEST_VALUE = 200

MARKUP = re.compile(r"([\\`*\[\]~#&]|(?<![^\W_])_|_(?![^\W_]))")
BLOCK_START = re.compile(r"^(\d*)([-+=.)])")

HEADLINES = {
    RunOutcome.PROMOTED: "Promoted: agents take the new version up within a minute.",
    RunOutcome.REJECTED: "Not promoted: the new version is not proven to be better.",
    RunOutcome.TOO_FEW_ITEMS: "Not promoted: there are too few held-out items to prove that it is better.",
    RunOutcome.STALE: "Not promoted: another version was promoted while this one was made.",
    RunOutcome.BUDGET_EXHAUSTED: "Not promoted: the cap was reached before there was anything to compare.",
    RunOutcome.REFUSED: "Not run.",
    RunOutcome.CANCELLED: "Cancelled.",
    RunOutcome.INFRASTRUCTURE_FAILURE: "Interrupted by a failure that says nothing about the agent.",
}


@dataclass(frozen=True)
class PredictorChange:
    """What an optimizer did to a predictor. Demonstrations are by field."""

    name: str
    instructions_before: str
    instructions_after: str
    demonstrations_before: Sequence[Mapping[str, Any]]
    demonstrations_after: Sequence[Mapping[str, Any]]

    @property
    def is_none(self) -> bool:
        return (self.instructions_before, list(self.demonstrations_before)) == (
            self.instructions_after,
            list(self.demonstrations_after),
        )


@dataclass(frozen=True)
class HeldOutItem:
    """An item of the gate: scores from 0 to 1, and the answers, None where a program failed."""

    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    baseline_score: float
    candidate_score: float
    candidate_answer: Mapping[str, Any] | None


@dataclass(frozen=True)
class Cost:
    purpose: str
    calls: int
    usd: float


@dataclass(frozen=True)
class RunReport:
    """`sizes` are how many examples trained, validated and were held out; `stopped` is why the search ended early."""

    run: OptimizationRun
    is_simulated: bool
    story: Sequence[str] = ()
    sizes: tuple[int, int, int] | None = None
    verdict: GateVerdict | None = None
    changes: Sequence[PredictorChange] = ()
    items: Sequence[HeldOutItem] = ()
    costs: Sequence[Cost] = ()
    stopped: str | None = None


def report_markdown(report: RunReport) -> str:
    run = report.run
    headline = HEADLINES[run.outcome] if run.outcome else "Running."
    lines = [f"# {run.optimizer} for {plain(run.agent)}", "", f"**{headline}**"]
    if run.said:
        lines += ["", plain(run.said)]
    if report.is_simulated:
        lines += ["", "Made on the embedded, **simulated** language model: its figures say nothing about a real one."]
    lines += _scores(report) + _examples(report) + _costs(report)
    for change in report.changes:
        lines += _change(change)
    won = [item for item in report.items if item.candidate_score > item.baseline_score]
    lost = [item for item in report.items if item.candidate_score < item.baseline_score]
    lines += _items("Won", won) + _items("Lost", lost)
    version = run.version or "none"
    parent = run.baseline or "the program as it stands in the code"
    lines += ["", f"Version {version}, made from {parent}. Request {run.request_id}, run {run.id}."]
    return "\n".join(lines) + "\n"


def _scores(report: RunReport) -> list[str]:
    verdict = report.verdict
    if verdict is None:
        return []
    rows = [
        ("before", verdict.baseline_points, verdict.baseline_interval),
        ("after", verdict.candidate_points, verdict.candidate_interval),
        ("gain", verdict.gain_points, verdict.gain_interval),
    ]
    table = [f"| {name} | {points:.1f} | {low:.1f} to {high:.1f} |" for name, points, (low, high) in rows]
    return [
        "",
        f"## Scores on {verdict.items} held-out items",
        "",
        "| | points of 100 | 90 % interval |",
        "|---|---|---|",
        *table,
        "",
        f"{verdict.wins} items won, {verdict.losses} lost.",
    ]


def _examples(report: RunReport) -> list[str]:
    if report.sizes is None:
        return []
    train, validation, holdout = report.sizes
    return [
        "",
        "## Examples",
        "",
        f"{train} for training, {validation} for validation, {holdout} held out.",
        *(f"- {plain(line)}" for line in report.story),
    ]


def _costs(report: RunReport) -> list[str]:
    dollars = "simulated dollars" if report.is_simulated else "US dollars"
    rows = [f"| {cost.purpose} | {cost.calls:,} | {cost.usd:.4f} |" for cost in report.costs]
    total = sum(cost.usd for cost in report.costs)
    lines = ["", "## Cost", "", f"| | calls | {dollars} |", "|---|---|---|", *rows]
    lines += ["", f"{total:.4f} of at most {report.run.cap_usd:g} spent."]
    return [*lines, f"The search ended early: {plain(report.stopped)}"] if report.stopped else lines


def _change(change: PredictorChange) -> list[str]:
    if change.is_none:
        return []
    lines = ["", f"## What changed in {plain(change.name)}"]
    diff = list(
        unified_diff(
            change.instructions_before.splitlines(),
            change.instructions_after.splitlines(),
            "before",
            "after",
            lineterm="",
        )
    )
    if diff:
        lines += ["", "Instructions:", "", "```diff", *(line.replace("```", "'''") for line in diff), "```"]
    before = {_canonical(demo) for demo in change.demonstrations_before}
    after = [_canonical(demo) for demo in change.demonstrations_after]
    added = [demo for demo, text in zip(change.demonstrations_after, after, strict=True) if text not in before]
    removed = len(before - set(after))
    if added or removed:
        lines += ["", f"Demonstrations: {len(added)} added, {removed} removed."]
        lines += [f"- {_fields(demo)}" for demo in added[:MOST_ITEMS]]
        if len(added) > MOST_ITEMS:
            lines.append(f"- … and {len(added) - MOST_ITEMS} more")
    return lines


def _items(title: str, items: Sequence[HeldOutItem]) -> list[str]:
    if not items:
        return []
    lines = ["", f"## {title}: {len(items)}", ""]
    for item in items[:MOST_ITEMS]:
        answer = "no answer" if item.candidate_answer is None else _fields(_same_fields(item))
        lines.append(f"- {_fields(item.inputs)} → {answer}; right is {_fields(item.expected)}")
    return [*lines, f"- … and {len(items) - MOST_ITEMS} more"] if len(items) > MOST_ITEMS else lines


def _same_fields(item: HeldOutItem) -> dict[str, Any]:
    return {name: (item.candidate_answer or {}).get(name) for name in item.expected}


def _fields(fields: Mapping[str, Any]) -> str:
    shown = [f"{name}: {value}" for name, value in fields.items() if name != "augmented"]
    text = one_line("; ".join(shown)).replace("`", "'")
    return f"`{text[:LONGEST_VALUE]}{'…' if len(text) > LONGEST_VALUE else ''}`"


def _canonical(demonstration: Mapping[str, Any]) -> str:
    return json.dumps(dict(demonstration), sort_keys=True, default=str)


def one_line(text: str) -> str:
    """Text from outside on one line, in which no character draws a column or a tag."""
    return " ".join(text.split()).replace("|", "¦").replace("<", "‹").replace(">", "›")


def plain(text: str) -> str:
    """Text from outside on one line, in which nothing is markup, wherever it stands."""
    escaped = MARKUP.sub(r"\\\1", one_line(text))
    return BLOCK_START.sub(r"\1\\\2", escaped)
