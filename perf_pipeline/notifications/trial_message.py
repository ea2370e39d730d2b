"""What is sent to prove that a target can be reached."""

from __future__ import annotations

from datetime import datetime, timedelta

from perf_pipeline.message import Message, section
from perf_pipeline.notifications.alertmanager_alerts import AlertmanagerAlert

TITLE = "🔔 Test message"


def trial_message(target: str, now: datetime) -> Message:
    return Message(
        title=TITLE,
        headline=f"perf-pipeline reaches the target {target}",
        sections=(
            section(
                f"perf-pipeline reaches the target {target} of fleet.yaml.",
                f"Somebody ran 'perf-pipeline notify test' at {now:%Y-%m-%d %H:%M} UTC. Nothing is wrong.",
            ),
        ),
    )


def trial_alert(target: str, now: datetime) -> AlertmanagerAlert:
    """An alert that is over as it is shown, so that Alertmanager wakes nobody."""
    return AlertmanagerAlert(
        labels={"alertname": "PerfPipelineTest", "target": target},
        annotations={"summary": "Somebody ran 'perf-pipeline notify test'. Nothing is wrong."},
        starts_at=now - timedelta(seconds=1),
        ends_at=now,
    )
