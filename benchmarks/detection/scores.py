"""The figures of a judged detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Scores:
    """`alarms`: every open row with `verdict` (true, blip, false, neutral) and `early` (in the agent's first days).
    `outcomes`: every incident with what was found of it. `blips`: with `alarmed`. Agent-weeks count arrived windows.
    """

    alarms: pd.DataFrame
    outcomes: pd.DataFrame
    blips: pd.DataFrame
    agent_weeks: float
    early_agent_weeks: float

    @property
    def established(self) -> pd.DataFrame:
        """Incidents of agents that were known for 9 days or more: all but the collapses of new ones."""
        return self.outcomes[self.outcomes["kind"] != "cold_start_collapse"]

    def summary(self) -> dict[str, Any]:
        """All figures; shares from 0 to 1, delays in windows (0: at the close of the first), None: nothing to judge.

        `fast_within_2_windows`: of the incidents whose first two windows hold the evidence, those that were open by
        the close of the second (delay 0 or 1); `fast_within_3_windows`: by the close of the third.
        `severity_right` judges found incidents, findable or not; `..._when_clear` those that are not within 15 % of a
        border between grades.
        """
        known, false = self.established, self.alarms[self.alarms["verdict"] == "false"]
        findable, fast = known[known["findable"]], known[known["fast"]]
        found = known[known["found"]]
        collapses = self.outcomes[self.outcomes["kind"] == "cold_start_collapse"]
        zero = known[known["zero_with_5_tasks"]]
        later_weeks = self.agent_weeks - self.early_agent_weeks
        return {
            "agent_weeks": self.agent_weeks,
            "false_alarms_per_agent_week": _ratio((~false["early"]).sum(), later_weeks),
            "false_alarms_per_agent_week_in_all": _ratio(len(false), self.agent_weeks),
            "false_alarms_in_first_3_days": int(false["early"].sum()),
            "false_alarms_by_type": false["type"].value_counts().to_dict(),
            "incidents": len(known),
            "findable": len(findable),
            "findable_found": _share(findable["found"]),
            "found_though_not_findable": _share(known.loc[~known["findable"], "found"]),
            "median_delay": _median(findable["delay"]),
            "median_delay_after_findable": _median(findable["delay"] + 1 - findable["windows_to_findable"]),
            "fast": len(fast),
            "fast_within_2_windows": _share(fast["delay"] <= 1),
            "fast_within_3_windows": _share(fast["delay"] <= 2),
            "falls_to_zero": len(zero),
            "falls_to_zero_found_at_once": _share(zero["found_at_first_tasks"]),
            "falls_to_zero_found_one_window_later": _share(zero["delay"] <= zero["first_tasks"] + 1),
            "falls_to_zero_critical_at_once": _share(zero["critical_at_first_tasks"]),
            "blips": len(self.blips),
            "blips_alarmed": _share(self.blips["alarmed"]),
            "flapping": _share(found["opened_same_type"] > 1),
            "flapping_by_family": _share(found["opened_same_family"] > 1),
            "severity_right": _share(found["grade_error"] == 0),
            "severity_within_one": _share(found["grade_error"].abs() <= 1),
            "severity_right_when_clear": _share(found.loc[found["clear"], "grade_error"] == 0),
            "cold_start_collapses": len(collapses),
            "cold_start_found": _share(collapses["found"]),
            "cold_start_findable_found": _share(collapses.loc[collapses["findable"], "found"]),
            "cold_start_median_delay": _median(collapses["delay"]),
            "neutral_alarms": int((self.alarms["verdict"] == "neutral").sum()),
        }

    def by_kind(self) -> pd.DataFrame:
        """For each kind and size: incidents, findable, found of the findable, median delay and time to evidence."""
        rows = []
        for (kind, label), group in self.outcomes.groupby(["kind", "label"], sort=True):
            findable = group[group["findable"]]
            rows.append(
                {
                    "kind": kind,
                    "label": label,
                    "incidents": len(group),
                    "findable": len(findable),
                    "findable_found": _share(findable["found"]),
                    "median_delay": _median(findable["delay"]),
                    "median_windows_to_findable": _median(findable["windows_to_findable"]),
                    "found_in_all": int(group["found"].sum()),
                    "severity_right": _share(group.loc[group["found"], "grade_error"] == 0),
                }
            )
        return pd.DataFrame(rows)


def _ratio(count: float, whole: float) -> float | None:
    return float(count) / whole if whole else None


def _share(flags: pd.Series) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _median(values: pd.Series) -> float | None:
    return float(values.median()) if values.notna().any() else None
