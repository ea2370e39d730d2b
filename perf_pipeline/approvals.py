"""How people are asked to approve optimizations, and how their answers are taken, whichever way they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import SLACK, Approver, NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.notifications.approval_messages import (
    Prospect,
    approval_message,
    ignored_reaction_message,
    outcome_message,
    question_key,
)
from perf_pipeline.notifications.outbox import key_at, to_targets
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.optimization.approvals import Verdict, answered, expired, is_late, judge, question
from perf_pipeline.optimization.standing import measured_gains
from perf_pipeline.records import (
    Answer,
    AnswerRecord,
    ApprovalRecord,
    ApprovalState,
    Notification,
    NotificationState,
    OptimizationRequest,
    OptimizationRun,
    RequestState,
)
from resources.ledger import Ledger
from resources.messenger import Messenger, PostedMessage, ReactionSource
from resources.reading import MessengerError

REACTIONS = {"white_check_mark": Answer.APPROVE, "x": Answer.DECLINE}
"""The emoji that answer, ✅ and ❌. Thumbs do not: people set them without meaning to sign."""

POLLED_AT_ONCE = 10
"""Questions whose reactions are read in one turn: Slack allows about 50 such calls a minute."""

CHANGED_MEANWHILE = Verdict(False, "The request changed while you answered: look at it again, and answer again.")


@dataclass(frozen=True)
class Vote:
    """An answer by reaction: the member ID of the person, and the target at which it was set."""

    answer: Answer
    member: str
    target: str


@dataclass(frozen=True)
class Attempt:
    """One person's answer as it came in. `id` is that of the click, reaction or command, `fingerprint` stands for what
    the person was shown, `person` says who it is, for the record; `approver` is None for one who is not listed."""

    id: str
    request_id: str
    answer: Answer
    fingerprint: str
    person: str
    approver: Approver | None
    through: str


def ask_for_approvals(book: Ledger, fleet: FleetConfig, now: datetime) -> list[str]:
    """Ask about the requests that wait for approval and were not asked about yet; their agents."""
    asked = {approval.request_id for approval in book.approvals()}
    runs = book.optimization_runs()
    agents = []
    for request in book.optimization_requests():
        if request.state is RequestState.AWAITING_APPROVAL and request.id not in asked:
            approval = question(request, fleet, now)
            message = approval_message(request, approval, _prospect(request, runs, fleet), fleet)
            if book.ask_approval(approval, _to_people(question_key(request.id), message, request, fleet, now)):
                agents.append(request.agent)
    return agents


def expire_approvals(book: Ledger, fleet: FleetConfig, now: datetime) -> list[str]:
    """End the approvals that nobody answered in time; their agents."""
    agents = []
    for approval, request in _waiting(book):
        if is_late(approval, now):
            settled = expired(approval)
            if book.settle_approval(settled, _outcome(settled, request, fleet, now)):
                agents.append(request.agent)
    return agents


def take_answer(book: Ledger, fleet: FleetConfig, attempt: Attempt, now: datetime) -> Verdict:
    """Whether the answer counts, and what to tell the person. Of several at once, the ledger lets one count.

    Every attempt is kept. One that comes twice is kept once, and told the same.
    """
    verdict = _settle(book, fleet, attempt, now)
    if not verdict.accepted:
        book.record_answer(_record(attempt, verdict, now))
    return verdict


def take_reactions(
    book: Ledger, fleet: FleetConfig, messengers: Mapping[str, Messenger], clock: Callable[[], datetime]
) -> tuple[list[str], list[str]]:
    """Take the reactions under the messages that ask as answers: the agents that were answered for, and sentences on
    what could not be read. A channel without reactions, such as a file, is left out.

    A question that cannot be read at one of its targets is not answered by another: somebody may have declined there.
    """
    sources = {target: source for target, source in messengers.items() if isinstance(source, ReactionSource)}
    waiting = [(approval, request) for approval, request in _waiting(book) if not is_late(approval, clock())]
    keys = [key_at(question_key(approval.request_id), target) for approval, _ in waiting for target in sources]
    posted = book.notifications_by_key(keys)
    agents: list[str] = []
    problems: dict[str, None] = {}
    for approval, request in _turn(waiting, clock()):
        places = {
            target: message
            for target in sources
            if (message := _posted(posted.get(key_at(question_key(approval.request_id), target))))
        }
        try:
            votes = [vote for target, message in places.items() for vote in _votes(sources[target], target, message)]
        except MessengerError as error:
            problems[str(error)] = None
            if error.retryable:
                break
            continue
        if _answer_by_reaction(book, fleet, approval, request, sorted(votes, key=_declines_first), clock()):
            agents.append(request.agent)
    return agents, list(problems)


def _settle(book: Ledger, fleet: FleetConfig, attempt: Attempt, now: datetime) -> Verdict:
    verdict = CHANGED_MEANWHILE
    # The second look says what happened between the first look and the attempt to settle.
    for _ in range(2):
        approval, request = book.approval_and_request(attempt.request_id)
        verdict = judge(approval, request, attempt.answer, attempt.fingerprint, attempt.approver, fleet, now)
        if not verdict.accepted or approval is None or request is None or attempt.approver is None:
            return verdict
        settled = answered(approval, attempt.answer, attempt.approver, attempt.through, now)
        outcome = _outcome(settled, request, fleet, now)
        if book.settle_approval(settled, outcome, asked=request, answer=_record(attempt, verdict, now)):
            return verdict
    return CHANGED_MEANWHILE


def _votes(source: ReactionSource, target: str, message: PostedMessage) -> list[Vote]:
    """The reactions that answer, of everybody but the bot. Raises MessengerError."""
    reactions = [reaction for reaction in source.reactions(message) if reaction.name in REACTIONS]
    own = source.own_member_id() if reactions else ""
    return [
        Vote(REACTIONS[reaction.name], member, target)
        for reaction in reactions
        for member in reaction.members
        if member != own
    ]


def _declines_first(vote: Vote) -> bool:
    return vote.answer is not Answer.DECLINE


def _answer_by_reaction(
    book: Ledger,
    fleet: FleetConfig,
    approval: ApprovalRecord,
    request: OptimizationRequest,
    votes: Iterable[Vote],
    now: datetime,
) -> bool:
    """Whether one of the votes settled the approval. Where one does not count, the thread is told once for strangers,
    and once for each approver."""
    for vote in votes:
        approver = fleet.approvals.by_slack(vote.member)
        attempt = Attempt(
            id=f"reaction:{vote.target}:{approval.request_id}:{vote.member}:{vote.answer}",
            request_id=approval.request_id,
            answer=vote.answer,
            fingerprint=approval.fingerprint,
            person=approver.name if approver else vote.member,
            approver=approver,
            through="reaction",
        )
        verdict = take_answer(book, fleet, attempt, now)
        if verdict.accepted:
            return True
        thread = question_key(request.id)
        key = f"{thread}:ignored:{vote.member if approver else 'strangers'}"
        message = ignored_reaction_message(verdict.reply)
        for note in to_targets(key, NotificationKind.APPROVAL, message, (vote.target,), now, thread=thread):
            book.enqueue(note)
    return False


def _turn(
    waiting: list[tuple[ApprovalRecord, OptimizationRequest]], now: datetime
) -> list[tuple[ApprovalRecord, OptimizationRequest]]:
    """Those whose turn it is: all, where there are few, else the next ones with every quarter of a minute."""
    start = int(now.timestamp() // 15) * POLLED_AT_ONCE % max(len(waiting), 1)
    return [*waiting[start:], *waiting[:start]][:POLLED_AT_ONCE]


def _posted(message: Notification | None) -> PostedMessage | None:
    if message is None or message.state is not NotificationState.SENT or not message.channel or not message.message_ts:
        return None
    return PostedMessage(message.channel, message.message_ts)


def _waiting(book: Ledger) -> list[tuple[ApprovalRecord, OptimizationRequest]]:
    """The approvals that nobody answered, of requests that were not withdrawn."""
    requests = {request.id: request for request in book.optimization_requests()}
    return [
        (approval, request)
        for approval in book.approvals(ApprovalState.REQUESTED)
        if (request := requests.get(approval.request_id)) and request.state is RequestState.AWAITING_APPROVAL
    ]


def _prospect(request: OptimizationRequest, runs: Iterable[OptimizationRun], fleet: FleetConfig) -> Prospect:
    agent = fleet.agent(request.agent)
    policy = fleet.optimization_policy(agent) if agent else None
    expected = policy.expected_improvement if policy and policy.optimizer == request.optimizer else None
    return Prospect(expected, measured_gains(runs, request.optimizer))


def _outcome(
    settled: ApprovalRecord, request: OptimizationRequest, fleet: FleetConfig, now: datetime
) -> tuple[Notification, ...]:
    key = question_key(request.id)
    message = outcome_message(request, settled, fleet)
    return _to_people(f"{key}:{settled.state}", message, request, fleet, now, thread=key)


def _to_people(
    key: str,
    message: Message,
    request: OptimizationRequest,
    fleet: FleetConfig,
    now: datetime,
    *,
    thread: str | None = None,
) -> tuple[Notification, ...]:
    # Slack always hears of it, for the answers come from there.
    targets = dict.fromkeys([SLACK, *targets_of(fleet.notifications, NotificationKind.APPROVAL, [request.agent])])
    return to_targets(key, NotificationKind.APPROVAL, message, targets, now, thread=thread)


def _record(attempt: Attempt, verdict: Verdict, now: datetime) -> AnswerRecord:
    return AnswerRecord(
        id=attempt.id,
        request_id=attempt.request_id,
        answer=attempt.answer,
        person=attempt.person,
        through=attempt.through,
        at=now,
        accepted=verdict.accepted,
        reply=verdict.reply,
    )
