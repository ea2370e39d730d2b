"""A request is run to one end: gated, paid for once, promoted at most once; what is out of order promotes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dspy_modules.demo_agents import INBOUND_EXAMPLES, InboundAgent
from dspy_modules.programs import signature_fingerprint, state_of
from dspy_modules.serving import AgentProgram
from perf_pipeline.fleet_model import Approval
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import (
    ApprovalRecord,
    ApprovalState,
    OptimizationRequest,
    ProgramAlias,
    ProgramVersion,
    RequestState,
    RunOutcome,
    SpendPurpose,
)
from perf_pipeline.runs.tools import DATASET, RunProgress, RunRefused
from tests.optimization_fixtures import SIMULATED, MakeWorkshop, Workshop, state_of_request, workshops, write_examples


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[MakeWorkshop]:
    with workshops(tmp_path) as make:
        yield make


def test_a_better_program_is_promoted_and_agents_run_it(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()
    result = made.run()
    run = result.run
    assert run.outcome is RunOutcome.PROMOTED
    assert run.gain_points is not None
    assert run.gain_points >= 2
    assert run.held_out_items == 60
    assert state_of_request(made) is RequestState.FINISHED
    agent = AgentProgram("InboundAgent", InboundAgent, made.files.programs)
    assert (agent.version, agent.trouble) == (run.version, None)
    assert "simulated" in result.report
    [told] = made.book.notifications()
    assert told.message.title.startswith("🚀 InboundAgent got better")


def test_what_was_run_is_not_run_again(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()
    first = made.run()
    said = len(made.progress)
    assert made.run() == first
    assert len(made.progress) == said
    assert len(made.book.alias_moves("InboundAgent", "production")) == 1
    assert len(made.book.notifications()) == 1


def test_answers_are_kept_only_while_they_are_needed(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()
    made.run()
    assert made.book.paid_answers("r1") == {}


def test_shuffled_labels_are_not_promoted(workshop: MakeWorkshop, tmp_path: Path) -> None:
    asked = [inputs for inputs, _ in INBOUND_EXAMPLES]
    answers = [answer for _, answer in INBOUND_EXAMPLES]
    # Five and a prime: every text gets the label of another group, and all labels stay as frequent.
    shuffled = [(inputs, answers[(index * 37 + 11) % len(answers)]) for index, inputs in enumerate(asked)]
    made = workshop(examples=write_examples(tmp_path / "shuffled.jsonl", "InboundAgent", rows=shuffled))
    made.request()
    run = made.run().run
    assert run.outcome is RunOutcome.REJECTED
    assert made.book.program_alias("InboundAgent", "production") is None


def test_too_few_examples_are_refused_with_how_many_more_are_needed(workshop: MakeWorkshop, tmp_path: Path) -> None:
    made = workshop(examples=write_examples(tmp_path / "few.jsonl", "InboundAgent", count=12))
    made.request()
    run = made.run().run
    assert run.outcome is RunOutcome.REFUSED
    assert "18 more" in run.said
    assert run.spent_usd == 0
    assert state_of_request(made) is RequestState.REFUSED


def test_no_item_is_ever_held_out_twice(workshop: MakeWorkshop) -> None:
    made = workshop()
    held: list[set[str]] = []
    for number in (1, 2):
        made.request(f"r{number}")
        made.run(f"r{number}")
        data = made.files.read_run_file(f"r{number}", DATASET)
        if data:
            held.append({item["id"] for item in json.loads(data)["holdout"]})
    assert len(held) == 1, "all were seen by the first run, so the second one has nothing new to be judged on"
    second = made.book.optimization_run("r2")
    assert second
    assert second.outcome is RunOutcome.REFUSED


@pytest.mark.parametrize("cap", [0.0001, 0.004, 0.02])
def test_a_cap_is_kept_and_ends_in_no_promotion_where_it_is_too_small(workshop: MakeWorkshop, cap: float) -> None:
    made = workshop()
    made.request(max_cost_usd=cap)
    run = made.run().run
    assert run.outcome is RunOutcome.BUDGET_EXHAUSTED
    assert run.spent_usd <= cap
    assert made.book.program_alias("InboundAgent", "production") is None


def test_a_cap_that_ends_gepas_search_early_keeps_the_best_so_far(workshop: MakeWorkshop) -> None:
    made = workshop("StrategyAgent")
    made.request(agent="StrategyAgent", approval=Approval.AUTOMATIC, max_cost_usd=0.07)
    result = made.run()
    assert result.run.outcome in (RunOutcome.PROMOTED, RunOutcome.REJECTED)
    assert "The search ended early" in result.report
    assert result.run.spent_usd <= 0.07
    spent = {part.purpose for part in made.book.spent_by_purpose("r1")}
    assert spent == {SpendPurpose.GATE, SpendPurpose.TASK, SpendPurpose.REFLECTION}


def test_nothing_is_run_without_the_approval_that_it_needs(workshop: MakeWorkshop) -> None:
    made = workshop("StrategyAgent")
    request = made.request(agent="StrategyAgent", approval=Approval.REQUIRED, state=RequestState.READY)
    with pytest.raises(RunRefused, match="Nobody has approved"):
        made.run()
    assert made.book.optimization_run("r1") is None
    asked_for_less = replace(request, max_cost_usd=3.0)
    approve(made, asked_for_less)
    with pytest.raises(RunRefused, match="no longer what was approved"):
        made.run()
    assert made.book.spent_by_purpose("r1") == []


def approve(made: Workshop, request: OptimizationRequest) -> None:
    approval = ApprovalRecord(
        request.id,
        fingerprint(request),
        ApprovalState.APPROVED,
        made.now,
        made.now + timedelta(hours=1),
        "ana",
        "CLI",
        made.now,
    )
    assert made.book.ask_approval(approval, [])


def test_a_run_that_is_under_way_is_not_run_beside_itself(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()
    beside: list[str] = []

    def again(_: RunProgress) -> None:
        made.on_progress = None
        with pytest.raises(RunRefused, match="Another process"):
            made.run()
        beside.append("tried")

    made.on_progress = again
    assert made.run().run.outcome is RunOutcome.PROMOTED
    assert beside == ["tried"]


def test_a_version_that_was_promoted_meanwhile_is_not_overrun(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()

    def promote_another(progress: RunProgress) -> None:
        if progress.part == "scoring the candidate":
            made.on_progress = None
            promote(made)

    made.on_progress = promote_another
    run = made.run().run
    assert run.outcome is RunOutcome.STALE
    alias = made.book.program_alias("InboundAgent", "production")
    assert alias
    assert (alias.moved_by, alias.sequence) == ("another", 1)
    assert state_of_request(made) is RequestState.FINISHED


def promote(made: Workshop, program: Any = None) -> str:
    program = program or InboundAgent()
    content = {"agent": "InboundAgent", "signature": signature_fingerprint(program), "state": state_of(program)}
    version, sha256 = made.files.add_version("InboundAgent", content, {})
    made.book.register_version(ProgramVersion("InboundAgent", version, sha256, "by hand", None, made.now))
    known = made.book.program_alias("InboundAgent", "production")
    sequence = known.sequence + 1 if known else 1
    alias = ProgramAlias("InboundAgent", "production", version, sequence, made.now, "another", "by hand")
    assert made.book.move_alias(alias)
    return version


def test_a_baseline_whose_file_was_changed_is_not_compared_with(workshop: MakeWorkshop) -> None:
    made = workshop()
    version = promote(made)
    file = made.folder / "lake" / "programs" / "InboundAgent" / "versions" / f"{version}.json"
    file.write_bytes(file.read_bytes() + b" ")
    made.request()
    run = made.run().run
    assert run.outcome is RunOutcome.REFUSED
    assert "not what was registered" in run.said
    assert run.spent_usd == 0


def test_settings_that_were_made_for_another_optimizer_since_are_refused(workshop: MakeWorkshop) -> None:
    made = workshop(settings={"max_metric_calls": 50})
    made.request()
    run = made.run().run
    assert run.outcome is RunOutcome.REFUSED
    assert "are for another optimizer than BootstrapFewShot" in run.said


def test_a_broken_character_in_an_example_breaks_no_run(workshop: MakeWorkshop, tmp_path: Path) -> None:
    rows = [*INBOUND_EXAMPLES[:-1], ({"message": "half of a pair: \ud83d"}, {"intent": "unsubscribe"})]
    made = workshop(examples=write_examples(tmp_path / "broken.jsonl", "InboundAgent", rows=rows))
    made.request()
    assert made.run().run.outcome in (RunOutcome.PROMOTED, RunOutcome.REJECTED)


def test_another_agents_damaged_pointer_holds_up_no_promotion(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.book.register_version(ProgramVersion("Other", "v", "sha", "run", None, made.now))
    assert made.book.move_alias(ProgramAlias("Other", "production", "v", 1, made.now, "test", ""))
    pointer = made.folder / "lake" / "programs" / "Other" / "production.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("")
    made.request()
    assert made.run().run.outcome is RunOutcome.PROMOTED
    assert json.loads(pointer.read_text())["version"] == "v"


def test_a_key_that_is_not_set_is_named_and_nothing_is_spent(workshop: MakeWorkshop) -> None:
    made = workshop(models={"task": SIMULATED.model_copy(update={"api_key_variable": "OPENAI_API_KEY"})})
    made.request()
    run = made.run().run
    assert run.outcome is RunOutcome.REFUSED
    assert "OPENAI_API_KEY is not set" in run.said
