"""A run that is killed, cancelled or hit by an outage ends as it should have, or goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_model import Approval
from perf_pipeline.optimization.run_plan import MAX_ATTEMPTS
from perf_pipeline.records import OptimizationRun, RequestState, RunOutcome
from perf_pipeline.runs.tools import RunInterrupted, RunProgress
from tests.optimization_fixtures import (
    MakeWorkshop,
    Workshop,
    fleet_with,
    state_of_request,
    target,
    workshops,
    write_examples,
)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[MakeWorkshop]:
    with workshops(tmp_path) as make:
        yield make


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
    (made.folder / "other").mkdir()
    made = Workshop(made.folder / "other", made.fleet)
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
