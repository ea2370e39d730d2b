"""Any exported series of readings, scored by the generic gauge: a frame in, a frame out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.gauge import LARGEST, GaugeSettings, score_readings

CLOCK_SET_BACK_S = 3600.0
"""A file in local time goes back by up to an hour where summer time ends: its readings are scored as they stand."""
REPEATED_AT_MOST = 0.02
"""More readings than this share at the time of the reading before mean several series, or one written twice."""
SMALLEST_EPOCH = 1e8
"""March 1973, in seconds."""
LARGEST_EPOCH_S = 1e11
"""The year 5138: larger numbers are milliseconds, microseconds or nanoseconds."""
MISSING = ("", "nan", "na", "n/a", "null", "none")


class SeriesError(ValueError):
    """What is wrong with a series, in a sentence for the person who made it. Rows count from 1, without the header."""


def score_series(frame: pd.DataFrame, settings: GaugeSettings | None = None) -> pd.DataFrame:
    """`timestamp`, `value` as they were given, and `anomaly_score` in [0, 1): see `Gauge.step`.

    `frame` has the columns `timestamp` (ISO 8601 as text or times, without a zone taken as UTC; or numbers: seconds,
    milli-, micro- or nanoseconds since the epoch) and `value` (numbers, also as text; missing ones score 0), oldest
    first. The score of a row depends on it and the rows before it only. Raises `SeriesError`.
    """
    missing = [column for column in ("timestamp", "value") if column not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns)) or "none"
        raise SeriesError(
            f"The series needs the columns timestamp and value: {' and '.join(missing)} is missing (there: {there})."
        )
    times = _seconds(frame["timestamp"])
    values = _numbers(frame["value"])
    _check_order(times, frame["timestamp"])
    scores = score_readings(times.tolist(), values.tolist(), settings)
    return frame[["timestamp", "value"]].assign(anomaly_score=scores)


def _seconds(column: pd.Series) -> np.ndarray:
    """Seconds since the epoch, UTC."""
    if not pd.api.types.is_datetime64_any_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
        # Digits alone are an epoch from nine of them on: eight are an ISO date, 20260131.
        is_epoch = numbers >= SMALLEST_EPOCH
        if is_epoch.sum() * 2 > len(numbers):
            _refuse_unreadable(column, ~is_epoch)
            while numbers.max() > LARGEST_EPOCH_S:
                numbers = numbers / 1000
            return numbers
    texts = column.str.strip() if pd.api.types.is_string_dtype(column) else column
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    _refuse_unreadable(column, times.isna().to_numpy(bool))
    return times.to_numpy("datetime64[us]").astype("int64") / 1e6


def _refuse_unreadable(column: pd.Series, unreadable: np.ndarray) -> None:
    if unreadable.any():
        row = int(np.flatnonzero(unreadable)[0])
        raise SeriesError(
            f"Row {row + 1}: the timestamp '{column.iloc[row]}' cannot be read. Write 2026-11-22 09:30:00, with or "
            "without an offset from UTC, or seconds since 1970, and alike in all rows."
        )


def _numbers(column: pd.Series) -> np.ndarray:
    """The readings; NaN where the file leaves them out."""
    texts = column.astype("string").str.strip().str.lower()
    left_out = texts.isna() | texts.isin(MISSING)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
    unreadable = np.flatnonzero(~left_out.to_numpy(bool) & ~(np.abs(numbers) <= LARGEST))
    if len(unreadable):
        row = int(unreadable[0])
        raise SeriesError(
            f"Row {row + 1}: the value '{column.iloc[row]}' is not a number of at most {LARGEST:g}. "
            "Leave the field empty where there is no reading."
        )
    return numbers


def _check_order(times: np.ndarray, given: pd.Series) -> None:
    back = np.flatnonzero(np.maximum.accumulate(times) - times > CLOCK_SET_BACK_S)
    if len(back):
        row = int(back[0])
        raise SeriesError(
            f"Row {row + 1}: its timestamp {given.iloc[row]!s} lies more than an hour before a row above it. "
            "Sort the series by time, oldest first."
        )
    repeated = np.flatnonzero(np.diff(times) == 0) + 1
    if len(repeated) > REPEATED_AT_MOST * len(times):
        row = int(repeated[0])
        raise SeriesError(
            f"Row {row + 1}: its timestamp {given.iloc[row]!s} is that of the row above, and so it is with "
            f"{len(repeated)} of {len(times)} rows. Give one series at a time, each reading once."
        )
