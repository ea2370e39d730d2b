"""A series from a file: scored as it stands, or refused in a sentence that names the row."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import nab
from perf_pipeline.monitoring.gauge import score_readings
from perf_pipeline.monitoring.series import SeriesError, score_series


def series(count: int = 400, start: str = "2026-01-01", freq: str = "5min") -> pd.DataFrame:
    values = np.round(np.random.default_rng(0).normal(10, 1, count), 3)
    times = pd.date_range(start, periods=count, freq=freq)
    return pd.DataFrame({"timestamp": times.strftime("%Y-%m-%d %H:%M:%S"), "value": values.astype(str)}, dtype=object)


def refusal(frame: pd.DataFrame) -> str:
    with pytest.raises(SeriesError) as caught:
        score_series(frame)
    return str(caught.value)


def test_timestamps_and_values_come_back_as_they_were_written() -> None:
    frame = series()
    frame.loc[3, "value"] = " 1.50e1 "
    frame.loc[4, "value"] = ""
    scored = score_series(frame.assign(note="x"))
    assert list(scored.columns) == ["timestamp", "value", "anomaly_score"]
    pd.testing.assert_frame_equal(scored[["timestamp", "value"]], frame)
    assert scored["anomaly_score"].between(0, 1).all()


def test_the_scores_are_those_of_the_gauge() -> None:
    frame = series()
    frame.loc[300, "value"] = "99"
    seconds = pd.to_datetime(frame["timestamp"]).to_numpy("datetime64[s]").astype(float)
    scored = score_series(frame)["anomaly_score"]
    assert (scored == score_readings(seconds, frame["value"].astype(float))).all()
    assert scored[300] == scored.max() > 0.5


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 400))
def test_the_scores_of_the_first_rows_do_not_depend_on_those_that_follow(rows: int) -> None:
    frame = series()
    whole = score_series(frame)["anomaly_score"]
    assert (score_series(frame.head(rows))["anomaly_score"] == whole.head(rows)).all()


@pytest.mark.parametrize(
    "written",
    [
        lambda times: times,
        lambda times: times.tz_localize("UTC"),
        lambda times: times.tz_localize("UTC").tz_convert("Asia/Kolkata"),
        lambda times: times.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda times: times.tz_localize("UTC").tz_convert("Europe/Berlin").map(lambda time: time.isoformat()),
        lambda times: times.to_numpy("datetime64[s]").astype(int),
        lambda times: times.to_numpy("datetime64[ms]").astype(int),
        lambda times: times.to_numpy("datetime64[ns]").astype(int),
        lambda times: times.to_numpy("datetime64[s]").astype(int).astype(str),
    ],
    ids=[
        "times",
        "aware",
        "a zone",
        "ISO 8601",
        "offsets",
        "seconds",
        "milliseconds",
        "nanoseconds",
        "seconds as text",
    ],
)
def test_a_time_may_be_written_in_any_of_the_usual_ways(written) -> None:
    times = pd.date_range("2026-03-20", periods=900, freq="30min")
    values = np.random.default_rng(2).normal(0, 1, 900) + np.sin(2 * np.pi * np.arange(900) / 48) * 5
    expected = score_series(pd.DataFrame({"timestamp": times, "value": values}))["anomaly_score"]
    found = score_series(pd.DataFrame({"timestamp": written(times), "value": values}))["anomaly_score"]
    assert (found == expected).all()
    assert expected.max() > 0


def test_a_missing_value_scores_nothing_however_it_is_written() -> None:
    frame = series()
    rows = [100, 101, 102, 103, 104]
    frame.loc[rows, "value"] = ["", "NaN", None, "null", " NA "]
    assert (score_series(frame).loc[rows, "anomaly_score"] == 0).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_very_short_series_scores_nothing(count: int) -> None:
    assert score_series(series(count))["anomaly_score"].tolist() == [0.0] * count


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    assert refusal(series().rename(columns={"value": "Value"})) == (
        "The series needs the columns timestamp and value: value is missing (there: timestamp, Value)."
    )


@pytest.mark.parametrize("wrong", ["12,5", "fast", "inf", "1e999"])
def test_a_value_that_is_no_number_is_named_with_its_row(wrong: str) -> None:
    frame = series()
    frame.loc[6, "value"] = wrong
    assert refusal(frame).startswith(f"Row 7: the value '{wrong}' is not a number")


@pytest.mark.parametrize("wrong", ["04/01/2026 10:00", "noon", "", "1700000000"])
def test_a_time_that_cannot_be_read_is_named_with_its_row(wrong: str) -> None:
    frame = series()
    frame.loc[6, "timestamp"] = wrong
    assert refusal(frame).startswith(f"Row 7: the timestamp '{wrong}' cannot be read. Write 2026-11-22 09:30:00")


@pytest.mark.parametrize("wrong", [float("nan"), 0.0, 20260131.0])
def test_a_number_that_is_no_time_is_named_with_its_row(wrong: float) -> None:
    frame = pd.DataFrame({"timestamp": 1.7e9 + 300.0 * np.arange(20), "value": 1.0})
    frame.loc[6, "timestamp"] = wrong
    assert refusal(frame).startswith(f"Row 7: the timestamp '{wrong}' cannot be read.")


def test_a_series_that_is_not_sorted_is_refused_with_the_first_row_that_is_out_of_place() -> None:
    frame = series(freq="30min")
    assert refusal(frame.iloc[::-1]) == (
        "Row 4: its timestamp 2026-01-09 06:00:00 lies more than an hour before a row above it. "
        "Sort the series by time, oldest first."
    )
    assert refusal(frame.iloc[[*range(50), *range(60, 400), *range(50, 60)]]).startswith("Row 391:")


def test_a_clock_that_is_set_back_at_the_end_of_summer_time_is_no_reason_to_refuse() -> None:
    times = pd.date_range("2026-10-24", periods=600, freq="5min", tz="UTC").tz_convert("Europe/Berlin")
    frame = pd.DataFrame({"timestamp": times.strftime("%Y-%m-%d %H:%M:%S"), "value": series(600)["value"]})
    assert list(frame["timestamp"]) != sorted(frame["timestamp"])
    assert len(score_series(frame)) == 600


def test_a_file_of_several_series_is_refused_with_its_first_repeated_time() -> None:
    two = pd.concat([series(100), series(100)]).sort_values("timestamp", kind="stable")
    assert refusal(two) == (
        "Row 2: its timestamp 2026-01-01 00:00:00 is that of the row above, and so it is with 100 of 200 rows. "
        "Give one series at a time, each reading once."
    )


def test_a_rare_repeated_time_is_scored_in_the_order_of_the_file() -> None:
    frame = series()
    frame.loc[200, "timestamp"] = str(frame.loc[199, "timestamp"])
    assert len(score_series(frame)) == 400


# The benchmark


@pytest.fixture
def small_benchmark(tmp_path: Path) -> Path:
    """The benchmark's layout with two series of ours, one with an incident, and a scorer of ours."""
    calm, hit = series(400), series(400)
    hit.loc[300:302, "value"] = "99"
    for name, frame in (("a/calm.csv", calm), ("a/hit.csv", hit)):
        path = tmp_path / "series" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)
    (tmp_path / "score.py").write_text(
        "import numpy as np\n"
        "PROFILES = {'standard': 1, 'reward_low_FP_rate': 2, 'reward_low_FN_rate': 3}\n"
        "def load(root):\n"
        "    return [{'name': 'a/calm.csv', 'windows': []}, {'name': 'a/hit.csv', 'windows': [(295, 310)]}]\n"
        "def corpus_score(files, scores, profile='standard'):\n"
        "    return np.float64(100 * max(map(max, scores))), np.float64(0.6)\n"
    )
    rows = {name: {"standard": 0.0, "reward_low_FP_rate": 0.0, "reward_low_FN_rate": 0.0} for name in ("Null", "Best")}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    return tmp_path


def test_the_benchmark_reports_each_series_at_the_best_threshold(small_benchmark: Path) -> None:
    measured = nab.nab_scores(small_benchmark)
    assert measured["series"] == [
        {"name": "a/calm.csv", "readings": 400, "windows": 0, "found": 0, "false": 0},
        {"name": "a/hit.csv", "readings": 400, "windows": 1, "found": 1, "false": 0},
    ]
    assert measured["at_alarm_threshold"] == 100


def test_the_benchmark_ends_with_one_line_of_json(
    small_benchmark: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["nab", str(small_benchmark)])
    nab.main()
    printed = capsys.readouterr().out
    assert {"standard", "at_alarm_threshold", "seconds_per_million"} <= set(json.loads(printed.splitlines()[-1]))
    assert re.search(r"perf-pipeline.*\n.*(Null|Best)", printed)


def test_a_benchmark_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["nab", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"There is no .*score.py"):
        nab.main()


@pytest.mark.skipif(not nab.DEFAULT_FOLDER.exists(), reason="the benchmark's series are not beside the repository")
def test_the_artificial_series_with_an_anomaly_are_told_from_those_without() -> None:
    spec = importlib.util.spec_from_file_location("nab_score", nab.DEFAULT_FOLDER / "score.py")
    assert spec is not None
    assert spec.loader is not None
    scoring = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scoring)
    files = [file for file in scoring.load(nab.DEFAULT_FOLDER) if file["name"].startswith("artificial")]
    frames = [pd.read_csv(nab.DEFAULT_FOLDER / "series" / file["name"], dtype=str) for file in files]
    scores = [score_series(frame)["anomaly_score"].to_numpy() for frame in frames]
    assert scoring.corpus_score(files, scores)[0] > 90
