"""The real Alertmanager: what it makes of the incidents that it is shown, and tells the people behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from perf_pipeline.fleet import FleetConfig, Severity
from perf_pipeline.fleet_people import NotificationsConfig
from perf_pipeline.notifications.alertmanager_alerts import AlertmanagerAlert, alertmanager_alerts
from perf_pipeline.notifications.telling import Situation
from perf_pipeline.notifications.trial_message import trial_alert
from perf_pipeline.records import Incident, IncidentState
from resources.alertmanager import AlertmanagerResource
from resources.reading import MessengerError
from tests.builders import shipped_fleet
from tests.incident_builders import incident
from tests.real.services.alertmanager_server import BINARY, running_alertmanager
from tests.wire.http_server import Answer, Handler, http_server

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]


@dataclass
class Alertmanager:
    """A real Alertmanager, and what it told the people behind it: pairs of state and incident."""

    url: str
    told: list[tuple[str, str]]

    def alerts(self) -> list[dict[str, Any]]:
        return httpx.get(f"{self.url}/api/v2/alerts").raise_for_status().json()

    def show(self, *alerts: AlertmanagerAlert) -> None:
        AlertmanagerResource(url=self.url).show([alert.payload() for alert in alerts])


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    if BINARY is None:
        pytest.skip("Alertmanager is not installed: apt-get install prometheus-alertmanager")
    told: list[tuple[str, str]] = []

    class People(Handler):
        def do_POST(self) -> None:
            for alert in json.loads(self.read_request().body)["alerts"]:
                told.append((alert["status"], alert["labels"].get("incident", "test")))
            self.send(Answer())

    with (
        http_server(People) as webhook,
        running_alertmanager(tmp_path_factory.mktemp("alertmanager"), webhook) as url,
    ):
        yield Alertmanager(url, told)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "It did not happen within 20 s."
        time.sleep(0.05)


def fleet() -> FleetConfig:
    content = {"targets": {"prom": {"kind": "alertmanager", "url": "http://prom"}}, "routes": [{"to": ["prom"]}]}
    return shipped_fleet().model_copy(update={"notifications": NotificationsConfig.model_validate(content)})


def as_alert(known: Incident, now: datetime) -> AlertmanagerAlert:
    [alert] = alertmanager_alerts(
        Situation([known], {}, {}), fleet(), "prom", now, lambda trace: f"https://p.example/{trace}"
    )
    return alert


def test_an_incident_fires_once_grows_worse_as_the_same_alert_ends_and_may_come_back(
    alertmanager: Alertmanager,
) -> None:
    now = datetime.now(UTC)
    onset = now - timedelta(minutes=65)
    known = incident(id="story", onset=onset, last_seen=onset + timedelta(minutes=30), example_traces=("ab12",))

    def story() -> list[str]:
        return [state for state, name in alertmanager.told if name == "story"]

    def shown() -> list[dict[str, Any]]:
        return [alert for alert in alertmanager.alerts() if alert["labels"].get("incident") == "story"]

    for seconds in (0, 60, 120):
        alertmanager.show(as_alert(known, now + timedelta(seconds=seconds)))
    eventually(lambda: story() == ["firing"])
    [alert] = shown()
    assert alert["status"]["state"] == "active"
    assert alert["generatorURL"] == "https://p.example/ab12"
    assert alert["startsAt"] == onset.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    worse = replace(known, severity=Severity.CRITICAL, also=("error_spike",), details="It got worse")
    alertmanager.show(as_alert(worse, now))
    eventually(lambda: shown()[0]["annotations"]["severity"] == "critical")
    assert len(shown()) == 1

    over = replace(worse, state=IncidentState.RESOLVED, resolved_at=onset + timedelta(minutes=30))
    alertmanager.show(as_alert(over, now))
    eventually(lambda: story() == ["firing", "resolved"])
    assert shown() == []
    alertmanager.show(as_alert(over, now))

    back = replace(over, state=IncidentState.OPEN, resolved_at=None, reopened=1)
    alertmanager.show(as_alert(back, datetime.now(UTC)))
    eventually(lambda: story() == ["firing", "resolved", "firing"])
    assert len(shown()) == 1


def test_what_is_shown_no_longer_ends_by_itself(alertmanager: Alertmanager) -> None:
    now = datetime.now(UTC)
    alert = as_alert(incident(id="forgotten", onset=now, last_seen=now), now)
    alertmanager.show(replace(alert, ends_at=now + timedelta(seconds=2)))
    eventually(lambda: ("firing", "forgotten") in alertmanager.told)
    eventually(lambda: ("resolved", "forgotten") in alertmanager.told)


def test_a_test_alert_is_taken_and_wakes_nobody(alertmanager: Alertmanager) -> None:
    now = datetime.now(UTC)
    alertmanager.show(trial_alert("prom", now))
    alertmanager.show(as_alert(incident(id="after the test", onset=now, last_seen=now), now))
    eventually(lambda: ("firing", "after the test") in alertmanager.told)
    assert [state for state, name in alertmanager.told if name == "test"] == []


def test_two_hundred_incidents_are_shown_in_one_go_whatever_their_texts(alertmanager: Alertmanager) -> None:
    now = datetime.now(UTC)
    odd = '\ud800 \x00 "quotes" {{ template }} ünï ✅ ' + "x" * 5000
    storm = [
        as_alert(
            incident(id=f"storm {number}", agent=f"Agent {number} {odd}", details=odd, onset=now, last_seen=now), now
        )
        for number in range(200)
    ]
    alertmanager.show(*storm)
    assert sum(alert["labels"].get("incident", "").startswith("storm") for alert in alertmanager.alerts()) == 200


def test_a_time_that_alertmanager_refuses_is_said(alertmanager: Alertmanager) -> None:
    now = datetime.now(UTC)
    alert = as_alert(incident(id="refused", onset=now, last_seen=now), now)
    with pytest.raises(MessengerError, match=r"refused alerts: .*start time must be before end time"):
        alertmanager.show(replace(alert, ends_at=now - timedelta(hours=1)))


def test_an_address_below_which_there_is_no_api_is_said(alertmanager: Alertmanager) -> None:
    with pytest.raises(MessengerError, match="without /api/v2"):
        AlertmanagerResource(url=f"{alertmanager.url}/api/v2").show([])
