"""The lies that a lying model tells are lies: they say what no fact says, whatever the incident."""

from __future__ import annotations

import re

import pytest

from benchmarks.lies import KINDS, lying
from perf_pipeline.monitoring.prose.faithfulness import unfaithful
from tests.prose_facts import INCIDENTS

SEEDS = range(5)
ADVICE = "Compare failing traces."
TAKES_WORDS_OF_THE_FACTS = {"before and after swapped", "the other way", "denied", "the wrong way back", "without end"}
"""Kinds whose lie may consist of words and figures of the facts, in another order or with another meaning."""


def truthful(facts: list[str]) -> tuple[str, str, str]:
    likely = next(fact for fact in reversed(facts) if not unfaithful(fact, facts))
    return facts[0], likely, ADVICE


def pieces(texts: list[str] | tuple[str, ...]) -> set[str]:
    return {piece.strip(".,;:()").lower() for piece in " ".join(texts).split(" ")}


@pytest.mark.parametrize("incident", INCIDENTS)
def test_before_the_lie_the_prose_is_faithful(incident: str) -> None:
    facts = INCIDENTS[incident]
    *told, advice = truthful(facts)
    assert not any(unfaithful(text, facts) for text in told)
    assert not unfaithful(advice, facts, advice=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_lie_is_caught(kind: str) -> None:
    for facts in INCIDENTS.values():
        for seed in SEEDS:
            told, cause, advice = lying(*truthful(facts), facts, kind, seed)
            caught = unfaithful(told, facts) or unfaithful(cause, facts) or unfaithful(advice, facts, advice=True)
            assert caught, (told, cause, advice)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - TAKES_WORDS_OF_THE_FACTS - {"nothing", "another unit"}))
def test_a_lie_brings_in_what_no_fact_holds(kind: str) -> None:
    for facts in INCIDENTS.values():
        known = pieces(facts) | pieces((ADVICE,))
        for seed in SEEDS:
            told = lying(*truthful(facts), facts, kind, seed)
            assert pieces(told) - known, told


@pytest.mark.parametrize("kind", KINDS)
def test_a_lie_differs_from_the_truth_and_is_the_same_for_the_same_seed(kind: str) -> None:
    for facts in INCIDENTS.values():
        told = lying(*truthful(facts), facts, kind, 1)
        assert told != truthful(facts)
        assert told == lying(*truthful(facts), facts, kind, 1)


def test_what_is_swapped_goes_the_other_way() -> None:
    facts = INCIDENTS["success"]
    told, _, _ = lying(*truthful(facts), facts, "before and after swapped", 1)
    assert "fell from 12% to 85%" in told
    told, _, _ = lying(*truthful(facts), facts, "the other way", 1)
    assert "rose from 85% to 12%" in told
    told, _, _ = lying(*truthful(facts), facts, "denied", 1)
    assert "did not fall" in told
    _, _, advice = lying(*truthful(facts), facts, "the wrong way back", 1)
    assert advice == "Roll back to 44d07be."


@pytest.mark.parametrize("kind", ["another figure", "another digit", "rounded"])
def test_a_changed_figure_is_one_that_no_fact_holds(kind: str) -> None:
    number = re.compile(r"\d[\d,]*(?:\.\d+)?")
    for facts in INCIDENTS.values():
        known = {float(one.replace(",", "")) for fact in facts for one in number.findall(fact)}
        for seed in range(50):
            told = " ".join(lying(*truthful(facts), facts, kind, seed))
            said = {float(one.replace(",", "")) for one in number.findall(told)}
            assert said - known, told


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError, match="a white lie"):
        lying("a", "b", "c", [], "a white lie", 1)
