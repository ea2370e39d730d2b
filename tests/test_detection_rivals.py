"""The detectors that ours are compared with: rivals that look back only, and the limit that knows the simulator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.detection import clairvoyant, rivals
from benchmarks.detection.scoring import combine, score
from benchmarks.detection.simulator import simulate

WINDOW = pd.Timedelta(minutes=30)
DAY = pd.Timedelta(days=1)


@pytest.mark.parametrize("name", list(rivals.RIVALS))
def test_a_rival_looks_back_only(name: str):
    metrics = simulate(6, agents=2, days=24).metrics
    cut = metrics["window_start"].min() + 18 * DAY
    whole = rivals.detect(rivals.RIVALS[name], metrics)
    prefix = rivals.detect(rivals.RIVALS[name], metrics[metrics["window_start"] < cut])
    expected = whole[whole["window_start"] < cut].reset_index(drop=True)
    assert len(expected) > 5
    pd.testing.assert_frame_equal(prefix, expected)


@pytest.mark.parametrize("name", list(rivals.RIVALS))
def test_a_rival_finds_a_fall_to_zero_and_closes_after_two_quiet_windows(name: str):
    quiet = simulate(2, agents=2, days=21, incidents=False).metrics
    metrics = quiet[quiet["agent"] == "Agent1"].copy()
    begins = metrics["window_start"].min() + 12 * DAY
    metrics[["tasks", "successes", "error_count"]] = [20, 18, 2]
    metrics["successes"] -= np.arange(len(metrics)) % 3
    fall = (metrics["window_start"] >= begins) & (metrics["window_start"] < begins + 8 * WINDOW)
    metrics.loc[fall, "successes"] = 0
    found = rivals.detect(rivals.RIVALS[name], metrics)
    found = found[(found["type"] == "success_drop") & (found["window_start"] >= begins)]
    opened, closed = found[found["state"] == "open"].iloc[0], found[found["state"] == "resolved"].iloc[0]
    assert opened["window_start"] <= begins + 3 * WINDOW
    assert opened["severity"] == "critical"
    last_alarm = found.loc[(found["state"] == "ongoing") & (found["window_start"] < closed["window_start"])].iloc[-1]
    assert closed["window_start"] == last_alarm["window_start"] + 2 * WINDOW


def test_the_clairvoyant_finds_what_is_findable():
    simulations = [simulate(seed, agents=3, days=40) for seed in (20, 21)]
    scores = combine([score(clairvoyant.detect(simulation), simulation) for simulation in simulations])
    summary = scores.summary()
    assert summary["findable"] >= 8
    assert summary["findable_found"] >= 0.9
    assert summary["false_alarms_per_agent_week"] <= 0.3


def test_the_clairvoyants_threshold_bounds_its_false_alarms():
    """A Shiryaev-Roberts statistic passes A at most once in A windows on average when nothing is wrong."""
    nulls = [simulate(seed, agents=3, days=30, incidents=False) for seed in (120, 121)]
    opened = sum((clairvoyant.detect(null, log_threshold=6.0)["state"] == "open").sum() for null in nulls)
    windows = sum(len(null.metrics) for null in nulls) * len(clairvoyant.ALTERNATIVES)
    assert 0 < opened <= windows / np.exp(6.0)
