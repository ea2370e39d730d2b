"""The parts of a window as one frame, as the lake would store them."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from perf_pipeline.tables import RAW_SPANS

KEY = ["trace_id", "span_id"]


def whole_window(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """`raw_spans` of all parts, each span once, in order of start."""
    frames = [part for part in parts if len(part)]
    if not frames:
        return RAW_SPANS.empty()
    spans = pd.concat(frames, ignore_index=True).drop_duplicates(KEY).sort_values(["start_time", *KEY])
    return RAW_SPANS.conform(spans)
