"""What a program is tested on was never seen by what made it, nor was anything like it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.optimization.near_duplicates import content_digest
from perf_pipeline.optimization.splits import NotEnough, Split, SplitPolicy, split_examples
from perf_pipeline.records import LabelledExample, LabelOrigin

POLICY = SplitPolicy()
SMALL = SplitPolicy(min_holdout=4, min_training=3)


def example(number: int, group: str = "") -> LabelledExample:
    inputs = {"text": f"question {number}"}
    made = LabelledExample(f"s{number}", inputs, {"intent": "refund"}, LabelOrigin.CORRECTION)
    return replace(made, group=group or content_digest(made))


def examples(count: int, first: int = 0) -> list[LabelledExample]:
    return [example(number) for number in range(first, first + count)]


def digests(of: Iterable[LabelledExample]) -> set[str]:
    return {content_digest(one) for one in of}


def split(
    of: list[LabelledExample], seen: Iterable[str] = (), salt: str = "request", policy: SplitPolicy = POLICY
) -> Split:
    found = split_examples(of, set(seen), salt, policy)
    assert isinstance(found, Split), found
    return found


def refused(of: list[LabelledExample], seen: Iterable[str] = (), policy: SplitPolicy = POLICY) -> NotEnough:
    found = split_examples(of, set(seen), "request", policy)
    assert isinstance(found, NotEnough), found
    return found


def sizes(found: Split) -> tuple[int, int, int]:
    return len(found.train), len(found.validation), len(found.holdout)


def test_thirty_tasks_feed_training_and_the_gate() -> None:
    assert sizes(split(examples(30))) == (7, 3, 20)


def test_of_many_tasks_two_fifths_are_held_out() -> None:
    assert sizes(split(examples(100))) == (42, 18, 40)


def test_what_was_seen_is_trained_on_and_not_held_out() -> None:
    old, new = examples(30), examples(25, first=30)
    found = split([*old, *new], digests(old))
    assert digests(found.holdout) <= digests(new)
    assert len(found.holdout) == 22


def test_what_is_like_something_that_was_seen_is_not_held_out() -> None:
    pairs = [example(number, f"pair {number // 2}") for number in range(80)]
    found = split(pairs, digests(pairs[:40:2]))
    assert digests(found.holdout) <= digests(pairs[40:])


def test_a_group_that_would_leave_too_little_to_train_on_is_not_held_out() -> None:
    big = [example(number, "one session") for number in range(15)]
    has_big = set()
    for salt in range(30):
        train, validation, holdout = sizes(found := split([*big, *examples(21, first=15)], salt=str(salt)))
        assert train + validation >= 10
        assert holdout >= 20
        has_big.add(big[0] in found.holdout)
    assert has_big == {True, False}


def test_training_and_validation_get_something_of_two_large_groups() -> None:
    large = [example(number, f"session {number % 2}") for number in range(30)]
    found = split([*large, *examples(20, first=30)], digests(large))
    assert sizes(found) == (15, 15, 20)


@pytest.mark.parametrize(
    ("count", "seen", "more", "says"),
    [
        (12, 9, 18, "12 labelled tasks, 3 of them new to the gate: 18 more new labelled tasks are needed "),
        (29, 0, 1, "29 labelled tasks, 29 of them new to the gate: 1 more new labelled task is needed "),
        (40, 21, 1, "40 labelled tasks, 19 of them new to the gate: 1 more new labelled task is needed "),
        (1, 0, 29, "1 labelled task, 1 of them new to the gate: 29 more new labelled tasks are needed "),
        (0, 0, 30, "0 labelled tasks, 0 of them new to the gate: 30 more new labelled tasks are needed "),
    ],
)
def test_too_few_tasks_are_refused_with_how_many_are_needed(count: int, seen: int, more: int, says: str) -> None:
    found = refused(examples(count), digests(examples(seen)))
    assert found.more_needed == more
    assert found.reason == says + "(20 for the gate, at least 10 for training)."


def test_where_sessions_are_too_large_to_divide_the_reason_says_so() -> None:
    found = refused([example(number, "one session") for number in range(60)])
    assert found.more_needed == 21
    assert found.reason.startswith("60 labelled tasks, 60 of them new to the gate: 21 more new labelled tasks are")
    assert "60 tasks belong together so: new ones must be of other kinds and sessions." in found.reason


def test_the_fingerprint_changes_with_any_example_and_with_the_parts() -> None:
    found = split(examples(30))
    other_answer = replace(found.train[0], expected={"intent": "spam"})
    others = [
        replace(found, train=(other_answer, *found.train[1:])),
        replace(found, train=found.validation, validation=found.train),
        replace(found, holdout=found.holdout[1:]),
        split(examples(30), salt="another request"),
    ]
    assert len({found.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert len(found.fingerprint) == 16


def test_the_fingerprint_is_that_of_the_contents() -> None:
    found = split(examples(30))
    renamed = replace(found, train=tuple(replace(one, id=f"file:{one.id}") for one in reversed(found.train)))
    assert renamed.fingerprint == found.fingerprint


def test_the_fingerprint_survives_being_kept_as_json() -> None:
    rich = [replace(one, expected={"ids": (1, 2), "by": {10: "a", 9: "b"}, "text": "ä"}) for one in examples(3)]
    kept = [replace(one, expected=json.loads(json.dumps(one.expected))) for one in rich]
    assert Split(tuple(rich), (), ()).fingerprint == Split(tuple(kept), (), ()).fingerprint


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[LabelledExample], set[str]]:
    """Examples, some in groups, and the digests of some that were seen."""
    count = draw(st.integers(0, 40))
    owners = draw(st.lists(st.integers(0, 15), min_size=count, max_size=count))
    found = [example(number, f"group {owner}" if owner < 8 else "") for number, owner in enumerate(owners)]
    return found, digests(one for one in found if draw(st.integers(0, 3)) == 0)


@settings(deadline=None)
@given(histories(), st.text(max_size=3))
def test_a_split_keeps_every_example_once_divides_no_group_and_holds_out_nothing_seen(
    history: tuple[list[LabelledExample], set[str]], salt: str
) -> None:
    found, seen = history
    result = split_examples(found, seen, salt, SMALL)
    if isinstance(result, Split):
        parts = (result.train, result.validation, result.holdout)
        assert sorted(one.id for one in result.all) == sorted(one.id for one in found)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert {item.group for item in parts[one]}.isdisjoint({item.group for item in parts[other]})
        assert digests(result.holdout).isdisjoint(seen)
        assert len(result.holdout) >= SMALL.min_holdout
        assert len(result.train) + len(result.validation) >= SMALL.min_training
        assert result.train
        assert result.validation


@settings(deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_the_examples_does_not_matter(
    history: tuple[list[LabelledExample], set[str]], chance: Random
) -> None:
    found, seen = history
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert split_examples(shuffled, seen, "salt", SMALL) == split_examples(found, seen, "salt", SMALL)


@settings(deadline=None)
@given(histories(), st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_as_the_data_grow_nothing_that_was_seen_is_held_out_later(
    history: tuple[list[LabelledExample], set[str]], growth: list[int]
) -> None:
    found, seen = history
    for run, more in enumerate(growth):
        result = split_examples(found, seen, f"request {run}", SMALL)
        if isinstance(result, Split):
            assert digests(result.holdout).isdisjoint(seen)
            seen = seen | digests(result.all)
        found = [*found, *examples(more, first=1000 * (run + 1))]


@settings(deadline=None)
@given(histories(), st.text(max_size=3))
def test_as_many_new_tasks_as_it_asks_for_are_enough(
    history: tuple[list[LabelledExample], set[str]], salt: str
) -> None:
    found, seen = history
    result = split_examples(found, seen, salt, SMALL)
    if isinstance(result, NotEnough):
        assert result.more_needed >= 1
        split([*found, *examples(result.more_needed, first=1000)], seen, salt, SMALL)
