"""What people read about a run says all that matters, and nothing in it is drawn by text from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from perf_pipeline.optimization.gate import GatePolicy, PairedScore, judge_candidate
from perf_pipeline.optimization.run_report import (
    HEADLINES,
    LONGEST_VALUE,
    MOST_ITEMS,
    Cost,
    HeldOutItem,
    PredictorChange,
    RunReport,
    plain,
    report_markdown,
)
from perf_pipeline.records import OptimizationRun, RunOutcome
from tests.run_builders import a_run

HOSTILE = (
    "a | b | c",
    "|---|---|",
    "x\n| forged | 100.0 | 99 |\n",
    "`code` ``` ~~~",
    "\n```\n# Forged\n```diff\n",
    "````\n# Forged",
    "</details><script>alert(1)</script>",
    "<https://evil.example>",
    "\n\n# Forged headline\n\n",
    "\r\r## Forged\r",
    "a\u2028# b\u2029\x0b\x0c\x85c",
    "\\`",
    "trailing \\",
    "    indented",
)
LINKS = (
    "[the report](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "[the report][1]\n\n[1]: https://evil.example",
)

DEMO = {"message": "Stop writing to me.", "intent": "unsubscribe"}


def change(before: str = "Old.", after: str = "New.", **demos: Any) -> PredictorChange:
    return PredictorChange("classify", before, after, demos.get("had", ()), demos.get("has", ()))


def item(before: float, after: float, answer: Mapping[str, Any] | None = None, message: str = "Hello") -> HeldOutItem:
    return HeldOutItem({"message": message}, {"intent": "interested"}, before, after, answer)


def report(run: OptimizationRun | None = None, **parts: Any) -> str:
    ended = a_run(outcome=RunOutcome.PROMOTED, said="It gains 20.0 points.", version="v" * 16)
    return report_markdown(RunReport(**({"run": run or ended, "is_simulated": False} | parts)))


def full_report(text: str, *, simulated: bool = False) -> str:
    """A report with the text at every place to which text from outside comes; no sentence begins with it."""
    verdict = judge_candidate([PairedScore(str(n), 0, 1, text) for n in range(20)], GatePolicy())
    demo = {"message": text, "intent": text}
    items = (
        HeldOutItem({"message": text}, {"intent": text}, 0, 1, {"intent": text}),
        HeldOutItem({"message": text}, {"intent": text}, 1, 0, None),
    )
    changes = [
        PredictorChange(text, "Old.\nKept.", text, (), (demo,)),
        PredictorChange("second", f"Before\n{text}\nAfter", f"Before\n{text}\nElse", (demo,), ()),
    ]
    return report(
        a_run(agent=text, outcome=RunOutcome.REJECTED, said=f"It got worse on {text}."),
        is_simulated=simulated,
        story=(f"28 examples of {text}", "20 new ones"),
        sizes=(20, 8, 20),
        verdict=verdict,
        changes=changes,
        items=items,
        costs=(Cost("gate", 40, 0.5), Cost("task", 1200, 1.25)),
        stopped=text,
    )


def tokens(markdown: str) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [token for block in parsed for token in (block, *(block.children or ()))]


def shape(markdown: str) -> Counter[str]:
    """How many of each kind of block there are, and of whatever takes a reader elsewhere."""
    counted = ("heading_open", "tr_open", "table_open", "fence", "code_block", "html_block", "html_inline", "hr")
    found = Counter(token.type for token in tokens(markdown))
    return Counter({kind: found[kind] for kind in (*counted, "link_open", "image", "list_item_open") if found[kind]})


def test_the_report_of_a_promotion_says_what_changed_what_it_gained_and_what_it_cost() -> None:
    verdict = judge_candidate([PairedScore(str(n), 0.5, 0.5 + (n % 4) / 8) for n in range(20)], GatePolicy())
    shown = report(
        sizes=(20, 8, 20),
        story=("12 labelled by correction",),
        verdict=verdict,
        changes=[change()],
        costs=[Cost("gate", 40, 0.5), Cost("task", 1200, 1.25)],
    )
    for words in (
        "# BootstrapFewShot for InboundAgent",
        "**Promoted: agents take the new version up within a minute.**",
        "It gains 20.0 points.",
        "## Scores on 20 held-out items",
        "| before | 50.0 |",
        "| after | 68.8 |",
        "| gain | 18.8 |",
        "15 items won, 0 lost.",
        "20 for training, 8 for validation, 20 held out.",
        "- 12 labelled by correction",
        "| | calls | US dollars |",
        "| task | 1,200 | 1.2500 |",
        "1.7500 of at most 5 spent.",
        "-Old.",
        "+New.",
        f"Version {'v' * 16}, made from the program as it stands in the code. Request r1, run run-of-r1.",
    ):
        assert words in shown
    assert "simulated" not in shown


@pytest.mark.parametrize("outcome", RunOutcome)
def test_each_outcome_has_a_headline_of_its_own(outcome: RunOutcome) -> None:
    shown = report(a_run(outcome=outcome))
    assert f"**{HEADLINES[outcome]}**" in shown
    assert len(set(HEADLINES.values())) == len(RunOutcome)
    assert ("Promoted: " in shown) is (outcome is RunOutcome.PROMOTED)


def test_a_run_that_has_not_ended_is_not_said_to_have() -> None:
    assert "**Running.**" in report(a_run())


def test_a_simulated_model_is_said_and_its_dollars_are() -> None:
    shown = report(is_simulated=True, costs=[Cost("task", 1, 0.1)])
    assert "**simulated** language model: its figures say nothing about a real one" in shown
    assert "simulated dollars" in shown
    assert "US dollars" not in shown


def test_a_run_that_was_refused_shows_no_scores_and_no_examples() -> None:
    shown = report(a_run(outcome=RunOutcome.REFUSED, said="OPENAI_API_KEY is not set."))
    assert "OPENAI_API_KEY is not set." in shown
    assert "Scores" not in shown
    assert "## Examples" not in shown
    assert "0.0000 of at most 5 spent." in shown
    assert "Version none" in shown


def test_why_the_search_ended_early_is_said() -> None:
    assert "The search ended early: No money is left." in report(stopped="No money is left.")
    assert "ended early" not in report()


def test_won_and_lost_items_are_shown_apart_and_equal_ones_are_not() -> None:
    shown = report(
        items=[
            item(0, 1, {"intent": "interested", "reasoning": "long"}, "won"),
            item(1, 0, {"intent": "not_now"}, "lost"),
            item(1, 0.5, None, "failed"),
            item(1, 1, {"intent": "interested"}, "equal"),
        ]
    )
    _, won, lost = shown.partition("## Won: 1\n")[0], *shown.partition("## Won: 1\n")[2].split("## Lost: 2\n")
    assert "- `message: won` → `intent: interested`; right is `intent: interested`" in won
    assert "- `message: lost` → `intent: not_now`; right is" in lost
    assert "- `message: failed` → no answer; right is" in lost
    assert "equal" not in shown
    assert "long" not in shown


def test_long_lists_are_cut_and_the_rest_is_counted() -> None:
    has = [DEMO | {"message": f"demo {number}"} for number in range(MOST_ITEMS + 3)]
    items = [item(0, 1, {"intent": "interested"}, f"item {number}") for number in range(MOST_ITEMS + 2)]
    shown = report(changes=[change("Same.", "Same.", has=has)], items=items)
    assert shown.count("- `message: demo ") == shown.count("- `message: item ") == MOST_ITEMS
    assert "Demonstrations: 13 added, 0 removed." in shown
    assert "- … and 3 more" in shown
    assert "## Won: 12" in shown
    assert "- … and 2 more" in shown
    assert "more" not in report(items=items[:MOST_ITEMS])


def test_a_long_value_is_cut() -> None:
    shown = report(items=[item(0, 1, {"intent": "interested"}, "x" * 10_000)])
    assert "x" * (LONGEST_VALUE - len("message: ")) + "…`" in shown
    assert len(shown) < 2000


def test_instructions_are_shown_as_a_difference() -> None:
    shown = report(changes=[change("Read it.\nAnswer.\nBe short.", "Read it.\nAnswer in one word.\nBe short.")])
    [fence] = [token for token in tokens(shown) if token.type == "fence"]
    assert fence.info == "diff"
    assert fence.content.splitlines()[3:] == [" Read it.", "-Answer.", "+Answer in one word.", " Be short."]


def test_a_predictor_that_did_not_change_is_not_listed() -> None:
    assert "What changed" not in report(changes=[change("Same.", "Same.", had=[DEMO], has=[dict(DEMO)])])


def test_demonstrations_are_added_and_removed_by_what_they_hold() -> None:
    kept, left = {"augmented": True, **DEMO}, DEMO | {"message": "old"}
    shown = report(changes=[change("Same.", "Same.", had=[kept, left], has=[dict(reversed(kept.items())), {"a": 1}])])
    assert "Demonstrations: 1 added, 1 removed." in shown
    assert "- `a: 1`" in shown
    assert "Instructions:" not in shown


def test_what_dspy_notes_beside_a_demonstration_is_not_shown() -> None:
    shown = report(changes=[change(has=[{"augmented": True, **DEMO}])])
    assert "- `message: Stop writing to me.; intent: unsubscribe`" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_draws_no_row_closes_no_fence_and_adds_no_block(text: str) -> None:
    assert shape(full_report(text)) == shape(full_report("harmless"))


@settings(max_examples=70, deadline=None)
@given(text=st.text(st.sampled_from("|`<>\n\r\\ -=~a\u2028\x0b\x85:") | st.characters(codec="utf-8"), max_size=30))
def test_whatever_the_text_holds_the_report_keeps_its_tables_and_fences(text: str) -> None:
    expected, found = shape(full_report("harmless")), shape(full_report(text))
    # Where the text is what stood there before, there is no difference to show.
    for kind in ("tr_open", "table_open", "html_block", "html_inline", "code_block", "image"):
        assert found[kind] == expected[kind], kind
    assert found["fence"] == expected["fence"]
    fences = [token.content for token in tokens(full_report(text)) if token.type == "fence"]
    assert all(line[:1] in "+- @" for fence in fences for line in fence.split("\n"))


@pytest.mark.parametrize("text", [*LINKS, "` [the report](https://evil.example) `"])
def test_no_text_from_a_task_begins_a_link(text: str) -> None:
    """Values, which are what customers wrote, stand in code; instructions in a fence."""
    demo = {"message": text}
    shown = report(
        changes=[PredictorChange("classify", "Old.", text, (), (demo,))],
        items=[HeldOutItem(demo, demo, 0, 1, demo), HeldOutItem(demo, demo, 1, 0, None)],
    )
    assert not shape(shown).keys() & {"link_open", "image"}


@pytest.mark.parametrize("text", LINKS[:2])
def test_no_words_of_a_run_begin_a_link(text: str) -> None:
    """`said` quotes exceptions of users' code and values of `slice_by`, which customers write."""
    assert not shape(full_report(text)).keys() & {"link_open", "image"}


@pytest.mark.parametrize("text", ["# Promoted", "- promoted", "1. promoted", "**Promoted**", "***", "```` x", "~~~ x"])
def test_no_words_of_a_run_begin_a_block_or_are_emphasized(text: str) -> None:
    shown, harmless = (tokens(report(a_run(outcome=RunOutcome.REJECTED, said=said))) for said in (text, "harmless"))
    assert [token.type for token in shown] == [token.type for token in harmless]


@given(st.text(st.sampled_from("|`<>[]()*_#+-=~.1&\\ ") | st.characters(codec="utf-8"), max_size=40))
def test_plain_text_is_one_paragraph_of_itself_whatever_it_holds(text: str) -> None:
    shown = [token for token in tokens(plain(text)) if token.type != "text"]
    assert {token.type for token in shown} <= {"paragraph_open", "inline", "paragraph_close", "text_special"}


def test_the_version_a_run_was_made_from_is_named() -> None:
    assert "made from base" in report(replace(a_run(outcome=RunOutcome.REJECTED), baseline="base", version="new"))
