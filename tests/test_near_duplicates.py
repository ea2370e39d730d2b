"""Examples that give each other away are in one group; of equal inputs one example is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.optimization.near_duplicates import content_digest, deduplicated, grouped
from perf_pipeline.records import LabelledExample, LabelOrigin
from tests.builders import START

FOUR_FIFTHS = ("a b c d e", "a b c d e f")
"""9 shared words and pairs of words, 11 in all."""


def example(
    text: str | Mapping[str, Any],
    session: str | None = None,
    id: str = "",
    answer: str = "refund",
    origin: LabelOrigin = LabelOrigin.CORRECTION,
    day: int | None = 0,
) -> LabelledExample:
    time = None if day is None else START + timedelta(days=day)
    inputs = {"text": text} if isinstance(text, str) else text
    return LabelledExample(id or str(text), inputs, {"intent": answer}, origin, session_id=session, start_time=time)


def groups(examples: Sequence[LabelledExample], threshold: float = 0.8) -> set[frozenset[str]]:
    """The ids of the examples of each group."""
    found = grouped(examples, threshold)
    return {frozenset(one.id for one in found if one.group == group) for group in {one.group for one in found}}


def together(one: LabelledExample, other: LabelledExample) -> bool:
    return len(groups([one, other])) == 1


def test_different_texts_are_in_different_groups() -> None:
    assert not together(example("my card was charged twice"), example("where is my parcel"))


def test_texts_that_differ_in_case_and_spaces_only_are_together() -> None:
    assert together(example("Where is\u00a0my  PARCEL?"), example(" where is my parcel?\n"))
    assert together(example("???"), example(" ??? "))
    assert not together(example("???"), example("!!!"))


def test_texts_with_most_words_and_pairs_of_words_in_common_are_together() -> None:
    one, other = map(example, FOUR_FIFTHS)
    assert len(groups([one, other], 0.81)) == 1
    assert len(groups([one, other], 0.82)) == 2


def test_a_share_of_exactly_the_threshold_is_near() -> None:
    one, other = example("a b a"), example("a b")
    assert len(groups([one, other], 0.75)) == 1
    assert len(groups([one, other], 0.76)) == 2


def test_the_same_words_in_another_order_are_not_the_same_text() -> None:
    assert not together(example("the dog bit the man today"), example("the man bit the dog today"))


def test_characters_count_where_a_script_leaves_no_spaces() -> None:
    assert together(example("我的信用卡被重复扣款两次请退款"), example("我的信用卡被重复扣款两次请退款吧"))
    assert not together(example("我的信用卡被重复扣款"), example("包裹在哪里"))


def test_tasks_of_one_session_are_together() -> None:
    assert together(example("my card was charged twice", "s"), example("where is my parcel", "s"))
    assert not together(example("my card was charged twice", "s"), example("where is my parcel", "t"))
    assert not together(example("my card was charged twice", ""), example("where is my parcel", ""))


def test_what_belongs_to_what_belongs_together_is_together() -> None:
    first, second = (example(text, "s", id=text) for text in ("hello there", FOUR_FIFTHS[0]))
    third, fourth = example(FOUR_FIFTHS[1], "t"), example("bye", "t")
    assert len(groups([first, fourth, third, second])) == 1
    assert len(groups([first, fourth, third])) == 2


def test_all_inputs_are_compared() -> None:
    one = example({"text": "yes", "about": {"item": "a red car", "prices": [1, 2]}}, id="one")
    assert together(one, example({"about": {"prices": (1, 2), "item": "A red car"}, "text": "yes"}, id="other"))
    assert not together(one, example({"text": "yes", "about": {"item": "a blue bike", "prices": [1, 2]}}, id="other"))


def test_nothing_is_in_no_group() -> None:
    assert grouped([]) == []


def test_thousands_of_long_texts_are_compared_in_seconds_even_from_one_template() -> None:
    chance = Random(1)
    texts = [" ".join(f"w{int(chance.paretovariate(0.5)) % 5000}" for _ in range(60)) for _ in range(1000)]
    texts += [" ".join([*map(str, range(6)), f"order {number}", *map(str, range(7, 12))]) for number in range(1000)]
    began = time.process_time()
    grouped([example(text) for text in texts])
    assert time.process_time() - began < 2


words = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6).map(" ".join)
drawn = st.lists(st.builds(example, words, st.sampled_from([None, None, "s", "t"])), max_size=12).map(
    lambda found: [replace(one, id=str(number)) for number, one in enumerate(found)]
)


def jaccard(one: LabelledExample, other: LabelledExample) -> float:
    sets = []
    for text in (one.inputs["text"], other.inputs["text"]):
        said = text.split()
        sets.append(set(said) | {(said[at], said[at + 1]) for at in range(len(said) - 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@settings(deadline=None)
@given(drawn, st.sampled_from([0.5, 0.6, 0.75, 0.8, 1.0]))
def test_groups_are_the_connected_components_of_what_is_near(examples: list[LabelledExample], threshold: float) -> None:
    expected = {one.id: {one.id} for one in examples}
    for one in examples:
        for other in examples:
            same_session = one.session_id is not None and one.session_id == other.session_id
            if same_session or jaccard(one, other) >= threshold:
                joined = expected[one.id] | expected[other.id]
                expected |= dict.fromkeys(joined, joined)
    assert groups(examples, threshold) == {frozenset(ids) for ids in expected.values()}


@settings(deadline=None)
@given(drawn, st.randoms(use_true_random=False))
def test_neither_order_nor_unrelated_examples_change_the_name_of_a_group(
    examples: list[LabelledExample], chance: Random
) -> None:
    names = {one.id: one.group for one in grouped(examples)}
    more = [*examples, example("x y z", "u", id="new"), example("z y x w", "v", id="newer")]
    chance.shuffle(more)
    assert names.items() <= {one.id: one.group for one in grouped(more)}.items()


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"origin": LabelOrigin.CORRECTION, "day": 0}, {"origin": LabelOrigin.ANNOTATION, "day": 9}),
        ({"origin": LabelOrigin.ANNOTATION, "day": 0}, {"origin": LabelOrigin.OUTCOME, "day": 9}),
        ({"origin": LabelOrigin.OUTCOME, "day": 0}, {"origin": LabelOrigin.JUDGE, "day": 9}),
        ({"day": 9}, {"day": 0}),
        ({"day": 0}, {"day": None}),
    ],
)
def test_of_equal_inputs_the_most_trusted_example_is_kept_then_the_newest(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    kept, dropped = example("Hello", id="kept", **better), example("hello ", id="dropped", **worse)
    for order in ([kept, dropped], [dropped, kept]):
        assert deduplicated(order).examples == (kept,)


def test_two_right_answers_of_one_origin_are_a_conflict_and_the_newest_counts() -> None:
    old, new = example("hello", id="old", answer="greeting"), example("hello", id="new", answer="spam", day=1)
    found = deduplicated([old, new, replace(old, id="older")])
    assert (found.examples, found.conflicts) == ((new,), 1)


def test_answers_of_other_origins_or_in_another_case_are_no_conflict() -> None:
    person = example("hello", id="person", answer="greeting")
    judge = example("hello", id="judge", answer="spam", origin=LabelOrigin.JUDGE)
    same = example("hello", id="same", answer="Greeting ", day=-1)
    found = deduplicated([judge, person, same])
    assert (found.examples, found.conflicts) == ((person,), 0)


@given(drawn)
def test_every_input_is_kept_once_and_in_order(examples: list[LabelledExample]) -> None:
    kept = deduplicated(examples).examples
    digests = [content_digest(one) for one in kept]
    assert len(set(digests)) == len(digests)
    assert set(digests) == {content_digest(one) for one in examples}
    assert [one for one in examples if one in kept] == list(kept)
