"""People hear once how an optimization ended, in words of its own for each end, where they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.notifications.approval_messages import question_key
from perf_pipeline.notifications.optimization_messages import TITLES, result_message, result_messages
from perf_pipeline.notifications.outbox import key_at
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.rendering import render
from perf_pipeline.notifications.summary_words import optimization_line
from perf_pipeline.optimization.standing import OptimizationStanding, standing_of
from perf_pipeline.records import OptimizationRun, RequestState, RunOutcome
from tests.builders import shipped_fleet
from tests.message_content import HOSTILE
from tests.optimization_fixtures import SIMULATED, fleet_with, target
from tests.run_builders import NOON, a_request, a_run

AUTOMATIC, ASKED = "InboundAgent", "StrategyAgent"
REAL = SIMULATED.model_copy(update={"model": "openai/gpt-4.1-mini"})
SCORES: Mapping[str, Any] = {
    "baseline_score": 60.4,
    "candidate_score": 81.6,
    "gain_points": 21.2,
    "held_out_items": 60,
    "version": "0123456789abcdef",
}


def fleet(task_model: Any = REAL) -> FleetConfig:
    targets = {agent: target(agent, Path("examples.jsonl")) for agent in (AUTOMATIC, ASKED)}
    return fleet_with(targets, task=task_model)


def ended(outcome: RunOutcome, agent: str = AUTOMATIC, **changes: Any) -> OptimizationRun:
    return a_run(agent=agent, outcome=outcome, **({"said": "Said.", "spent_usd": 1.234} | changes))


def shown(run: OptimizationRun, of: FleetConfig | None = None) -> str:
    message = result_message(run, of or fleet())
    return f"{message.title}\n{plain_text(message)}"


def test_a_promotion_says_what_it_gained_what_it_cost_and_how_to_take_it_back() -> None:
    text = shown(ended(RunOutcome.PROMOTED, **SCORES))
    assert "🚀 InboundAgent got better: BootstrapFewShot promoted a new version" in text
    assert "Score: 60 → 82 points on 60 held-out tasks" in text
    assert "Cost: $1.23 of at most $5" in text
    assert "Version: 0123456789abcdef; take it back with 'perf-pipeline rollback InboundAgent'" in text
    assert "Why" not in text


@pytest.mark.parametrize("outcome", [outcome for outcome in RunOutcome if outcome is not RunOutcome.PROMOTED])
def test_whatever_is_not_promoted_says_why_and_names_no_way_back(outcome: RunOutcome) -> None:
    text = shown(ended(outcome, **SCORES))
    assert "Why: Said." in text
    assert "rollback" not in text
    assert "🚀" not in text


def test_each_outcome_has_a_title_of_its_own_that_names_the_agent() -> None:
    titles = {result_message(ended(outcome), fleet()).title for outcome in RunOutcome}
    assert len(titles) == len(TITLES) == len(RunOutcome)
    assert all("InboundAgent" in title and "{" not in title for title in titles)


def test_scores_are_not_shown_where_there_are_none() -> None:
    assert "Score" not in shown(ended(RunOutcome.REFUSED))


@pytest.mark.parametrize(
    ("spent", "words"),
    [(0.0, "$0.00 of"), (0.004, "less than $0.01 of"), (0.01, "$0.01 of"), (1234.5, "$1,234.50 of")],
)
def test_small_spending_is_not_said_to_be_none(spent: float, words: str) -> None:
    assert f"Cost: {words}" in shown(ended(RunOutcome.REJECTED, spent_usd=spent))


def test_a_simulated_model_is_said_and_a_real_one_is_not() -> None:
    run = ended(RunOutcome.PROMOTED, **SCORES)
    assert "of at most $5 (simulated model)" in shown(run, fleet(SIMULATED))
    assert "simulated" not in shown(run, fleet(REAL))


def test_an_agent_that_has_no_target_or_is_gone_by_now_is_told_of_all_the_same() -> None:
    run = ended(RunOutcome.REFUSED)
    assert "simulated" not in shown(run, shipped_fleet())
    assert [note.key for note in result_messages(replace(run, agent="Gone"), fleet(), NOON)]
    assert "Gone was not run" in shown(replace(run, agent="Gone"))


def test_a_run_that_has_not_ended_is_not_told_of() -> None:
    with pytest.raises(ValueError, match="r1 has not ended"):
        result_messages(a_run(), fleet(), NOON)


def test_what_was_asked_for_is_answered_in_the_thread_of_the_question_and_nothing_else_is() -> None:
    [answer] = result_messages(ended(RunOutcome.PROMOTED, ASKED), fleet(), NOON)
    assert answer.thread == key_at(question_key("r1"), answer.target)
    [alone] = result_messages(ended(RunOutcome.PROMOTED, AUTOMATIC), fleet(), NOON)
    assert alone.thread is None
    assert {answer.kind, alone.kind} == {NotificationKind.OPTIMIZATION}


def test_a_request_is_told_of_under_one_key_however_it_ends_and_whenever() -> None:
    first = result_messages(ended(RunOutcome.PROMOTED, **SCORES), fleet(), NOON)
    again = result_messages(ended(RunOutcome.STALE), fleet(), NOON + timedelta(days=1))
    given_up = result_messages(a_run(), fleet(), NOON, failed="Too often.")
    assert [note.key for note in first] == [note.key for note in again] == [note.key for note in given_up]
    [other] = result_messages(replace(ended(RunOutcome.PROMOTED), request_id="r2"), fleet(), NOON)
    assert other.key != first[0].key
    assert other.key != question_key("r2")


def test_a_run_that_is_given_up_says_so_and_blames_nobody() -> None:
    [note] = result_messages(a_run(said="Earlier."), fleet(), NOON, failed="It died 12 times.")
    assert note.message.title == "🔌 BootstrapFewShot for InboundAgent failed, and says nothing about the agent"
    assert "Why: It died 12 times." in plain_text(note.message)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_was_said_calls_nobody_and_forges_no_line(hostile: str) -> None:
    run = ended(RunOutcome.REJECTED, said=hostile)
    for note in result_messages(run, fleet(), NOON):
        rendered = render(note)
        harmless = render(replace(note, message=result_message(replace(run, said="x"), fleet())))
        assert len(rendered.plain.splitlines()) <= len(harmless.plain.splitlines())
        for call in ("<!", "@here", "@everyone", "<@U"):
            assert call not in rendered.slack_text
            assert call not in rendered.plain


STANDING = OptimizationStanding(AUTOMATIC, "BootstrapFewShot", RequestState.FINISHED, (10, 25))


def line_of(standing: OptimizationStanding) -> str:
    return "".join(piece.text for piece in optimization_line(standing))


def standing(outcome: RunOutcome | None, state: RequestState, **scores: Any) -> OptimizationStanding:
    runs = {"r1": a_run(outcome=outcome, **scores)} if outcome else {}
    return standing_of(a_request(state=state), shipped_fleet(), runs)


def test_a_promotion_is_summed_up_with_its_gain_and_its_points() -> None:
    assert line_of(standing(RunOutcome.PROMOTED, RequestState.FINISHED, **SCORES)) == (
        "InboundAgent: BootstrapFewShot (finished), predicted 10 to 25% better, "
        "measured +35% (60 → 82 points on held-out tasks)"
    )


@pytest.mark.parametrize("outcome", [RunOutcome.REJECTED, RunOutcome.TOO_FEW_ITEMS, RunOutcome.BUDGET_EXHAUSTED])
def test_what_was_not_promoted_is_summed_up_as_kept_without_a_gain(outcome: RunOutcome) -> None:
    said = line_of(standing(outcome, RequestState.FINISHED, **SCORES))
    assert said.endswith("stays as it was: nothing was proven to be better")
    assert "measured" not in said
    assert "points" not in said


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        (RunOutcome.REFUSED, RequestState.REFUSED, "could not be run"),
        (RunOutcome.INFRASTRUCTURE_FAILURE, RequestState.FAILED, "failed"),
        (RunOutcome.CANCELLED, RequestState.CANCELLED, "cancelled"),
        (None, RequestState.FAILED, "failed"),
    ],
)
def test_what_came_to_nothing_is_summed_up_without_a_prediction(
    outcome: RunOutcome | None, state: RequestState, words: str
) -> None:
    assert line_of(standing(outcome, state)) == f"InboundAgent: BootstrapFewShot ({words})"


def test_what_is_interrupted_for_now_is_still_to_be_expected() -> None:
    said = line_of(standing(RunOutcome.INFRASTRUCTURE_FAILURE, RequestState.READY))
    assert said == "InboundAgent: BootstrapFewShot (triggered), predicted 10 to 25% better"


def test_a_gain_that_nobody_measured_is_said_not_to_be() -> None:
    assert line_of(STANDING).endswith("predicted 10 to 25% better, gain not measured yet")


def test_a_promotion_from_nothing_is_not_said_to_be_unmeasured() -> None:
    scores = {**SCORES, "baseline_score": 0.0, "candidate_score": 40.0, "gain_points": 40.0}
    said = line_of(standing(RunOutcome.PROMOTED, RequestState.FINISHED, **scores))
    assert "0 → 40 points" in said
    assert "not measured" not in said


def test_what_another_promotion_overtook_is_not_said_to_be_unproven() -> None:
    assert "nothing was proven" not in line_of(standing(RunOutcome.STALE, RequestState.FINISHED, **SCORES))
