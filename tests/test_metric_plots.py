"""The pictures of what detectors saw: they can be drawn of anything that the table holds, and stay small."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from perf_pipeline.assets.metric_plots import TITLES, plot_markdown, plot_png
from perf_pipeline.monitoring.detectors.registry import detectors
from tests.builders import LENGTH, START, Row, shipped_fleet, window


def drawn(*windows: Row) -> pd.DataFrame:
    usual: Row = {"agent": "InboundAgent", "metric": "success_rate", "value": 90.0, "expected": 92.0}
    usual |= {"low": 80.0, "high": 100.0, "phase": "quiet", "onset": pd.NaT}
    rows = [usual | {"window_start": window(number).start} | row for number, row in enumerate(windows)]
    return pd.DataFrame(rows).assign(
        window_start=lambda frame: pd.to_datetime(frame["window_start"], utc=True),
        onset=lambda frame: pd.to_datetime(frame["onset"], utc=True),
    )


def colours(states: pd.DataFrame) -> int:
    return len(Image.open(io.BytesIO(plot_png(states))).convert("RGB").getcolors(1 << 20) or [])


def test_every_metric_that_is_watched_has_a_title() -> None:
    assert {one.metric for one in detectors(shipped_fleet().detection, LENGTH)} == set(TITLES)


def test_a_picture_stands_in_the_text_and_is_small() -> None:
    states = drawn(*[{} for _ in range(70)], {"phase": "open", "value": 10.0, "onset": START})
    text = plot_markdown(states)
    head, _, data = text.removesuffix(")").partition("base64,")
    assert head == "![InboundAgent: success rate, %](data:image/png;"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format == "PNG"
    assert len(text) < 40_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "windows",
    [
        [{}],
        [{"value": math.nan, "expected": math.nan, "low": math.nan, "high": math.nan}] * 3,
        [{"metric": "latency", "value": 0.0, "expected": 0.0, "low": 0.0, "high": 0.0}] * 2,
        [{}, {"phase": "pending"}, {"phase": "open"}, {"phase": "recovering"}, {}],
        [{}] * 80,
    ],
    ids=["one window", "nothing known", "nothing but zeros", "every phase", "days"],
)
def test_anything_can_be_drawn(windows: list[dict[str, Any]]) -> None:
    assert colours(drawn(*windows)) > 2


def test_a_finding_is_marked() -> None:
    quiet, found = drawn({}, {}, {}), drawn({}, {"phase": "open"}, {})
    assert plot_png(quiet) != plot_png(found)
