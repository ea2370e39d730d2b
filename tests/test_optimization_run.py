"""A request is run to one end: gated, paid for once, promoted at most once; what is out of order promotes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dspy_modules.demo_agents import INBOUND_EXAMPLES, InboundAgent
from dspy_modules.programs import signature_fingerprint, state_of
from dspy_modules.serving import AgentProgram
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_model import Approval
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.optimization.run_plan import MAX_ATTEMPTS
from perf_pipeline.records import (
    ApprovalRecord,
    ApprovalState,
    OptimizationRequest,
    OptimizationRun,
    ProgramAlias,
    ProgramVersion,
    RequestState,
    RunOutcome,
    SpendPurpose,
)
from perf_pipeline.runs.tools import DATASET, RunInterrupted, RunProgress, RunRefused
from tests.optimization_fixtures import SIMULATED, Workshop, fleet_with, target, write_examples

MakeWorkshop = Callable[..., Workshop]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[MakeWorkshop]:
    opened: list[Workshop] = []

    def make(agent: str = "InboundAgent", examples: Path | None = None, **changes: Any) -> Workshop:
        file = examples or write_examples(tmp_path / f"{agent}.jsonl", agent)
        models = changes.pop("models", {})
        made = Workshop(tmp_path, fleet_with({agent: target(agent, file, **changes)}, **models))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.book.close()


def state_of_request(made: Workshop, request_id: str = "r1") -> RequestState:
    _, request = made.book.approval_and_request(request_id)
    assert request
    return request.state


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


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[FleetConfig, OptimizationRun]:
    """A run of GEPA, and the fleet that it was of."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    examples = write_examples(folder / "examples.jsonl", "StrategyAgent")
    made = Workshop(folder, fleet_with({"StrategyAgent": target("StrategyAgent", examples)}))
    made.request(agent="StrategyAgent", approval=Approval.AUTOMATIC)
    run = made.run().run
    made.book.close()
    return made.fleet, run


@pytest.mark.parametrize("moment", [0, 1, 3, 6])
def test_a_run_that_was_cut_off_is_taken_up_and_pays_for_nothing_twice(
    uninterrupted: tuple[FleetConfig, OptimizationRun], tmp_path: Path, moment: int
) -> None:
    fleet, expected = uninterrupted
    cut = Workshop(tmp_path, fleet)
    cut.request(agent="StrategyAgent", approval=Approval.AUTOMATIC)

    def kill(_: RunProgress) -> None:
        if len(cut.progress) == moment + 1:
            raise Killed

    cut.on_progress = kill
    with pytest.raises(Killed):
        cut.run()
    cut.on_progress = None
    run = cut.run().run
    assert (run.outcome, run.version, run.spent_usd) == (expected.outcome, expected.version, expected.spent_usd)
    assert len(cut.book.alias_moves("StrategyAgent", "production")) == 1
    cut.book.close()


def test_a_run_that_is_taken_up_again_keeps_what_is_set_aside_for_the_gate(tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples.jsonl", "StrategyAgent")
    fleet = fleet_with({"StrategyAgent": target("StrategyAgent", examples)})
    runs = []
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        made = Workshop(tmp_path / name, fleet)
        made.request(agent="StrategyAgent", approval=Approval.AUTOMATIC, max_cost_usd=0.07)

        def kill(progress: RunProgress) -> None:
            if progress.part == "searching":
                raise Killed

        if name == "cut":
            made.on_progress = kill
            with pytest.raises(Killed):
                made.run()
            made.on_progress = None
        runs.append(replace(made.run().run, attempts=1))
        made.book.close()
    assert runs[0] == runs[1]


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


def test_a_cancelled_run_ends_and_promotes_nothing(workshop: MakeWorkshop) -> None:
    made = workshop()
    made.request()

    def cancel(progress: RunProgress) -> None:
        if progress.part == "searching" or progress.part == "scoring the candidate":
            made.book.ask_to_cancel("r1", "ana", made.now)

    made.on_progress = cancel
    run = made.run().run
    assert (run.outcome, run.said) == (RunOutcome.CANCELLED, "ana cancelled the run.")
    assert state_of_request(made) is RequestState.CANCELLED
    assert made.book.program_alias("InboundAgent", "production") is None


def test_a_run_that_is_cancelled_when_all_is_paid_for_is_not_promoted_either(
    workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = workshop()
    made.request()
    before = made.files.add_version

    def cancel_first(*arguments: Any) -> tuple[str, str]:
        made.book.ask_to_cancel("r1", "ana", made.now)
        return before(*arguments)

    monkeypatch.setattr(made.files, "add_version", cancel_first)
    assert made.run().run.outcome is RunOutcome.CANCELLED
    assert made.book.program_alias("InboundAgent", "production") is None
    assert [note.message.title for note in made.book.notifications()] == [
        "✋ BootstrapFewShot for InboundAgent was cancelled"
    ]


def test_a_model_that_is_out_of_order_interrupts_the_run_and_a_later_attempt_finishes_it(
    workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = workshop()
    made.request()

    def break_the_model(progress: RunProgress) -> None:
        if progress.part == "scoring the candidate":
            monkeypatch.setattr("dspy_modules.embedded_model.EmbeddedModel.complete", out_of_order)

    made.on_progress = break_the_model
    with pytest.raises(RunInterrupted, match="broke") as raised:
        made.run()
    run = made.book.optimization_run("r1")
    assert run
    assert run.outcome is RunOutcome.INFRASTRUCTURE_FAILURE
    assert made.book.program_alias("InboundAgent", "production") is None
    assert raised.value.again_at is None, "an engine with a bug is no passing fault"
    assert state_of_request(made) is RequestState.FAILED


def out_of_order(*_: Any) -> None:
    raise KeyError("a bug")


def test_a_passing_outage_is_taken_up_again_later_and_given_up_in_the_end(
    workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dspy import lm15

    def silent(*_: Any) -> None:
        raise lm15.TimeoutError("silence")

    monkeypatch.setattr("dspy_modules.metered_engine.FIRST_WAIT_SECONDS", 0)
    made = workshop()
    made.request()
    with monkeypatch.context() as outage:
        outage.setattr("dspy_modules.embedded_model.EmbeddedModel.complete", silent)
        with pytest.raises(RunInterrupted) as raised:
            made.run()
        assert raised.value.again_at == made.now + timedelta(minutes=2)
        assert state_of_request(made) is RequestState.READY
    run = made.run().run
    assert (run.outcome, run.attempts) == (RunOutcome.PROMOTED, 2)

    monkeypatch.setattr("dspy_modules.embedded_model.EmbeddedModel.complete", silent)
    made = Workshop(made.folder / "other", made.fleet) if (made.folder / "other").mkdir() is None else made
    made.request()
    for attempt in range(MAX_ATTEMPTS):
        with pytest.raises(RunInterrupted) as raised:
            made.run()
        assert (raised.value.again_at is None) is (attempt == MAX_ATTEMPTS - 1)
    assert state_of_request(made) is RequestState.FAILED
    made.book.close()


@pytest.mark.parametrize("part", ["scoring the baseline", "scoring the candidate"])
def test_a_refusal_of_the_provider_while_one_of_the_two_is_scored_is_no_comparison(
    workshop: MakeWorkshop, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    from dspy import lm15

    def refuse(*_: Any) -> None:
        raise lm15.InvalidRequestError("Your credit balance is too low.", status=400)

    made = workshop()
    made.request()
    with monkeypatch.context() as refusing:

        def break_the_model(progress: RunProgress) -> None:
            if progress.part == part:
                refusing.setattr("dspy_modules.embedded_model.EmbeddedModel.complete", refuse)

        made.on_progress = break_the_model
        with pytest.raises(RunInterrupted, match="failed at 60 of 60 held-out items"):
            made.run()
    assert made.book.program_alias("InboundAgent", "production") is None
    made.on_progress = None
    assert made.run().run.outcome is RunOutcome.PROMOTED


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
