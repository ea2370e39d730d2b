"""The generic gauge on 25 series of the Numenta Anomaly Benchmark, beside the published detectors.

`python -m benchmarks.nab [FOLDER]`. The folder's own `score.py` does the scoring: one threshold for all series, the
best one, for each of the benchmark's three profiles. The gauge's parameters were chosen on simulations and on the
artificial series only. `at_alarm_threshold` is the score at the threshold that the product uses: it was chosen on
simulations too, but not blindly, as another, 0.5, had been scored on these series before (54.1).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from perf_pipeline.monitoring.gauge import GaugeSettings
from perf_pipeline.monitoring.series import score_series

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "nab"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER
    if not (folder / "score.py").is_file():
        sys.exit(f"There is no {folder / 'score.py'}: give the folder of the benchmark's series as the argument.")
    measured = nab_scores(folder)
    console = Console(width=120)
    console.print(_leaderboard(folder, measured), _series(measured))
    console.print(
        f"Score {measured['at_alarm_threshold']:.1f} (standard) at the product's own threshold. "
        f"{measured['seconds_per_million']:.0f} s of one core per million readings."
    )
    print(json.dumps({name: figure for name, figure in measured.items() if name != "series"}))


def nab_scores(folder: Path = DEFAULT_FOLDER) -> dict[str, Any]:
    """The best score of each profile, and what else `make bench-detection` reports.

    `at_alarm_threshold` is a standard score, `seconds_per_million` readings are of one core and include the parsing;
    `series` has a row for each: name, readings, windows, windows found and false detections (readings outside every
    window and after the unscored first 15 %), all at the best standard threshold.
    """
    benchmark = _scoring(folder)
    files = benchmark.load(folder)
    began, scores = time.process_time(), []
    for file in files:
        frame = pd.read_csv(folder / "series" / file["name"], dtype=str)
        scores.append(score_series(frame)["anomaly_score"].to_numpy())
    seconds = time.process_time() - began
    results = {profile: benchmark.corpus_score(files, scores, profile) for profile in benchmark.PROFILES}
    alarm_above = GaugeSettings().alarm_above
    alarms = [(score > alarm_above).astype(float) for score in scores]
    threshold = results["standard"][1]
    return {
        **{profile: round(float(score), 2) for profile, (score, _) in results.items()},
        # Scores of 0 and 1 leave the scorer no threshold but ours, and the one at which nothing is ever said.
        "at_alarm_threshold": round(float(benchmark.corpus_score(files, alarms)[0]), 2),
        "best_threshold": round(float(threshold), 4),
        "seconds_per_million": round(seconds / sum(map(len, scores)) * 1e6, 1),
        "series": [_detections(file, score >= threshold) for file, score in zip(files, scores, strict=True)],
    }


def _scoring(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nab_score", folder / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _detections(file: dict[str, Any], detected: np.ndarray) -> dict[str, Any]:
    detected = detected.copy()
    detected[: int(min(0.15 * len(detected), 0.15 * 5000))] = False
    found = sum(bool(detected[first : last + 1].any()) for first, last in file["windows"])
    for first, last in file["windows"]:
        detected[first : last + 1] = False
    return {
        "name": file["name"],
        "readings": len(detected),
        "windows": len(file["windows"]),
        "found": found,
        "false": int(detected.sum()),
    }


def _leaderboard(folder: Path, measured: dict[str, Any]) -> Table:
    published = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    profiles = list(published["Null"])
    ours = {profile: measured[profile] for profile in profiles}
    table = Table("Detector", title="The same 25 series, by the benchmark's own scoring")
    for profile in profiles:
        table.add_column(profile, justify="right")
    ranked = sorted({**published, "perf-pipeline": ours}.items(), key=lambda row: -row[1][profiles[0]])
    for name, row in ranked:
        style = "bold" if name == "perf-pipeline" else ""
        table.add_row(name, *(f"{row[profile]:.1f}" for profile in profiles), style=style)
    return table


def _series(measured: dict[str, Any]) -> Table:
    table = Table("Series", title=f"Detections at the best standard threshold, {measured['best_threshold']}")
    for column in ("readings", "windows", "found", "false"):
        table.add_column(column, justify="right")
    for row in measured["series"]:
        table.add_row(*(str(row[column]) for column in ("name", "readings", "windows", "found", "false")))
    return table


if __name__ == "__main__":
    main()
