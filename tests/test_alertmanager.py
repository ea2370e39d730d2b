"""What Alertmanager is shown of the incidents, and what happens where it does not take it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig, Severity
from perf_pipeline.fleet_people import NotificationsConfig
from perf_pipeline.installation import installed_resources
from perf_pipeline.notifications.alertmanager_alerts import (
    ENDED_WITHIN,
    FIRES_FOR,
    AlertmanagerAlert,
    alertmanager_alerts,
)
from perf_pipeline.notifications.telling import Situation
from perf_pipeline.records import Incident, IncidentState, Silence, ToldIncident
from perf_pipeline.settings import read_settings
from resources.alertmanager import AlertmanagerResource
from resources.ledger import Ledger
from resources.reading import MessengerError
from tests.builders import shipped_fleet
from tests.incident_builders import incident
from tests.real.services.free_port import free_port
from tests.wire.http_server import Answer, Handler, Request, http_server

NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
ONSET = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)


def fleet(url: str = "http://prom:9093", **notifications: Any) -> FleetConfig:
    targets = {"prom": {"kind": "alertmanager", "url": url}}
    content = {"targets": targets, "routes": [{"to": ["slack", "prom"]}]} | notifications
    return shipped_fleet().model_copy(update={"notifications": NotificationsConfig.model_validate(content)})


def seen(**changes: Any) -> Incident:
    facts: dict[str, Any] = {"onset": ONSET, "last_seen": ONSET + WINDOW}
    return incident(**(facts | changes))


def shown(
    *incidents: Incident, config: FleetConfig | None = None, now: datetime = NOW, **situation: Any
) -> list[AlertmanagerAlert]:
    known = Situation(**({"incidents": incidents, "told": {}, "threads": {}} | situation))
    return alertmanager_alerts(known, config or fleet(), "prom", now, lambda trace: f"https://phoenix.example/{trace}")


def test_an_open_incident_fires_a_little_longer_than_until_the_next_ticks() -> None:
    [alert] = shown(seen(example_traces=("ab12",)))
    assert alert.payload() == {
        "labels": {
            "alertname": "AgentReliability",
            "agent": "InboundAgent",
            "family": "reliability",
            "incident": "0123456789abcdef",
            "target": "prom",
        },
        "annotations": {
            "summary": "InboundAgent: Success rate dropped from 85% to 0%",
            "severity": "high",
            "type": "success_drop",
            "root_cause": "Model degradation",
            "recommended_action": "IMMEDIATE",
        },
        "startsAt": "2026-03-01T11:00:00+00:00",
        "endsAt": (NOW + FIRES_FOR).isoformat(),
        "generatorURL": "https://phoenix.example/ab12",
    }


def test_an_incident_is_the_same_alert_whatever_becomes_of_it() -> None:
    known = seen()
    later = replace(
        known,
        severity=Severity.CRITICAL,
        type="error_spike",
        also=("success_drop",),
        state=IncidentState.RECOVERING,
        details="worse",
        root_cause="another",
        onset=ONSET - WINDOW,
        reopened=1,
    )
    [before], [after] = shown(known), shown(later)
    assert after.labels == before.labels
    assert after.annotations["severity"] == "critical"
    assert after.annotations["type"] == "error_spike, success_drop"


def test_two_incidents_of_an_agent_are_two_alerts() -> None:
    alerts = shown(seen(), seen(id="1", family="latency"), seen(id="2", opened_at=ONSET + WINDOW))
    assert len({tuple(sorted(alert.labels.items())) for alert in alerts}) == 3


def test_an_outage_of_a_source_is_no_agents_alert() -> None:
    [alert] = shown(seen(agent="source:spans", family="data", type="data_gap"))
    assert alert.labels["alertname"] == "TelemetryGap"


def over(resolved_at: datetime) -> Incident:
    return seen(state=IncidentState.RESOLVED, resolved_at=resolved_at)


def test_the_end_is_shown_as_the_close_of_its_window_and_for_a_while() -> None:
    [alert] = shown(over(ONSET + WINDOW))
    assert alert.ends_at == ONSET + 2 * WINDOW
    assert alert.ends_at <= NOW
    last = ONSET + 2 * WINDOW + ENDED_WITHIN
    assert len(shown(over(ONSET + WINDOW), now=last)) == 1
    assert shown(over(ONSET + WINDOW), now=last + timedelta(seconds=1)) == []


def test_even_an_incident_of_one_window_ends_after_it_began() -> None:
    [alert] = shown(over(ONSET))
    assert alert.starts_at < alert.ends_at


@pytest.mark.parametrize(
    ("config", "changes", "expected"),
    [
        ({}, {"severity": Severity.MEDIUM}, 0),
        ({"alert_from": "medium"}, {"severity": Severity.MEDIUM}, 1),
        ({"routes": [{"to": ["slack"]}]}, {}, 0),
        ({"routes": [{"to": ["prom"], "agents": ["Out*"]}]}, {}, 0),
        ({"routes": [{"to": ["prom"], "agents": ["In*"]}]}, {}, 1),
        ({"routes": [{"to": ["prom"], "severities": ["critical"]}]}, {}, 0),
        ({"routes": [{"to": ["prom"], "severities": ["critical"]}]}, {"severity": Severity.CRITICAL}, 1),
        ({"routes": [{"to": ["prom"], "kinds": ["daily_summary"]}]}, {}, 0),
    ],
)
def test_routes_and_the_lowest_severity_decide_as_for_messages(
    config: dict[str, Any], changes: dict[str, Any], expected: int
) -> None:
    assert len(shown(seen(**changes), config=fleet(**config))) == expected


def test_what_is_muted_is_not_shown() -> None:
    silence = Silence("s", "In*", "*", NOW - WINDOW, NOW + WINDOW, "Ana")
    assert shown(seen(), silences=(silence,)) == []
    assert len(shown(seen(), silences=(replace(silence, ends_at=NOW),))) == 1
    outage = seen(id="o", agent="source:spans", family="data", type="data_gap")
    assert [alert.labels["incident"] for alert in shown(seen(), outage)] == ["o"]
    assert shown(seen(family="latency", type="latency_increase"), optimizing={"InboundAgent"}) == []


def test_what_was_not_seen_for_long_is_shown_only_where_people_were_told() -> None:
    old = seen(onset=ONSET - timedelta(days=2), last_seen=ONSET - timedelta(days=1))
    told = ToldIncident(old.id, "alert:1", old.severity, old.state, 0)
    assert shown(old) == []
    assert len(shown(old, told={old.id: told})) == 1
    assert shown(old, told={old.id: replace(told, withheld=True)}) == []


def test_text_from_outside_calls_nobody_and_stays_on_its_line() -> None:
    [alert] = shown(seen(agent="A<!channel>", details="boom @everyone\nnext", root_cause="x" * 10_000))
    texts = [*alert.labels.values(), *alert.annotations.values()]
    assert not [text for text in texts if "<!channel" in text or "@everyone" in text or "\n" in text]
    assert max(map(len, texts)) == 1000


@dataclass
class Alertmanager:
    url: str = ""
    answer: Answer = field(default_factory=lambda: Answer(body=b""))
    requests: list[Request] = field(default_factory=list)


@pytest.fixture
def alertmanager() -> Iterator[Alertmanager]:
    known = Alertmanager()

    class Server(Handler):
        def do_POST(self) -> None:
            known.requests.append(self.read_request())
            self.send(known.answer)

    with http_server(Server) as known.url:
        yield known


def test_alerts_go_to_the_api_below_the_address(alertmanager: Alertmanager) -> None:
    AlertmanagerResource(url=f"{alertmanager.url}/prefix/").show([])
    [request] = alertmanager.requests
    assert (request.method, request.path, request.body) == ("POST", "/prefix/api/v2/alerts", b"[]")


@pytest.mark.parametrize(
    ("answer", "said", "retryable"),
    [
        (Answer(500, body="oops"), "HTTP 500", True),
        (Answer(400, body='"start time must be before end time"'), "start time must be before end time", False),
        (Answer(404, body="not found"), "without /api/v2", False),
        (Answer(302, headers={"Location": "https://login.example"}), "without /api/v2", False),
        (Answer(200, "text/html; charset=utf-8", "<html>Grafana</html>"), "is not Alertmanager's API", False),
    ],
)
def test_a_refusal_says_what_to_mend(alertmanager: Alertmanager, answer: Answer, said: str, retryable: bool) -> None:
    alertmanager.answer = answer
    with pytest.raises(MessengerError, match=said) as refused:
        AlertmanagerResource(url=alertmanager.url).show([])
    assert refused.value.retryable is retryable


def test_an_alertmanager_that_is_not_there_is_named_with_its_setting() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MessengerError, match=rf"{address} could not be reached .*fleet\.yaml") as refused:
        AlertmanagerResource(url=address).show([])
    assert refused.value.retryable


def test_a_fleet_without_alertmanager_has_no_sensor_for_it(tmp_path: Path) -> None:
    plain = shipped_fleet()
    definitions = build_defs(plain, installed_resources(read_settings({"PERF_PIPELINE_HOME": str(tmp_path)}), plain))
    assert "alertmanager" not in {sensor.name for sensor in definitions.get_repository_def().sensor_defs}


def test_a_tick_shows_what_is_open_and_one_that_fails_is_one_line_and_stops_no_other(
    alertmanager: Alertmanager, tmp_path: Path
) -> None:
    down = f"http://127.0.0.1:{free_port()}"
    targets = {name: {"kind": "alertmanager", "url": url} for name, url in [("a", down), ("b", alertmanager.url)]}
    config = fleet(targets=targets, routes=[{"to": ["a", "b"]}])
    resources = installed_resources(read_settings({"PERF_PIPELINE_HOME": str(tmp_path)}), config)
    definitions = build_defs(config, resources)

    def tick() -> str | None:
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context,
        ):
            return definitions.resolve_sensor_def("alertmanager").evaluate_tick(context).skip_message

    assert tick() == "a: 0 open, 0 ended. b: 0 open, 0 ended."
    assert alertmanager.requests == []
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    now = datetime.now(UTC)
    ledger.record_incidents([incident(onset=now - WINDOW, last_seen=now - WINDOW)])
    ledger.close()
    said = tick()
    assert said is not None
    assert f"a: Alertmanager at {down} could not be reached" in said
    assert "\n" not in said
    assert said.endswith("b: 1 open, 0 ended.")
    assert len(alertmanager.requests) == 1
