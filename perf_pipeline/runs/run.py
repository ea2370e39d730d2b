"""An optimization request, run: examples, baseline, search, gate, version, promotion.

A run may be killed at any line and taken up again: it is pinned when it begins, every answer of a model is kept with
its payment, and how it ended is recorded together with the promotion, in one transaction, once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from dspy_modules.evaluation import Scored
from dspy_modules.optimizers import Found, Progress, Search, search
from dspy_modules.programs import Program, ProgramError, signature_fingerprint, state_of, texts_of
from dspy_modules.run_models import fresh_cache, only_metered_calls
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, RunCancelled
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig
from perf_pipeline.optimization.approvals import reason_not_to_run
from perf_pipeline.optimization.gate import GateDecision, GatePolicy, GateVerdict, PairedScore, judge_candidate
from perf_pipeline.optimization.run_plan import Budget, budget_of, month_limits, run_configuration, run_id
from perf_pipeline.optimization.run_report import HeldOutItem, PredictorChange
from perf_pipeline.optimization.splits import NotEnough, Split, content_digest
from perf_pipeline.records import (
    LabelledExample,
    OptimizationRequest,
    OptimizationRun,
    ProgramVersion,
    RequestState,
    RunOutcome,
    SpendPurpose,
    TaskRecord,
)
from perf_pipeline.runs.ending import Findings, cancelled_words, end_run, interrupt_run, publish_aliases
from perf_pipeline.runs.meter import RunMeter
from perf_pipeline.runs.target import LoadedTarget, baseline_program, examples_of, load_target
from perf_pipeline.runs.tools import BASELINE, DATASET, PRODUCTION, REPORT, RunProgress, RunRefused, RunResult, RunTools
from perf_pipeline.runs.training_data import ExampleReader, TrainingData, TrainingDataError, divided
from resources.reading import SourceError

OUTCOMES = {
    GateDecision.PROMOTE: RunOutcome.PROMOTED,
    GateDecision.REJECT: RunOutcome.REJECTED,
    GateDecision.CANARY_ONLY: RunOutcome.TOO_FEW_ITEMS,
}

NOTHING_BETTER = "The search found nothing that does better on the validation examples."


def run_request(request_id: str, tools: RunTools) -> RunResult:
    """Run the request, or take its run up again. One that has ended is not run again: its result is given.

    Raises RunRefused where it is not to be run, or another process runs it; RunInterrupted where a failure of
    something else keeps it from going on.
    """
    with tools.book.exclusive(f"optimization-{request_id}") as alone:
        if not alone:
            raise RunRefused(f"Another process runs request {request_id}.")
        known = tools.book.optimization_run(request_id)
        if known is not None and known.outcome not in (None, RunOutcome.INFRASTRUCTURE_FAILURE):
            publish_aliases(tools.book, tools.files)
            return RunResult(known, tools.files.read_run_file(request_id, REPORT) or "")
        approval, request = tools.book.approval_and_request(request_id)
        if request is None:
            raise RunRefused(f"There is no request {request_id}: see 'perf-pipeline optimizations'.")
        if request.state not in (RequestState.READY, RequestState.RUNNING):
            raise RunRefused(f"Request {request_id} is not to be run: it is {request.state.replace('_', ' ')}.")
        if reason := reason_not_to_run(request, approval):
            raise RunRefused(reason)
        with fresh_cache(), only_metered_calls():
            return _Attempt(request, known, tools).result()


class _Attempt:
    """One attempt at a run, by the process that holds it."""

    def __init__(self, request: OptimizationRequest, known: OptimizationRun | None, tools: RunTools) -> None:
        self._request = request
        self._run = known
        self._tools = tools
        self._findings = Findings()

    def result(self) -> RunResult:
        try:
            return self._optimize()
        except (RunRefused, ProgramError, TrainingDataError) as refusal:
            return self._end(RunOutcome.REFUSED, str(refusal))
        except BudgetExhausted as stop:
            return self._end(RunOutcome.BUDGET_EXHAUSTED, str(stop))
        except RunCancelled as stop:
            return self._end(RunOutcome.CANCELLED, str(stop))
        except InfrastructureFailure as failure:
            trouble, is_lasting = failure, failure.is_lasting
        except SourceError as failure:
            trouble, is_lasting = failure, not failure.retryable
        raise interrupt_run(
            self._begun(), str(trouble), self._findings, self._tools, is_lasting=is_lasting
        ) from trouble

    def _optimize(self) -> RunResult:
        if self._run and self._run.cancel_requested_by:
            raise RunCancelled(cancelled_words(self._run))
        target = self._load()
        meter = RunMeter(
            self._tools.book,
            self._request.id,
            partial(month_limits, self._request.agent, self._tools.fleet),
            self._tools.clock,
        )
        data = self._pinned_data() or self._new_data(target, meter)
        self._findings = replace(self._findings, data=data)
        run = self._begin(data.split.fingerprint)
        baseline = baseline_program(target, run, self._tools)

        self._say("scoring the baseline", meter)
        with meter.part(self._spent(SpendPurpose.JUDGE) + budget_of(run.cap_usd).baseline_usd) as part:
            before = target.scored(baseline, data.split.holdout, part)
        budget = budget_of(run.cap_usd, self._baseline_cost())

        found = self._search(baseline, target, data.split, meter, budget)
        self._findings = replace(self._findings, stopped=found.stopped)
        if found.program is None:
            return self._end(RunOutcome.BUDGET_EXHAUSTED, found.stopped or NOTHING_BETTER)
        changes = _changes(baseline, found.program)
        if all(change.is_none for change in changes):
            return self._end(RunOutcome.REJECTED, NOTHING_BETTER)

        self._remember_examples(data.split)
        self._say("scoring the candidate", meter)
        with meter.part(budget.gate_usd) as part:
            after = target.scored(found.program, data.split.holdout, part)
        verdict = _verdict(data.split.holdout, before, after, target.config)
        items = _items(data.split.holdout, before, after)
        self._findings = replace(self._findings, verdict=verdict, changes=changes, items=items)
        self._run = replace(
            run,
            version=self._register(found.program, run, verdict),
            baseline_score=verdict.baseline_points,
            candidate_score=verdict.candidate_points,
            gain_points=verdict.gain_points,
            held_out_items=verdict.items,
        )
        return self._end(OUTCOMES[verdict.decision], " ".join(verdict.reasons))

    def _load(self) -> LoadedTarget:
        """What was pinned when the run began, but for how the models are reached: that may have been the trouble."""
        configured, models = self._tools.fleet.agent(self._request.agent), dict(self._tools.fleet.models)
        if configured is None or configured.target is None:
            raise RunRefused(f"{self._request.agent} has no target in fleet.yaml, so there is nothing to optimize.")
        target = configured.target
        if not run_configuration(self._request.agent, self._tools.fleet, self._request.optimizer):
            raise RunRefused(
                f"The settings of the target of {self._request.agent} are for another optimizer than "
                f"{self._request.optimizer}, which was asked for: fleet.yaml was changed since."
            )
        if self._run and self._run.configuration:
            target = TargetConfig.model_validate(self._run.configuration["target"])
            for name, content in self._run.configuration["models"].items():
                pinned = ModelConfig.model_validate(content)
                models[name] = _reached_as(models[name], pinned) if name in models else pinned
        self._findings = replace(self._findings, is_simulated=models[target.task_model].is_simulated)
        return load_target(target, models, self._tools.key_of)

    def _pinned_data(self) -> TrainingData | None:
        text = self._tools.files.read_run_file(self._request.id, DATASET) if self._run else None
        return TrainingData.from_json(text) if text else None

    def _new_data(self, target: LoadedTarget, meter: RunMeter) -> TrainingData:
        def judge(tasks: Sequence[TaskRecord]) -> list[bool]:
            with meter.part(budget_of(self._request.max_cost_usd).baseline_usd) as part:
                return target.judged_right(tasks, str(target.config.judge_model), part)

        tools, agent = self._tools, self._request.agent
        self._say("reading examples", meter)
        reader = ExampleReader(
            agent,
            target.config,
            target.input_fields,
            tools.lake,
            tools.spans,
            target.redact,
            judge if target.config.judge_model else None,
        )
        examples, story = reader.read(tools.clock())
        earlier = sum(run.agent == agent for run in tools.book.optimization_runs())
        salt = f"{agent}|{earlier}"
        data = divided(examples, story, tools.book.seen_examples(agent), salt, target.config)
        if isinstance(data, NotEnough):
            raise RunRefused(data.reason)
        tools.files.write_run_file(self._request.id, DATASET, data.as_json())
        return data

    def _begin(self, fingerprint: str) -> OptimizationRun:
        tools, request = self._tools, self._request
        alias = tools.book.program_alias(request.agent, PRODUCTION)
        baseline = alias.version if alias else None
        configuration = run_configuration(request.agent, tools.fleet, request.optimizer)
        begun = tools.book.begin_run(
            OptimizationRun(
                request_id=request.id,
                id=run_id(request.agent, request.optimizer, baseline, fingerprint, configuration),
                agent=request.agent,
                optimizer=request.optimizer,
                cap_usd=request.max_cost_usd,
                baseline=baseline,
                baseline_sequence=alias.sequence if alias else 0,
                data_fingerprint=fingerprint,
                configuration=configuration,
                started_at=tools.clock(),
            )
        )
        if begun is None:
            raise RunRefused(f"Request {request.id} is not to be run: it was withdrawn, or has ended.")
        self._run = begun
        return begun

    def _begun(self) -> OptimizationRun:
        """The run, for the record also where it ends before there are examples."""
        return self._run or self._begin("")

    def _baseline_cost(self) -> float:
        """US dollars that scoring the baseline cost. Noted once: a run that is taken up again gets its answers for
        nothing, and has to divide its cap as before."""
        files, request_id = self._tools.files, self._request.id
        noted = files.read_run_file(request_id, BASELINE)
        if noted is None:
            noted = json.dumps({"cost_usd": self._spent(SpendPurpose.GATE)})
            files.write_run_file(request_id, BASELINE, noted)
        return float(json.loads(noted)["cost_usd"])

    def _spent(self, purpose: SpendPurpose) -> float:
        return sum(part.usd for part in self._tools.book.spent_by_purpose(self._request.id) if part.purpose is purpose)

    def _search(self, baseline: Program, target: LoadedTarget, split: Split, meter: RunMeter, budget: Budget) -> Found:
        def show(progress: Progress) -> None:
            points = None if progress.best_score is None else 100 * progress.best_score
            self._say("searching", meter, progress.candidates, points)

        config, run = target.config, self._begun()
        reflects = config.reflection_model
        with meter.part(budget.search_usd) as part:
            found = search(
                run.optimizer,
                Search(
                    program=baseline,
                    train=examples_of(split.train),
                    validation=examples_of(split.validation),
                    judge=target.judge,
                    task_model=target.model(config.task_model, part, SpendPurpose.TASK),
                    reflection_model=target.model(reflects, part, SpendPurpose.REFLECTION) if reflects else None,
                    threads=config.threads,
                    settings=run.configuration["settings"],
                    on_progress=show,
                ),
            )
            if part.stopped is not None and not isinstance(part.stopped, BudgetExhausted):
                raise part.stopped
            return found

    def _remember_examples(self, split: Split) -> None:
        parts = {"train": split.train, "validation": split.validation, "holdout": split.holdout}
        digests = [(content_digest(example), name) for name, part in parts.items() for example in part]
        tools = self._tools
        tools.book.record_seen_examples(self._request.agent, self._request.id, digests, tools.clock())

    def _register(self, program: Program, run: OptimizationRun, verdict: GateVerdict) -> str:
        content = {"agent": run.agent, "signature": signature_fingerprint(program), "state": state_of(program)}
        manifest = {
            "agent": run.agent,
            "parent": run.baseline,
            "optimizer": run.optimizer,
            "request": run.request_id,
            "run": run.id,
            "made_at": self._tools.clock().isoformat(),
            "data": run.data_fingerprint,
            "held_out_items": verdict.items,
            "baseline_points": verdict.baseline_points,
            "candidate_points": verdict.candidate_points,
            "simulated_model": self._findings.is_simulated,
        }
        version, sha256 = self._tools.files.add_version(run.agent, content, manifest)
        registered = ProgramVersion(run.agent, version, sha256, run.id, run.baseline, self._tools.clock())
        self._tools.book.register_version(registered)
        return version

    def _end(self, outcome: RunOutcome, said: str) -> RunResult:
        return end_run(self._begun(), outcome, said, self._findings, self._tools)

    def _say(self, part: str, meter: RunMeter, candidates: int = 0, best_points: float | None = None) -> None:
        self._tools.on_progress(RunProgress(part, meter.spent_usd, candidates, best_points))


def _reached_as(current: ModelConfig, pinned: ModelConfig) -> ModelConfig:
    way = {name: getattr(current, name) for name in ("api_base", "api_key_variable", "timeout_seconds")}
    return pinned.model_copy(update=way)


def _changes(before: Program, after: Program) -> tuple[PredictorChange, ...]:
    return tuple(
        PredictorChange(old.name, old.instructions, new.instructions, old.demonstrations, new.demonstrations)
        for old, new in zip(texts_of(before), texts_of(after), strict=True)
    )


def _verdict(
    held_out: Sequence[LabelledExample], before: Sequence[Scored], after: Sequence[Scored], target: TargetConfig
) -> GateVerdict:
    field = target.slice_by
    pairs = [
        PairedScore(
            item.id,
            old.judgement.score,
            new.judgement.score,
            str(value) if field and (value := {**item.inputs, **item.expected}.get(field)) is not None else None,
        )
        for item, old, new in zip(held_out, before, after, strict=True)
        # What a tool refused to one of them says nothing about the other.
        if not (old.is_trouble or new.is_trouble)
    ]
    return judge_candidate(pairs, GatePolicy(min_items=target.min_holdout))


def _items(
    held_out: Sequence[LabelledExample], before: Sequence[Scored], after: Sequence[Scored]
) -> tuple[HeldOutItem, ...]:
    return tuple(
        HeldOutItem(item.inputs, item.expected, old.judgement.score, new.judgement.score, new.answer)
        for item, old, new in zip(held_out, before, after, strict=True)
    )
