"""The demo fleet: seven small agents for sales operations, as real DSPy programs.

They run on any `dspy.LM`; the demo gives them the embedded model. What does not belong here: tracing and the
scripted story (`perf_pipeline.demo`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import dspy

from dspy_modules.demo_examples import ACCOUNT_BRIEFS, INBOUND_MESSAGES
from dspy_modules.demo_follow_ups import CONVERSATION_STEPS, DRAFT_VERDICTS
from dspy_modules.demo_inputs import (
    ACCOUNT_EVENTS,
    ACCOUNTS,
    COMPANIES,
    CONVERSATIONS,
    DAY_REPORTS,
    DRAFTS,
    RESEARCH_QUESTIONS,
)

Strategy = Literal["expand", "renew", "win_back", "nurture", "disqualify"]
Intent = Literal["interested", "meeting_request", "objection", "not_now", "unsubscribe"]
Step = Literal["remind", "offer_help", "send_reference", "close_file"]
Segment = Literal["start_up", "mid_market", "enterprise"]
Verdict = Literal["approve", "revise", "reject"]
Action = Literal["message", "call", "wait"]
Health = Literal["well", "watch", "act"]

Inputs = Mapping[str, Any]

Delegate = Callable[[str, dspy.Module, Inputs], dspy.Prediction]
"""How one agent calls another: (name of the agent, its program, its inputs) -> its answer."""


def call_directly(agent: str, program: dspy.Module, inputs: Inputs) -> dspy.Prediction:  # noqa: ARG001
    return program(**inputs)


class ChooseStrategy(dspy.Signature):
    """Choose the sales strategy that fits the account."""

    brief: str = dspy.InputField(desc="what is known about the account")
    strategy: Strategy = dspy.OutputField()


class ClassifyMessage(dspy.Signature):
    """Say what the sender of the message wants."""

    message: str = dspy.InputField(desc="message of a prospect")
    intent: Intent = dspy.OutputField()


class PlanFollowUp(dspy.Signature):
    """Plan the next step of a conversation that has gone quiet."""

    conversation: str = dspy.InputField(desc="what happened so far")
    step: Step = dspy.OutputField()
    opening: str = dspy.OutputField(desc="first sentence of the next message")


class SummarizeResearch(dspy.Signature):
    """Answer the question about the company from the facts."""

    question: str = dspy.InputField()
    facts: str = dspy.InputField(desc="what the tool found about the company")
    segment: Segment = dspy.OutputField()
    finding: str = dspy.OutputField(desc="the fact that answers the question")


class AuditDraft(dspy.Signature):
    """Judge whether the draft may be sent: no false promise, no pressure, no private data."""

    draft: str = dspy.InputField(desc="message to a customer")
    verdict: Verdict = dspy.OutputField()
    issue: str = dspy.OutputField(desc="the sentence that decides it")


class DecideAction(dspy.Signature):
    """Decide what to do next about the account."""

    event: str = dspy.InputField(desc="what happened")
    account: str = dspy.InputField(desc="state of the account")
    action: Action = dspy.OutputField()
    draft: str = dspy.OutputField(desc="text of the message to send")


class JudgeDay(dspy.Signature):
    """Judge from the report how an agent's day went."""

    report: str = dspy.InputField()
    health: Health = dspy.OutputField()
    lesson: str = dspy.OutputField(desc="the sentence to remember")


class StrategyAgent(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.choose = dspy.ChainOfThought(ChooseStrategy)

    def forward(self, brief: str) -> dspy.Prediction:
        return self.choose(brief=brief)


class InboundAgent(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classify = dspy.Predict(ClassifyMessage)

    def forward(self, message: str) -> dspy.Prediction:
        return self.classify(message=message)


class FollowUpAgent(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict(PlanFollowUp)

    def forward(self, conversation: str) -> dspy.Prediction:
        return self.plan(conversation=conversation)


class ResearchAgent(dspy.Module):
    """Looks a company up by a tool, then answers from what the tool found."""

    def __init__(self) -> None:
        super().__init__()
        self.look_up = dspy.Tool(look_up_company)
        self.summarize = dspy.ChainOfThought(SummarizeResearch)

    def forward(self, company: str, question: str) -> dspy.Prediction:
        return self.summarize(question=question, facts=self.look_up(company=company))


class AuditAgent(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.judge = dspy.Predict(AuditDraft)

    def forward(self, draft: str) -> dspy.Prediction:
        return self.judge(draft=draft)


class AccountOrchestrator(dspy.Module):
    """Reads the account by a tool and decides; a message that it drafts is audited by AuditAgent first."""

    def __init__(self, delegate: Delegate = call_directly) -> None:
        super().__init__()
        self.read = dspy.Tool(read_account)
        self.decide = dspy.ChainOfThought(DecideAction)
        self.auditor = AuditAgent()
        self.delegate = delegate

    def forward(self, account: str, event: str) -> dspy.Prediction:
        decision = self.decide(event=event, account=self.read(account=account))
        if decision.action != "message":
            return dspy.Prediction(action=decision.action, verdict=None)
        audit = self.delegate("AuditAgent", self.auditor, {"draft": decision.draft})
        return dspy.Prediction(action=decision.action, verdict=audit.verdict)


class Introspection(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.judge = dspy.Predict(JudgeDay)

    def forward(self, report: str) -> dspy.Prediction:
        return self.judge(report=report)


def look_up_company(company: str) -> str:
    """Facts about a company. Raises LookupError for an unknown one."""
    if company not in COMPANIES:
        raise LookupError(f"No company is called {company!r}.")
    return COMPANIES[company]


def read_account(account: str) -> str:
    """State of an account. Raises LookupError for an unknown one."""
    if account not in ACCOUNTS:
        raise LookupError(f"No account has the number {account!r}.")
    return ACCOUNTS[account]


@dataclass(frozen=True)
class DemoAgent:
    """An agent of the demo fleet. `inputs` are sample tasks; `examples` pair inputs with the right outputs."""

    name: str
    program: Callable[..., dspy.Module]
    inputs: tuple[Inputs, ...]
    examples: tuple[tuple[Inputs, Inputs], ...] = ()


def _labelled(texts: Mapping[str, tuple[str, ...]], asked: str, answered: str) -> tuple[tuple[Inputs, Inputs], ...]:
    return tuple(({asked: text}, {answered: label}) for label, group in texts.items() for text in group)


def _of(field: str, texts: tuple[str, ...]) -> tuple[Inputs, ...]:
    return tuple({field: text} for text in texts)


STRATEGY_EXAMPLES = _labelled(ACCOUNT_BRIEFS, "brief", "strategy")
INBOUND_EXAMPLES = _labelled(INBOUND_MESSAGES, "message", "intent")
FOLLOW_UP_EXAMPLES = _labelled(CONVERSATION_STEPS, "conversation", "step")
AUDIT_EXAMPLES = _labelled(DRAFT_VERDICTS, "draft", "verdict")

FLEET: tuple[DemoAgent, ...] = (
    DemoAgent("StrategyAgent", StrategyAgent, tuple(asked for asked, _ in STRATEGY_EXAMPLES), STRATEGY_EXAMPLES),
    DemoAgent("InboundAgent", InboundAgent, tuple(asked for asked, _ in INBOUND_EXAMPLES), INBOUND_EXAMPLES),
    DemoAgent("FollowUpAgent", FollowUpAgent, _of("conversation", CONVERSATIONS), FOLLOW_UP_EXAMPLES),
    DemoAgent(
        "ResearchAgent",
        ResearchAgent,
        tuple(
            {"company": company, "question": question} for company, question in product(COMPANIES, RESEARCH_QUESTIONS)
        ),
    ),
    DemoAgent("AuditAgent", AuditAgent, _of("draft", DRAFTS), AUDIT_EXAMPLES),
    DemoAgent(
        "AccountOrchestrator",
        AccountOrchestrator,
        tuple({"account": account, "event": event} for account, event in ACCOUNT_EVENTS),
    ),
    DemoAgent("Introspection", Introspection, _of("report", DAY_REPORTS)),
)
"""The seven agents, named as in fleet.yaml."""
