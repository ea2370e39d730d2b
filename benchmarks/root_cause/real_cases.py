"""The 40 labelled cases of a failing proportion, from the public data of RobustSpot.

The folder has cases.json (file, anomalous_minute, causes) and cases/*.csv with one row a minute and attribute
combination: unix_minute, failures, total, and the attributes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks.root_cause.simulated import hit
from perf_pipeline.monitoring import attribute_scan, usual_rates
from perf_pipeline.monitoring.task_cells import cells_from
from perf_pipeline.simulated_incidents.kinds import Values

DEFAULT_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "rca"
ORDER = 3
SETTINGS = tuple(product((10.0, 30.0, 100.0, 300.0), (0.1, 0.2, 0.3)))
"""Prior tasks of a cell and the share of a further cause, to see how much hangs on them."""

PUBLISHED = {
    "Poisson scan, order 3": (0.67, 0.93),
    "Kulldorff's likelihood ratio": (0.62, 0.88),
    "Ochiai": (0.60, 0.82),
    "RobustSpot's own output": (0.59, 0.65),
    "share of the excess": (0.54, 0.84),
}
"""Top-1 and top-3 on all 135 cases of the set, of which these 40 are a part: from the README beside them."""


@dataclass(frozen=True)
class RealCase:
    """`counts` is what `task_cells.cells_from` takes; the minutes before the anomalous one are what is usual."""

    counts: pd.DataFrame
    attributes: tuple[str, ...]
    causes: tuple[Values, ...]

    def ranked(self) -> list[Values]:
        found = attribute_scan.scan(cells_from(self.counts, self.attributes), ORDER)
        return [dict(one.values) for one in (*found.causes, *found.others)]


def load_cases(folder: Path) -> list[RealCase]:
    """Raises FileNotFoundError where the folder holds no cases."""
    described = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    return [_load(folder / "cases" / one["file"], one["anomalous_minute"], one["causes"]) for one in described]


def real_hits(cases: Sequence[RealCase]) -> pd.DataFrame:
    """One row a case: top1, top3 and any_of_top3 as in `simulated.hit`, and milliseconds."""
    rows = []
    for case in cases:
        began = time.perf_counter()
        ranked = case.ranked()
        rows.append((*hit(ranked, case.causes), 1000 * (time.perf_counter() - began)))
    return pd.DataFrame(rows, columns=["top1", "top3", "any_of_top3", "milliseconds"])


def other_settings(cases: Sequence[RealCase]) -> pd.DataFrame:
    """A row a setting: prior_tasks, share, and top-1 and top-3 of the cases with even and with odd numbers."""
    even = np.arange(len(cases)) % 2 == 0
    rows = []
    for prior, share in SETTINGS:
        with (
            patch.object(usual_rates, "PRIOR_TASKS", prior),
            patch.object(attribute_scan, "PRIOR_TASKS", prior),
            patch.object(attribute_scan, "SHARE_OF_A_FURTHER_CAUSE", share),
        ):
            found = real_hits(cases)
        halves = [found.loc[half, ["top1", "top3"]].mean() for half in (even, ~even)]
        rows.append((prior, share, *halves[0], *halves[1]))
    return pd.DataFrame(rows, columns=["prior_tasks", "share", "even_top1", "even_top3", "odd_top1", "odd_top3"])


def left_out(settings: pd.DataFrame) -> tuple[float, float]:
    """Top-1 and top-3 of each half of the cases with the setting that was best on the other half, averaged."""
    found = []
    for chosen_on, tested_on in (("even", "odd"), ("odd", "even")):
        best = settings.iloc[int(np.argmax(settings[f"{chosen_on}_top1"] + settings[f"{chosen_on}_top3"]))]
        found.append((best[f"{tested_on}_top1"], best[f"{tested_on}_top3"]))
    top1, top3 = np.mean(found, axis=0)
    return float(top1), float(top3)


def _load(file: Path, minute: int, causes: Sequence[Values]) -> RealCase:
    rows = pd.read_csv(file, dtype=str)
    numbers = rows[["unix_minute", "failures", "total"]].astype(float)
    attributes = tuple(name for name in rows.columns if name not in numbers)
    now, before = numbers["unix_minute"] == minute, numbers["unix_minute"] < minute
    counts = rows[list(attributes)].assign(
        affected=numbers["failures"].where(now, 0.0),
        tasks=numbers["total"].where(now, 0.0),
        usual_affected=numbers["failures"].where(before, 0.0),
        usual_tasks=numbers["total"].where(before, 0.0),
    )
    return RealCase(counts, attributes, tuple(causes))
