"""What people are to be told of the incidents now, given what they know already.

Every message has a key that follows from what it says, so deciding twice says nothing twice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import SLACK, NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.monitoring.incident_analysis import worded
from perf_pipeline.notifications.alert_messages import (
    Change,
    acknowledged_message,
    alert_message,
    escalation_message,
    reminder_message,
    update_message,
)
from perf_pipeline.notifications.grouping import first_of_each_trouble, groups, thread_to_join
from perf_pipeline.notifications.muting import inhibited_by_optimization, inhibited_by_outage, silenced_by
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.records import (
    AlertThread,
    Incident,
    IncidentAnalysis,
    IncidentState,
    Learned,
    Notification,
    Silence,
    Telling,
    ToldIncident,
)

OVER_BEFORE_KNOWN = "The incident was over before it became known."


@dataclass(frozen=True)
class Situation:
    """What is the matter, and what people know of it.

    `incidents` are all that may have to be told, `told` what is known of them, by incident, `threads` those that they
    were told in, by id, oldest first. `optimizing` are agents whose optimization, or canary, is running.
    """

    incidents: Sequence[Incident]
    told: Mapping[str, ToldIncident]
    threads: Mapping[str, AlertThread]
    silences: Sequence[Silence] = ()
    optimizing: Collection[str] = ()
    analyses: Mapping[str, IncidentAnalysis] = field(default_factory=dict)


def tellings(
    situation: Situation, fleet: FleetConfig, now: datetime, trace_url: Callable[[str], str | None]
) -> list[Telling]:
    """What to tell, oldest first. Incidents below `alert_from` are not told; nor are, for now, muted ones, and those
    that a language model is about to word.

    An incident that is over, and old or muted, is recorded as withheld. One that is not over but was last seen longer
    than `act_within` ago waits: the windows that are still to be read decide.
    """
    return _Teller(situation, fleet, now, trace_url).tellings()


@dataclass(frozen=True)
class _Teller:
    situation: Situation
    fleet: FleetConfig
    moment: datetime
    trace_url: Callable[[str], str | None]

    def tellings(self) -> list[Telling]:
        members = self._members()
        changes: dict[str, list[Change]] = defaultdict(list)
        fresh: list[Incident] = []
        result: list[Telling] = []
        for incident in self.situation.incidents:
            told = self.situation.told.get(incident.id)
            if told is not None and not told.withheld:
                if change := self._change(incident, told):
                    changes[told.thread].append(change)
            elif self._is_news(incident, told):
                reason = self._reason_to_withhold(incident)
                if reason is None:
                    fresh += [] if self._is_being_worded(incident) else [incident]
                elif incident.state is IncidentState.RESOLVED:
                    result.append(self._withheld(incident, reason))
        for incident in list(fresh):
            if thread := thread_to_join(incident, list(self.situation.threads.values()), members):
                changes[thread.id].append(Change(incident, "joined"))
                fresh.remove(incident)
        result += [self._alert(group) for group in first_of_each_trouble(groups(fresh))]
        for thread in self.situation.threads.values():
            if thread.id in changes:
                result.append(self._update(thread, changes[thread.id], members[thread.id]))
            else:
                result += self._reminders(thread, members[thread.id])
        return result

    def _members(self) -> dict[str, list[Incident]]:
        members: dict[str, list[Incident]] = defaultdict(list)
        for incident in self.situation.incidents:
            told = self.situation.told.get(incident.id)
            if told is not None and not told.withheld:
                members[told.thread].append(incident)
        return members

    def _is_old(self, incident: Incident) -> bool:
        return incident.last_seen + self.fleet.window + self.fleet.act_within < self.moment

    def _is_being_worded(self, incident: Incident) -> bool:
        analysis = self.situation.analyses.get(incident.id)
        return analysis is not None and not analysis.is_settled and self.moment < analysis.due_at

    def _alert_message(self, incidents: Sequence[Incident], thread: str) -> Message:
        analyses = self.situation.analyses
        told = {one.id: worded(one, analyses.get(one.id), self.fleet) for one in incidents}
        return alert_message(incidents, thread, self.fleet.timezone, self.trace_url, told)

    def _mute(self, incident: Incident) -> str | None:
        """Why people are not to be told of the incident now; None where they are."""
        if silence := silenced_by(incident, self.situation.silences, self.moment):
            return f"It was silenced by {silence.created_by} until {silence.ends_at:%Y-%m-%d %H:%M} UTC."
        if inhibited_by_outage(incident, self.situation.incidents, self.fleet):
            return "The spans could not be read completely when it opened."
        if inhibited_by_optimization(incident, self.situation.optimizing):
            return "An optimization of the agent was running."
        return None

    def _reason_to_withhold(self, incident: Incident) -> str | None:
        return OVER_BEFORE_KNOWN if self._is_old(incident) else self._mute(incident)

    def _is_news(self, incident: Incident, told: ToldIncident | None) -> bool:
        grave = incident.severity.rank >= self.fleet.notifications.alert_from.rank
        if told is None or incident.reopened > told.reopened:
            return grave
        # What was withheld as over, and by late data was not.
        return grave and told.withheld and incident.state is not IncidentState.RESOLVED

    def _withheld(self, incident: Incident, reason: str) -> Telling:
        thread = _thread_id([incident])
        message = self._alert_message([incident], thread)
        notes = to_targets(thread, NotificationKind.ALERT, message, (SLACK,), self.moment, withheld=reason)
        return Telling(notes, None, (self._learned(incident, thread, withheld=True),))

    def _alert(self, group: Sequence[Incident]) -> Telling:
        thread = _thread_id(group)
        if any(one.id in self.situation.told for one in group):
            # An alert under this key was withheld.
            thread = f"{thread}:{_digest(self.moment.isoformat())}"
        targets = self._targets(group)
        message = self._alert_message(group, thread)
        started = AlertThread(thread, group[0].cause, min(one.opened_at for one in group), self.moment, targets)
        # Also one that is over by now is told as open first, so that its end is told in the thread.
        learned = tuple(self._learned(one, thread, state=IncidentState.OPEN) for one in group)
        return Telling(to_targets(thread, NotificationKind.ALERT, message, targets, self.moment), started, learned)

    def _change(self, incident: Incident, told: ToldIncident) -> Change | None:
        if incident.state is IncidentState.RESOLVED:
            return Change(incident, "recovered") if told.state is not IncidentState.RESOLVED else None
        if self._reason_to_withhold(incident):
            return None
        if told.state is IncidentState.RESOLVED or incident.reopened > told.reopened:
            return Change(incident, "back")
        return Change(incident, "worse") if incident.severity.rank > told.severity.rank else None

    def _update(self, thread: AlertThread, changes: Sequence[Change], members: Sequence[Incident]) -> Telling:
        everyone = {incident.id: incident for incident in [*members, *(change.incident for change in changes)]}
        still_open = [incident for incident in everyone.values() if incident.state is not IncidentState.RESOLVED]
        message = update_message(changes, still_open, self.fleet.timezone)
        said = "|".join(
            sorted(f"{c.incident.id} {c.kind} {c.incident.severity} {c.incident.reopened}" for c in changes)
        )
        notes = to_targets(
            # Late data may make the same happen again; whether it was told is known by what people learned.
            f"{thread.id}:{_digest(f'{said}|{self.moment.isoformat()}')}",
            NotificationKind.ALERT,
            message,
            thread.targets,
            self.moment,
            thread=thread.id,
        )
        newcomers = tuple(name for name in self._targets(still_open) if name not in thread.targets)
        if newcomers:
            whole = self._alert_message(still_open, thread.id)
            notes += to_targets(thread.id, NotificationKind.ALERT, whole, newcomers, self.moment)
        renewed = any(change.kind != "recovered" for change in changes)
        changed = replace(thread, targets=thread.targets + newcomers)
        if renewed:
            # Whoever looks after it agreed to less than what it has become.
            since = thread.told_at if thread.acknowledged_at is None else self.moment
            changed = replace(changed, acknowledged_by=None, acknowledged_at=None, told_at=since)
        learned = tuple(self._learned(change.incident, thread.id) for change in changes)
        only_more_targets = bool(newcomers) and not renewed
        return Telling(notes, changed if renewed else None, learned, changed if only_more_targets else None)

    def _reminders(self, thread: AlertThread, members: Sequence[Incident]) -> list[Telling]:
        still_open = [incident for incident in members if incident.state is not IncidentState.RESOLVED]
        loud = [incident for incident in still_open if self._reason_to_withhold(incident) is None]
        if thread.acknowledged_at is not None or not loud:
            return []
        config, age = self.fleet.notifications, self.moment - thread.told_at
        result = []
        # Another daemon's clock, which told it, may be ahead of ours.
        if (number := age // config.repeat) > 0:
            message = reminder_message(loud, thread, self.fleet.timezone)
            key = f"{thread.id}:{_stamp(thread.told_at)}:reminder:{number}"
            notes = to_targets(key, NotificationKind.ALERT, message, thread.targets, self.moment, thread=thread.id)
            result.append(Telling(notes, None, ()))
        if age >= config.acknowledge_within and config.escalate_to:
            message = escalation_message(self._alert_message(loud, thread.id), thread, self.fleet.timezone)
            key = f"{thread.id}:{_stamp(thread.told_at)}:escalation"
            notes = to_targets(key, NotificationKind.ALERT, message, config.escalate_to, self.moment)
            # From now on they hear what becomes of it, too.
            hearing = replace(thread, targets=tuple(dict.fromkeys((*thread.targets, *config.escalate_to))))
            result.append(Telling(notes, None, (), hearing))
        return result

    def _targets(self, incidents: Sequence[Incident]) -> tuple[str, ...]:
        """Those who hear of any of the incidents, each by its own agent and severity."""
        config = self.fleet.notifications
        hearing = {
            name
            for incident in incidents
            for name in targets_of(config, NotificationKind.ALERT, [incident.agent], incident.severity)
        }
        return tuple(name for name in config.targets if name in hearing)

    def _learned(
        self, incident: Incident, thread: str, *, state: IncidentState | None = None, withheld: bool = False
    ) -> Learned:
        after = ToldIncident(
            incident.id, thread, incident.severity, state or incident.state, incident.reopened, withheld
        )
        return Learned(self.situation.told.get(incident.id), after)


def acknowledgement(thread: AlertThread, person: str, now: datetime) -> tuple[Notification, ...]:
    """What the thread is told when somebody looks after it."""
    key = f"{thread.id}:acknowledged:{now.isoformat()}"
    message = acknowledged_message(person)
    return to_targets(key, NotificationKind.ALERT, message, thread.targets, now, thread=thread.id)


def _thread_id(group: Iterable[Incident]) -> str:
    return f"alert:{_digest('|'.join(sorted(f'{incident.id} {incident.reopened}' for incident in group)))}"


def _stamp(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
