"""The outbox: messages that wait, are being sent, were sent, or could not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.records import Notification, NotificationState
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection


class OutboxLedger(LedgerConnection):
    def enqueue(self, notification: Notification) -> bool:
        """Put a message into the outbox. False, and nothing changes, where its key was used before."""
        return self._insert_new(schema.notifications, asdict(notification))

    def _enqueue_all(self, connection: sa.Connection, messages: Sequence[Notification]) -> bool:
        """Whether all of them are new. The caller's transaction takes back what was put in where they are not."""
        table = schema.notifications
        for message in messages:
            insert = self._insert(table).values(asdict(message)).on_conflict_do_nothing()
            if connection.execute(insert.returning(table.c.key)).first() is None:
                return False
        return True

    def notifications(self, since: datetime | None = None) -> list[Notification]:
        """All messages, or those put in at or after `since`, oldest first; without their pictures, which are large."""
        table = schema.notifications
        columns = [column for column in table.c if column is not table.c.picture]
        query = sa.select(*columns).order_by(table.c.created_at, table.c.key)
        if since:
            query = query.where(table.c.created_at >= since)
        return [_notification(row) for row in self._all(query)]

    def notifications_by_key(self, keys: Iterable[str]) -> dict[str, Notification]:
        """The messages of these keys, by key; one that is not in the outbox is missing."""
        table = schema.notifications
        rows = self._all(sa.select(table).where(table.c.key.in_(list(keys))))
        return {row["key"]: _notification(row) for row in rows}

    def undeliverable_count(self) -> int:
        table = schema.notifications
        count = sa.select(sa.func.count().label("count")).where(table.c.state == str(NotificationState.UNDELIVERABLE))
        return self._all(count)[0]["count"]

    def retry_undeliverable(self) -> int:
        """Let all that could not be delivered wait again, as if it had just been put in; how many these were."""
        table = schema.notifications
        failed = sa.update(table).where(table.c.state == str(NotificationState.UNDELIVERABLE))
        with self._engine.begin() as connection:
            values = {"state": str(NotificationState.PENDING), "attempts": 1, "not_before": None}
            return connection.execute(failed.values(values)).rowcount

    def deliverable(self, now: datetime, claims_before: datetime) -> list[Notification]:
        """Messages to send: those that wait and are due, and those claimed before `claims_before` by a sender
        that has not been heard of since."""
        table = schema.notifications
        due = sa.and_(
            table.c.state == str(NotificationState.PENDING),
            sa.or_(table.c.not_before.is_(None), table.c.not_before <= now),
        )
        abandoned = sa.and_(table.c.state == str(NotificationState.CLAIMED), table.c.claimed_at < claims_before)
        query = sa.select(table).where(sa.or_(due, abandoned)).order_by(table.c.created_at, table.c.key)
        return [_notification(row) for row in self._all(query)]

    def waiting_answers(self) -> list[tuple[str, str]]:
        """The key and the thread of every answer that is not settled, oldest first."""
        table = schema.notifications
        waits = table.c.state.in_((str(NotificationState.PENDING), str(NotificationState.CLAIMED)))
        query = sa.select(table.c.key, table.c.thread).where(waits, table.c.thread.is_not(None))
        return [(row["key"], row["thread"]) for row in self._all(query.order_by(table.c.created_at, table.c.key))]

    def postpone(self, target: str, until: datetime) -> None:
        """Let everything that waits for a target wait at least until then."""
        table = schema.notifications
        sooner = sa.or_(table.c.not_before.is_(None), table.c.not_before < until)
        waits = (table.c.target == target) & (table.c.state == str(NotificationState.PENDING))
        with self._engine.begin() as connection:
            connection.execute(sa.update(table).where(waits, sooner).values(not_before=until))

    def claim(self, notification: Notification, claimant: str, now: datetime) -> bool:
        """Take a message for sending. False where another sender took it first."""
        table = schema.notifications
        same_claim = (
            table.c.claimed_by.is_(None)
            if notification.claimed_by is None
            else table.c.claimed_by == notification.claimed_by
        )
        return self._update_one(
            sa.update(table)
            .where(table.c.key == notification.key, table.c.state == str(notification.state), same_claim)
            .values(
                state=str(NotificationState.CLAIMED),
                claimed_by=claimant,
                claimed_at=now,
                attempts=table.c.attempts + 1,
                # Who held it before may have died after posting it.
                maybe_posted=table.c.maybe_posted | sa.literal(notification.state is NotificationState.CLAIMED),
            )
        )

    def settle(
        self,
        key: str,
        claimant: str,
        state: NotificationState,
        *,
        sent_at: datetime | None = None,
        channel: str | None = None,
        message_ts: str | None = None,
        not_before: datetime | None = None,
        note: str | None = None,
        maybe_posted: bool = False,
    ) -> bool:
        """Say what became of a claimed message. False where the claim is no longer the claimant's.

        `maybe_posted` says that it failed in a way that leaves open whether it was posted.
        """
        table = schema.notifications
        return self._update_one(
            sa.update(table)
            .where(
                table.c.key == key,
                table.c.state == str(NotificationState.CLAIMED),
                table.c.claimed_by == claimant,
            )
            .values(
                state=str(state),
                # A message that goes back to waiting keeps who had it: what it posted may still have arrived.
                sent_at=sent_at,
                channel=channel,
                message_ts=message_ts,
                not_before=not_before,
                note=note,
                maybe_posted=table.c.maybe_posted | sa.literal(maybe_posted),
            )
        )


def _notification(row: dict[str, Any]) -> Notification:
    known = {field.name for field in fields(Notification)}
    values = {name: value for name, value in row.items() if name in known}
    return Notification(**{**values, "kind": NotificationKind(row["kind"]), "state": NotificationState(row["state"])})
