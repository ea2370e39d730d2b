"""What really stands in Slack, beside what the ledger says: each message once, where it belongs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from perf_pipeline.records import Notification, NotificationState
from tests.wire.slack_fault_proxy import TOKEN


@dataclass(frozen=True)
class Standing:
    """A message as it stands in Slack; `thread` is the `ts` of the message that it answers, if any."""

    key: str
    channel: str
    ts: str
    thread: str | None


@dataclass
class Audit:
    """`lost`, `twice`, `misplaced` and `wrong_in_ledger` hold a sentence for each; all are empty where all is well."""

    messages: int = 0
    standing: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    wrong_in_ledger: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.twice, *self.misplaced, *self.wrong_in_ledger]

    def add(self, other: Audit) -> None:
        self.messages += other.messages
        self.standing += other.standing
        for name in ("lost", "twice", "misplaced", "wrong_in_ledger"):
            getattr(self, name).extend(getattr(other, name))


class LocalSlack:
    """The local Slack itself, past every proxy. `base_url` ends with /api/."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, **form: Any) -> dict[str, Any]:
        answer = self._client.post(method, data=form).json()
        assert answer["ok"], answer
        return answer

    def new_channel(self, name: str) -> str:
        """The new channel's ID."""
        return self.call("conversations.create", name=name)["channel"]["id"]

    def standing(self, channel: str) -> list[Standing]:
        """All messages of a channel and its threads, but those that Slack wrote itself."""
        found = []
        for message in self._history(channel):
            found.append(message)
            if message.get("reply_count"):
                replies = self.call("conversations.replies", channel=channel, ts=message["ts"])["messages"]
                found += [reply for reply in replies if reply["ts"] != message["ts"]]
        return [_standing(message, channel) for message in found if "subtype" not in message]

    def _history(self, channel: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.call("conversations.history", channel=channel, limit=1000, cursor=cursor)
            messages += page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return messages


def audit(standing: Iterable[Standing], outbox: Iterable[Notification], answers_may_stand_alone: bool = False) -> Audit:
    by_key: dict[str, list[Standing]] = defaultdict(list)
    for message in standing:
        by_key[message.key].append(message)
    known = {notification.key: notification for notification in outbox}
    result = Audit(len(known), sum(len(copies) for copies in by_key.values()))
    for key in by_key.keys() - known.keys():
        result.misplaced.append(f"Slack has a message {key or 'without a key'} that the outbox does not know.")
    for key, notification in known.items():
        copies = by_key.get(key, [])
        if not copies:
            result.lost.append(f"{key} is not in Slack; the ledger says {notification.state}: {notification.note}")
        elif len(copies) > 1:
            where = Counter("thread" if copy.thread else "channel" for copy in copies)
            result.twice.append(f"{key} is {len(copies)} times in Slack ({dict(where)})")
        else:
            _check_place(copies[0], notification, by_key, result, answers_may_stand_alone)
    return result


def _check_place(
    copy: Standing,
    notification: Notification,
    by_key: dict[str, list[Standing]],
    result: Audit,
    answers_may_stand_alone: bool,
) -> None:
    answered = by_key.get(notification.thread, []) if notification.thread else []
    threads: set[str | None] = {message.ts for message in answered}
    if answers_may_stand_alone or not notification.thread:
        threads.add(None)
    if copy.thread not in threads:
        result.misplaced.append(f"{notification.key} stands in the thread of {copy.thread}, not in {threads}")
    told = (notification.state, notification.channel, notification.message_ts)
    if told != (NotificationState.SENT, copy.channel, copy.ts):
        result.wrong_in_ledger.append(f"{notification.key} stands at {copy.channel} {copy.ts}; the ledger says {told}")


def _standing(message: dict[str, Any], channel: str) -> Standing:
    key = (message.get("metadata") or {}).get("event_payload", {}).get("key", "")
    thread = message.get("thread_ts")
    return Standing(key, channel, message["ts"], thread if thread != message["ts"] else None)
