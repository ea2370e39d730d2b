"""The benchmark's figures as one flat mapping, and the targets that they are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats

from benchmarks.detection.evaluation import CLAIRVOYANT, CLAIRVOYANT_BARS, OURS, Evaluation, Judged, clairvoyant_at
from benchmarks.detection.scores import Scores
from benchmarks.detection.throughput import Throughput

REQUIRED = (
    "false_alarms_per_agent_week",
    "findable_found",
    "fast_within_2_windows",
    "blips_alarmed",
    "flapping",
    "severity_right",
    "clairvoyant_ratio",
    "nab_standard",
    "agents_per_s",
)


@dataclass(frozen=True)
class Target:
    figure: str
    words: str
    limit: float
    at_most: bool

    def is_met(self, value: float | None) -> bool | None:
        """None where there was nothing to judge."""
        if value is None:
            return None
        return value <= self.limit if self.at_most else value >= self.limit


TARGETS = (
    Target("false_alarms_per_agent_week", "false alarms an agent-week, from day 3", 0.08, True),
    Target("findable_found", "findable incidents found", 0.95, False),
    Target("fast_within_2_windows", "fast ones open by the close of their second window", 0.92, False),
    Target("falls_to_zero_found_at_once", "falls to zero (>= 5 tasks) found at that window's close", 1.0, False),
    Target("falls_to_zero_critical_at_once", "... and graded critical at that close", 1.0, False),
    Target("blips_alarmed", "blips alarmed", 0.15, True),
    Target("flapping", "found incidents opened more than once", 0.10, True),
    Target("nab_standard", "NAB, standard profile", 70.0, False),
)


def figures(evaluation: Evaluation, throughput: list[Throughput], nab: Mapping[str, Any]) -> dict[str, Any]:
    """All figures, the `REQUIRED` ones first. Shares from 0 to 1, None where there was nothing to judge."""
    ours = evaluation.incidents[OURS].summary()
    limit = matched_clairvoyant(evaluation.incidents)
    summary = evaluation.incidents[limit].summary()
    largest = throughput[-1]
    found = {
        **ours,
        "clairvoyant_ratio": _divided(ours["findable_found"], summary["findable_found"]),
        "nab_standard": nab["standard"],
        "agents_per_s": round(largest.agents_per_s),
        "clairvoyant_findable_found": summary["findable_found"],
        "clairvoyant_false_alarms_per_agent_week": summary["false_alarms_per_agent_week"],
        "null_false_alarms_per_agent_week": _rate(evaluation.null),
        **_of_new_agents(evaluation),
        "nab_reward_low_FP_rate": nab["reward_low_FP_rate"],
        "nab_reward_low_FN_rate": nab["reward_low_FN_rate"],
        "nab_seconds_per_million": nab["seconds_per_million"],
        "replay_agents": largest.agents,
        "replay_s": largest.replay_s,
        "window_s": largest.seconds,
        "bytes_per_agent": round(largest.bytes_per_agent),
        "parquet_bytes_per_agent": round(largest.parquet_bytes_per_agent),
        "cost_growth": cost_growth(throughput),
        "evaluation_seeds": len(evaluation.seeds["incidents"]),
    }
    ordered = {name: found.pop(name) for name in REQUIRED} | found
    return {name: _rounded(value) for name, value in ordered.items()}


def matched_clairvoyant(judged: Judged) -> str:
    """The clairvoyant whose false alarms an agent-week are nearest to ours: only at equal rates is finding equal."""
    own = _false_alarms(judged[OURS]) or 0.0
    names = [clairvoyant_at(bar) for bar in CLAIRVOYANT_BARS if clairvoyant_at(bar) in judged] or [CLAIRVOYANT]
    return min(names, key=lambda name: abs((_false_alarms(judged[name]) or 0.0) - own))


def cost_growth(throughput: list[Throughput]) -> float:
    """Seconds an agent with the most agents, over those with the fewest; 1 is linear."""
    few, many = throughput[0], throughput[-1]
    return (many.seconds / many.agents) / (few.seconds / few.agents)


def rate_interval(events: int, weeks: float) -> tuple[float, float]:
    """95 % interval of a rate (exact, Poisson)."""
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return float(low / weeks), float(stats.chi2.ppf(0.975, 2 * events + 2) / 2 / weeks)


def share_interval(hits: int, cases: int) -> tuple[float, float]:
    """95 % interval of a share (Jeffreys)."""
    low, high = stats.beta.ppf([0.025, 0.975], hits + 0.5, cases - hits + 0.5)
    return float(low) if hits else 0.0, float(high) if hits < cases else 1.0


def early_rate(scores: Scores) -> float | None:
    """False alarms an agent-week in agents' first three days."""
    return _divided(scores.summary()["false_alarms_in_first_3_days"], scores.early_agent_weeks)


def _of_new_agents(evaluation: Evaluation) -> dict[str, Any]:
    """Replaces the few cold starts of the long fleets by the many short ones."""
    if not evaluation.collapsing or not evaluation.healthy_new:
        return {}
    collapses = evaluation.collapsing[OURS].summary()
    names = ("cold_start_collapses", "cold_start_found", "cold_start_findable_found", "cold_start_median_delay")
    return {
        **{name: collapses[name] for name in names},
        "new_agents_false_alarms_per_agent_week": early_rate(evaluation.healthy_new[OURS]),
    }


def _rate(judged: Judged) -> float | None:
    return judged[OURS].summary()["false_alarms_per_agent_week"] if judged else None


def _false_alarms(scores: Scores) -> float | None:
    return scores.summary()["false_alarms_per_agent_week"]


def _divided(part: float | None, whole: float | None) -> float | None:
    return part / whole if whole and part is not None else None


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
