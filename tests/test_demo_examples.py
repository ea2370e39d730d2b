"""The labelled texts of the demo fleet are many, varied and do not say their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, combinations
from typing import get_args

import pytest

from dspy_modules.demo_agents import FLEET, INBOUND_EXAMPLES, Intent, Step, Strategy, Verdict
from dspy_modules.demo_examples import ACCOUNT_BRIEFS, INBOUND_MESSAGES
from dspy_modules.demo_follow_ups import CONVERSATION_STEPS, DRAFT_VERDICTS

Texts = Mapping[str, tuple[str, ...]]
COLLECTIONS = pytest.mark.parametrize(
    "texts",
    [INBOUND_MESSAGES, ACCOUNT_BRIEFS, CONVERSATION_STEPS, DRAFT_VERDICTS],
    ids=["messages", "briefs", "conversations", "drafts"],
)
NEAR_DUPLICATE = 0.6
"""Jaccard's index of the words of two texts from which on they count as the same."""


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))


def likeness(text: str, other: str) -> float:
    return len(words_of(text) & words_of(other)) / len(words_of(text) | words_of(other))


@pytest.mark.parametrize(
    ("texts", "least"),
    [(INBOUND_MESSAGES, 30), (ACCOUNT_BRIEFS, 30), (CONVERSATION_STEPS, 8), (DRAFT_VERDICTS, 8)],
    ids=["messages", "briefs", "conversations", "drafts"],
)
def test_each_label_has_enough_texts(texts: Texts, least: int) -> None:
    assert {label: len(group) for label, group in texts.items() if len(group) < least} == {}


@COLLECTIONS
def test_no_text_nearly_repeats_another(texts: Texts) -> None:
    pairs = combinations(chain.from_iterable(texts.values()), 2)
    assert [pair for pair in pairs if likeness(*pair) >= NEAR_DUPLICATE] == []


def test_the_labels_are_those_of_the_agents() -> None:
    assert tuple(INBOUND_MESSAGES) == get_args(Intent)
    assert tuple(ACCOUNT_BRIEFS) == get_args(Strategy)
    assert tuple(CONVERSATION_STEPS) == get_args(Step)
    assert tuple(DRAFT_VERDICTS) == get_args(Verdict)


def test_each_text_is_an_example_under_its_label() -> None:
    assert [(asked["message"], answered["intent"]) for asked, answered in INBOUND_EXAMPLES] == [
        (text, label) for label, group in INBOUND_MESSAGES.items() for text in group
    ]
    assert {agent.name: len(agent.examples) for agent in FLEET if agent.examples} == {
        "StrategyAgent": 150,
        "InboundAgent": 150,
        "FollowUpAgent": 32,
        "AuditAgent": 24,
    }


@COLLECTIONS
def test_hardly_a_text_says_the_name_of_its_label(texts: Texts) -> None:
    said = [
        text
        for label, group in texts.items()
        for text in group
        if re.search(rf"\b{label.replace('_', ' ')}\b", text, re.IGNORECASE)
    ]
    assert len(said) <= 1
