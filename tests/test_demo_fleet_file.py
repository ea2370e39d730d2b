"""The fleet of the demo: as the user wrote it, and nobody outside hears of it."""

from __future__ import annotations

from pathlib import Path

from perf_pipeline.demo.demo_fleet import FILE, demo_fleet, write_fleet
from perf_pipeline.fleet import load_fleet

SHIPPED = Path(__file__).parent.parent / "fleet.yaml"
TELLING_MANY = """
notifications:
  targets:
    on_call: {kind: apprise, url_variable: ON_CALL_URL}
    alertmanager: {kind: alertmanager, url: "http://127.0.0.1:9093"}
  routes: [{to: [slack, on_call, alertmanager]}]
  escalate_to: [on_call]
  repeat_hours: 3
"""


def test_the_demo_tells_its_embedded_channel_only_and_keeps_the_other_rules(tmp_path: Path) -> None:
    head, _, rest = SHIPPED.read_text().partition("# Who hears of what.")
    own = tmp_path / "own.yaml"
    own.write_text(head + TELLING_MANY + "approvals:" + rest.partition("approvals:")[2])
    assert len(load_fleet(own).notifications.targets) == 3
    fleet = demo_fleet(own)
    assert list(fleet.notifications.targets) == ["slack"]
    assert [route.to for route in fleet.notifications.routes] == [("slack",)]
    assert (fleet.notifications.escalate_to, fleet.notifications.repeat_hours) == ((), 3)


def test_the_file_that_the_demo_leaves_holds_its_fleet(tmp_path: Path) -> None:
    fleet = demo_fleet(SHIPPED)
    write_fleet(fleet, tmp_path)
    assert load_fleet(tmp_path / FILE) == fleet
