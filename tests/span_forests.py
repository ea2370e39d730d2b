"""Random traces, and what belongs to whom in them, worked out one span at a time by walking up to the root."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.builders import Row, span

# Shrinking takes minutes here: an example costs a dozen queries. The first failure is shown as it was found.
forest_settings = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Key = tuple[str, str]


@st.composite
def forests(draw: st.DrawFn) -> list[Row]:
    """Spans of a few traces in random order: with parents that are missing, calls between agents, and cycles.

    Traces share span ids, and no two spans begin together.
    """
    rows: list[Row] = []
    for trace in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 9))
        parents = st.sampled_from([None, "not-read", *(f"s{number}" for number in range(size))])
        agents = st.sampled_from([None] if draw(st.booleans()) and trace else [None, None, "A", "B"])
        for number in range(size):
            kind = draw(st.sampled_from(["CHAIN", "CHAIN", "AGENT", "LLM", "LLM", "TOOL"]))
            tokens = draw(st.none() | st.integers(0, 50))
            rows.append(
                span(
                    f"trace-{trace}",
                    f"s{number}",
                    # Most parents come before their children, as in a real trace; the others make cycles.
                    draw(parents) if draw(st.integers(0, 3)) == 0 else (f"s{number // 2}" if number else None),
                    draw(agents),
                    kind,
                    at=trace * 500 + number,
                    ms=draw(st.none() | st.integers(0, 5000)),
                    status=draw(st.sampled_from(["OK", "UNSET", "ERROR"])),
                    name=draw(st.sampled_from(["LeadAgent.forward", "Predict(Signature).forward", "step"])),
                    model=draw(st.sampled_from([None, "small", "large"])) if kind == "LLM" else None,
                    prompt_tokens=tokens,
                    completion_tokens=tokens,
                    cost_usd=draw(st.none() | st.integers(0, 8).map(lambda eighths: eighths / 8)),
                )
            )
    return draw(st.permutations(rows))


class Reference:
    """The rules of `ownership` and `tasks`, span by span."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows: dict[Key, Mapping[str, Any]] = {(row["trace_id"], row["span_id"]): row for row in rows}
        self.named_traces = {row["trace_id"] for row in rows if row["agent"]}

    def parent(self, key: Key) -> Key | None:
        above = (key[0], self.rows[key]["parent_id"])
        return above if above in self.rows else None

    def way_up(self, key: Key | None) -> Iterator[Key]:
        """The span and its ancestors, each once."""
        seen: set[Key] = set()
        while key is not None and key not in seen:
            seen.add(key)
            yield key
            key = self.parent(key)

    def agent(self, key: Key) -> str | None:
        row = self.rows[key]
        if row["trace_id"] in self.named_traces or row["parent_id"]:
            return row["agent"]
        class_name = re.fullmatch(r"(\w+)\.\w+", row["name"])
        return class_name.group(1) if class_name else None

    def caller(self, key: Key) -> str | None:
        return next((name for above in self.way_up(self.parent(key)) if (name := self.agent(above))), None)

    def lacks_its_parent(self, key: Key) -> bool:
        return self.rows[key]["parent_id"] is not None and self.parent(key) is None

    def is_orphan(self, key: Key) -> bool:
        return bool(self.agent(key)) and self.lacks_its_parent(key) and self.rows[key]["kind"] != "AGENT"

    def begins_task(self, key: Key) -> bool:
        return bool(self.agent(key)) and self.agent(key) != self.caller(key) and not self.is_orphan(key)

    def owner(self, key: Key) -> str | None:
        return next((above[1] for above in self.way_up(key) if self.begins_task(above)), None)

    def waits(self, key: Key) -> bool:
        return self.owner(key) is None and any(self.is_orphan(above) for above in self.way_up(key))

    def ownership(self) -> dict[Key, Row]:
        return {
            key: {
                "agent": self.agent(key),
                "caller": self.caller(key),
                "task_span_id": self.owner(key),
                "begins_task": self.begins_task(key),
                "waits": self.waits(key),
            }
            for key in self.rows
        }

    def tasks(self) -> dict[Key, Row]:
        return {key: self._task(key) for key in self.rows if self.begins_task(key)}

    def _task(self, top: Key) -> Row:
        own = [key for key in self.rows if key[0] == top[0] and self.owner(key) == top[1]]
        calls = [key for key in own if self.rows[key]["kind"] == "LLM"]
        outer = [key for key in calls if not self._inside_call(key, None)]
        tools = [key for key in own if self.rows[key]["kind"] == "TOOL"]
        failing = [key for key in own if self.rows[key]["status"] == "ERROR"]
        modelled = [self.rows[key] for key in calls if self.rows[key]["model"]]
        return {
            "agent": self.agent(top),
            "parent_agent": self.caller(top),
            "ok": self.rows[top]["status"] != "ERROR",
            "spans": len(own),
            "llm_calls": len(outer),
            "tool_calls": len(tools),
            "llm_ms": self._milliseconds(outer),
            "tool_ms": self._milliseconds(tools),
            "error_count": sum(all(self.parent(other) != key for other in failing) for key in failing),
            "model": min(modelled, key=lambda row: row["start_time"])["model"] if modelled else None,
            "prompt_tokens": self._sum("prompt_tokens", "prompt_tokens", top, calls),
            "completion_tokens": self._sum("completion_tokens", "prompt_tokens", top, calls),
            "cost_usd": self._sum("cost_usd", "cost_usd", top, calls),
        }

    def _inside_call(self, key: Key, with_figure: str | None) -> bool:
        above = self.parent(key)
        if above is None or self.owner(above) is None or self.rows[above]["kind"] != "LLM":
            return False
        return with_figure is None or self.rows[above][with_figure] is not None

    def _milliseconds(self, keys: Sequence[Key]) -> float:
        return float(sum(self.rows[key]["latency_ms"] or 0 for key in keys))

    def _sum(self, column: str, sign: str, top: Key, calls: Sequence[Key]) -> float | None:
        """Over the language-model calls that do not repeat the figure; where none has it, what the top notes."""
        counted = [self.rows[key][column] for key in calls if not self._inside_call(key, sign)]
        known = [value for value in counted if value is not None]
        return sum(known) if known else self.rows[top][column]
