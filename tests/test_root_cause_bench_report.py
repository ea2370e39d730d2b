"""The benchmark of root causes counts hits as it says, and reports what it counted."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.root_cause import report
from benchmarks.root_cause.real_cases import left_out, load_cases, real_hits
from benchmarks.root_cause.rivals import LIBRARY, NAIVE, OURS, RANKINGS
from benchmarks.root_cause.simulated import hit, hits
from perf_pipeline.simulated_incidents.labelled import labelled_incidents

MODEL, TOOL, PAIR = {"model": "m"}, {"tool": "t"}, {"model": "m", "tool": "t"}


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    return hits(labelled_incidents([2, 13]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One case: at minute 3 the failures of bitrate 500 rise."""
    rows = ["unix_minute,failures,total,cdn,bitrate"]
    for minute in range(4):
        for cdn in ("5", "7"):
            for bitrate in ("500", "1000"):
                rows.append(f"{minute},{40 if minute == 3 and bitrate == '500' else 2},100,{cdn},{bitrate}")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "one.csv").write_text("\n".join(rows), encoding="utf-8")
    described = [{"file": "one.csv", "anomalous_minute": 3, "causes": [{"bitrate": "500"}]}]
    (tmp_path / "cases.json").write_text(json.dumps(described), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("ranked", "causes", "expected"),
    [
        ([MODEL, TOOL], [MODEL], (True, True, True)),
        ([TOOL, PAIR, MODEL], [MODEL], (False, True, True)),
        ([PAIR], [MODEL], (False, False, False)),
        ([MODEL, PAIR], [MODEL, TOOL], (True, False, True)),
        ([TOOL, MODEL], [MODEL, TOOL], (True, True, True)),
        ([PAIR, TOOL, PAIR, MODEL], [MODEL, TOOL], (False, False, True)),
        ([], [MODEL], (False, False, False)),
    ],
)
def test_only_the_exact_combination_is_a_hit(
    ranked: list[dict[str, str]], causes: list[dict[str, str]], expected: tuple[bool, bool, bool]
) -> None:
    assert hit(ranked, causes) == expected


def test_every_ranking_is_asked_about_every_incident(simulated: pd.DataFrame) -> None:
    assert simulated.groupby("ranking")["seed"].apply(list).to_dict() == {name: [2, 13] for name in RANKINGS}
    tool = simulated[simulated["seed"] == 2].set_index("ranking")
    assert tool.loc[[OURS, LIBRARY], "top1"].all()
    assert not tool.loc[NAIVE, "top1"]


def test_the_figures_are_shares_of_the_incidents_and_those_of_real_cases_are_none_without_them(
    simulated: pd.DataFrame, folder: Path
) -> None:
    found = report.figures(simulated, None)
    assert list(found) == ["sim_top1", "sim_top3", "naive_top1", "real_top1", "real_top3", "ms_per_case"]
    assert found["sim_top1"] == simulated.loc[simulated["ranking"] == OURS, "top1"].mean()
    assert (found["real_top1"], found["real_top3"]) == (None, None)
    real = real_hits(load_cases(folder))
    found = report.figures(simulated, real)
    assert (found["real_top1"], found["real_top3"]) == (1, 1)
    assert "real_top1 at least 0.70: 1.000, met" in report.targets(found)
    assert "real_top1 at least 0.70: no cases" in report.targets(report.figures(simulated, None))


def test_cases_that_are_not_there_are_missed_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cases\.json"):
        load_cases(tmp_path)


def test_each_half_is_judged_by_the_setting_that_the_other_half_chose() -> None:
    tried = pd.DataFrame(
        [(10.0, 0.1, 0.9, 0.9, 0.2, 0.3), (30.0, 0.1, 0.5, 0.6, 0.8, 0.8)],
        columns=["prior_tasks", "share", "even_top1", "even_top3", "odd_top1", "odd_top3"],
    )
    top1, top3 = left_out(tried)
    assert (top1, top3) == (pytest.approx((0.2 + 0.5) / 2), pytest.approx((0.3 + 0.6) / 2))


def test_the_tables_are_for_people(simulated: pd.DataFrame, folder: Path) -> None:
    out = Console(file=io.StringIO(), width=150)
    out.print(
        report.side_by_side(simulated), report.by_kind(simulated), report.real_cases(real_hits(load_cases(folder)))
    )
    text = out.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "tool failing" in text
    assert "two causes" in text
    assert "pysubgroup" in text
