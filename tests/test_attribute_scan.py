"""A scan names the values that explain an excess, and nothing that it does not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.attribute_scan import Combination, Scan, of_many, scan, tail
from perf_pipeline.monitoring.task_cells import Cells, cells_from
from perf_pipeline.monitoring.usual_rates import expected_affected, usual_rates

ATTRIBUTES = ("model", "tool", "version")

Row = tuple[dict[str, str | None], int, int, int, int]
"""Values, affected and tasks now, affected and tasks before."""


def cells(*rows: Row, reached: tuple[str, ...] = ()) -> Cells:
    frame = pd.DataFrame([{**dict.fromkeys(ATTRIBUTES), **values} for values, *_ in rows], columns=list(ATTRIBUTES))
    counts = [[float(count) for count in numbers] for _, *numbers in rows]
    for place, name in enumerate(("affected", "tasks", "usual_affected", "usual_tasks")):
        frame[name] = [numbers[place] for numbers in counts]
    return cells_from(frame, ATTRIBUTES, reached)


def grid(hit: dict[str, str], rate: float = 0.8, usual: float = 0.05, now: int = 20, before: int = 60) -> list[Row]:
    """Every combination of two models, two tools and two versions, of which those with all values of `hit` are."""
    rows: list[Row] = []
    for model in ("m1", "m2"):
        for tool in ("t1", "t2"):
            for version in ("v1", "v2"):
                values: dict[str, str | None] = {"model": model, "tool": tool, "version": version}
                share = rate if hit and all(values[name] == value for name, value in hit.items()) else usual
                rows.append((values, round(share * now), now, round(usual * before), before))
    return rows


def named(found: Scan) -> list[dict[str, str]]:
    return [dict(one.values) for one in found.causes]


COUNTS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60), st.integers(0, 60))


@st.composite
def any_rows(draw: st.DrawFn) -> list[Row]:
    values = st.fixed_dictionaries({name: st.sampled_from(["a", "b", "c", None]) for name in ATTRIBUTES})
    drawn = draw(st.lists(st.tuples(values, COUNTS), min_size=1, max_size=12))
    return [
        (value, min(affected, tasks), tasks, min(usual, seen), seen) for value, (affected, tasks, usual, seen) in drawn
    ]


def figures(one: Combination) -> tuple[float, ...]:
    return (one.affected, one.tasks, one.usual_tasks, round(one.share, 9), round(one.p_value, 12))


@pytest.mark.parametrize(
    "hit",
    [{"model": "m1"}, {"tool": "t2"}, {"model": "m2", "tool": "t1"}, {"model": "m1", "version": "v2"}],
    ids=["a model", "a tool", "a pair", "another pair"],
)
def test_the_values_that_were_hit_are_the_cause_no_more_and_no_less(hit: dict[str, str]) -> None:
    found = scan(cells(*grid(hit)))
    assert named(found) == [hit]
    (cause,) = found.causes
    assert cause.share == pytest.approx(1, abs=0.05)
    assert cause.p_value < 1e-6


def test_two_causes_at_a_time_are_both_found() -> None:
    rows = [
        (values, now if "m1" not in values.values() and "t1" not in values.values() else 18, *rest)
        for values, now, *rest in grid({})
    ]
    found = scan(cells(*rows))  # pyright: ignore[reportArgumentType]
    assert sorted(map(str, named(found))) == ["{'model': 'm1'}", "{'tool': 't1'}"]


def test_where_all_tasks_are_hit_no_value_is_to_blame() -> None:
    found = scan(cells(*[(values, 14, 20, 3, 60) for values, *_ in grid({})]))
    assert found.causes == ()


def test_a_value_that_all_tasks_share_explains_nothing() -> None:
    rows = [({**values, "version": "v1"}, *rest) for values, *rest in grid({"model": "m1"})]
    found = scan(cells(*rows))  # pyright: ignore[reportArgumentType]
    assert all("version" not in one.values for one in (*found.causes, *found.others))


def test_a_value_that_is_new_explains_what_hits_all_tasks_since() -> None:
    before: list[Row] = [({"model": model, "version": "v1"}, 0, 0, 5, 100) for model in ("m1", "m2")]
    since: list[Row] = [({"model": model, "version": "v2"}, 15, 20, 0, 0) for model in ("m1", "m2")]
    assert named(scan(cells(*before, *since))) == [{"version": "v2"}]


def test_a_model_that_fails_as_often_as_always_explains_nothing() -> None:
    """Although most failures are its own."""
    rows: list[Row] = [
        ({"model": "bad", "tool": "t1"}, 13, 30, 40, 100),
        ({"model": "bad", "tool": "t2"}, 12, 30, 40, 100),
        ({"model": "good", "tool": "t1"}, 1, 30, 2, 100),
        ({"model": "good", "tool": "t2"}, 1, 30, 2, 100),
    ]
    found = scan(cells(*rows))
    assert all(one.p_value > 0.5 for one in (*found.causes, *found.others))


def test_tasks_that_failed_before_they_called_a_tool_are_not_expected_to_fail() -> None:
    """All that have no tool failed: that says nothing of how often the tasks of their model do."""
    rows: list[Row] = [
        ({"model": "m1", "tool": "t1"}, 2, 10, 3, 90),
        ({"model": "m1"}, 12, 12, 6, 6),
        ({"model": "m2", "tool": "t1"}, 1, 20, 3, 90),
        ({"model": "m2"}, 1, 1, 6, 6),
    ]
    known = cells(*rows, reached=("tool",))
    assert named(scan(known)) == [{"model": "m1"}]
    of_all, of_reached = expected_affected(known)
    assert of_all[1] < 2 < 4 < of_reached[1]


def test_a_task_that_used_several_tools_counts_for_each() -> None:
    rows: list[Row] = [
        ({"tool": "search\ncrm"}, 9, 10, 1, 30),
        ({"tool": "search"}, 9, 10, 1, 30),
        ({"tool": "crm"}, 0, 10, 1, 30),
        ({"tool": "mailer"}, 0, 10, 1, 30),
    ]
    (cause,) = scan(cells(*rows)).causes
    assert (cause.values, cause.affected, cause.tasks) == ({"tool": "search"}, 18, 20)


@given(any_rows(), st.randoms())
@settings(deadline=None, max_examples=60)
def test_neither_the_order_of_rows_nor_the_names_of_values_matter(rows: list[Row], random) -> None:
    shuffled = [({name: value and f"x{value}" for name, value in values.items()}, *rest) for values, *rest in rows]
    random.shuffle(shuffled)
    one, other = scan(cells(*rows)), scan(cells(*shuffled))  # pyright: ignore[reportArgumentType]
    assert sorted(map(figures, one.causes)) == sorted(map(figures, other.causes))
    assert one.looked_at == other.looked_at


@given(any_rows())
@settings(deadline=None, max_examples=60)
def test_shares_rates_and_p_values_lie_between_0_and_1(rows: list[Row]) -> None:
    found = scan(cells(*rows), order=3)
    for one in (*found.causes, *found.others):
        assert 0 <= one.share <= 1
        assert 0 <= one.usual_rate <= 1
        assert 0 <= one.p_value <= 1
        assert 0 < one.affected <= one.tasks
        assert len(one.values) <= 3
    values = [tuple(sorted(one.values.items())) for one in (*found.causes, *found.others)]
    assert len(values) == len(set(values))


@given(st.sampled_from([{"model": "m1"}, {"tool": "t2"}, {"model": "m2", "tool": "t1"}]), st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_more_of_the_same_is_not_less_significant(hit: dict[str, str], times: int) -> None:
    once = cells(*grid(hit, rate=0.4))
    counts = ("affected", "tasks", "usual_affected", "usual_tasks")
    often = replace(once, **{name: times * getattr(once, name) for name in counts})
    (few,), (many,) = scan(once).causes, scan(often).causes
    assert few.values == many.values
    assert many.p_value <= few.p_value


def test_where_nothing_changed_hardly_anything_is_significant() -> None:
    """Of 300 agents whose rates stay as they are, at most one in 20 has a value that seems to explain something."""
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(300):
        rates = rng.uniform(0.02, 0.3, 8)
        rows = [
            (values, int(rng.binomial(12, rate)), 12, int(rng.binomial(40, rate)), 40)
            for (values, *_), rate in zip(grid({}), rates, strict=True)
        ]
        found = scan(cells(*rows))
        false += any(one.p_value <= 0.05 for one in (*found.causes, *found.others))
    assert false <= 15


def test_no_tasks_have_no_cause() -> None:
    assert scan(cells(({"model": "m1"}, 0, 0, 3, 20))) == Scan((), (), 0)
    assert scan(cells(({}, 3, 9, 3, 20))) == Scan((), (), 0)


def test_the_tail_is_that_of_a_count_whose_rate_is_a_guess() -> None:
    assert tail(0, 2.0, 10) == 1
    assert tail(8, 2.0, 1e9) == pytest.approx(0.0010967, rel=1e-3), "a Poisson count of mean 2, at least 8"
    assert tail(8, 2.0, 3) > tail(8, 2.0, 30) > tail(8, 2.0, 1e9)


def test_of_many_looks_one_is_lucky_more_often() -> None:
    assert of_many(0.01, 1) == pytest.approx(0.01)
    assert of_many(0.01, 100) == pytest.approx(1 - 0.99**100)
    assert of_many(1.0, 100) == 1


def test_a_cell_never_seen_is_expected_to_be_as_its_values_are() -> None:
    known = cells(
        ({"model": "bad", "tool": "t1"}, 0, 0, 60, 200),
        ({"model": "good", "tool": "t1"}, 0, 0, 6, 200),
        ({"model": "good", "tool": "t2"}, 0, 0, 6, 200),
        ({"model": "bad", "tool": "t2"}, 0, 100, 0, 0),
    )
    (expected,) = expected_affected(known)
    assert 20 < expected[3] < 40
    rates = usual_rates(known.has, known.usual_affected, known.usual_tasks)
    assert rates[0] == pytest.approx(0.3, abs=0.05)
