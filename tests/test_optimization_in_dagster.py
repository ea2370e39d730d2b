"""Requests become Dagster runs whose page tells people what came of them; a run that died is launched again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from perf_pipeline.definitions import build_defs
from perf_pipeline.jobs import OPTIMIZATION, OPTIMIZATION_RUNS, QUIET
from perf_pipeline.partitions import OPTIMIZATION_REQUESTS
from perf_pipeline.records import RequestState, RunOutcome
from perf_pipeline.tables import TABLES
from resources.lake import Lake, LakeIOManager, LakeResource
from resources.ledger import LedgerResource
from resources.log_files import LogFilesResource
from resources.message_file import MessageFileResource
from resources.state_files import StateFilesResource
from tests.cycle_fixtures import RecordedSpans
from tests.optimization_fixtures import Workshop, fleet_with, target, write_examples


@dataclass
class Installed:
    workshop: Workshop
    resources: dict[str, object]
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def tick(self) -> dg.SensorExecutionData:
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions, resources=self.resources
        )
        with context:
            return self.definitions.resolve_sensor_def("optimization_launches").evaluate_tick(context)

    def launch(self, tick: dg.SensorExecutionData) -> list[dg.ExecuteInProcessResult]:
        """Runs what the tick asked for, as the daemon would."""
        for added in tick.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
        job = self.definitions.resolve_job_def(OPTIMIZATION)
        return [
            job.execute_in_process(
                instance=self.instance,
                partition_key=asked.partition_key,
                tags=asked.tags,
                raise_on_error=False,
                run_config=QUIET,
            )
            for asked in tick.run_requests or ()
        ]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    examples = write_examples(tmp_path / "examples.jsonl", "InboundAgent")
    workshop = Workshop(tmp_path, fleet_with({"InboundAgent": target("InboundAgent", examples)}))
    lake, inbox = str(tmp_path / "lake"), str(tmp_path / "inbox")
    resources: dict[str, object] = {
        "lake": LakeResource(url=lake),
        "lake_io": LakeIOManager(Lake(lake), TABLES),
        "ledger": LedgerResource(url=f"sqlite:///{tmp_path / 'ledger.db'}"),
        "span_source": RecordedSpans(),
        "log_source": LogFilesResource(folder=inbox),
        "task_source": StateFilesResource(folder=inbox),
        "messenger_slack": MessageFileResource(path=str(tmp_path / "messages.jsonl")),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installed(workshop, resources, build_defs(workshop.fleet, resources), instance)
    workshop.book.close()


def test_nothing_is_launched_where_nothing_is_requested(installed: Installed) -> None:
    assert installed.tick().skip_message == "No optimization is to be run."


def test_a_ready_request_is_run_once_and_its_page_tells_what_came_of_it(installed: Installed) -> None:
    installed.workshop.request()
    tick = installed.tick()
    assert [(asked.run_key, asked.partition_key) for asked in tick.run_requests or ()] == [("r1:1", "r1")]
    (result,) = installed.launch(tick)
    assert result.success
    (materialization,) = result.asset_materializations_for_node(OPTIMIZATION_RUNS)
    metadata = materialization.metadata
    assert materialization.partition == "r1"
    assert metadata["outcome"].value == "promoted"
    assert "Scores on 60 held-out items" in str(metadata["report"].value)
    assert metadata["spent in US dollars"].value < metadata["cap in US dollars"].value  # pyright: ignore[reportOperatorIssue]
    assert installed.instance.get_dynamic_partitions(str(OPTIMIZATION_REQUESTS.name)) == ["r1"]
    assert installed.tick().skip_message == "No optimization is to be run."


def test_progress_is_shown_as_observations_of_the_partition(installed: Installed) -> None:
    installed.workshop.request()
    (result,) = installed.launch(installed.tick())
    observed = [
        event.event_specific_data.asset_observation  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    ]
    assert [one.metadata["part"].value for one in observed] == [
        "reading examples",
        "scoring the baseline",
        "searching",
        "scoring the candidate",
    ]
    assert {one.partition for one in observed} == {"r1"}


def test_a_run_that_dies_is_launched_again_after_a_pause_and_not_beside_itself(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemError("The machine is gone.")

    installed.workshop.request()
    with monkeypatch.context() as dying:
        dying.setattr("perf_pipeline.runs.run.search", die)
        (result,) = installed.launch(installed.tick())
    assert not result.success
    assert installed.tick().skip_message == "No optimization is to be run.", "it pauses first"
    monkeypatch.setattr("perf_pipeline.optimization.launches.FIRST_PAUSE", timedelta(0))
    tick = installed.tick()
    assert [asked.run_key for asked in tick.run_requests or ()] == ["r1:2"]
    (again,) = installed.launch(tick)
    assert again.success
    run = installed.workshop.book.optimization_run("r1")
    assert run
    assert (run.outcome, run.attempts) == (RunOutcome.PROMOTED, 2)


def test_what_is_launched_too_often_is_given_up_and_people_hear_of_it(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemError("The machine is gone.")

    monkeypatch.setattr("perf_pipeline.optimization.launches.MAX_LAUNCHES", 1)
    installed.workshop.request()
    with monkeypatch.context() as dying:
        dying.setattr("perf_pipeline.runs.run.search", die)
        installed.launch(installed.tick())
    installed.tick()
    (request,) = installed.workshop.book.optimization_requests()
    assert request.state is RequestState.FAILED
    (told,) = installed.workshop.book.notifications()
    assert told.message.title.startswith("🔌 BootstrapFewShot for InboundAgent failed")


def test_an_interrupted_run_fails_in_words_that_say_when_it_goes_on(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dspy import lm15

    def silent(*_: object) -> None:
        raise lm15.TimeoutError("silence")

    monkeypatch.setattr("dspy_modules.metered_engine.FIRST_WAIT_SECONDS", 0)
    monkeypatch.setattr("dspy_modules.embedded_model.EmbeddedModel.complete", silent)
    installed.workshop.request()
    (result,) = installed.launch(installed.tick())
    failure = result.failure_data_for_node(OPTIMIZATION_RUNS)
    assert failure
    assert failure.user_failure_data
    assert "does not answer: silence Nothing was promoted." in str(failure.user_failure_data.description)
    assert "UTC" in str(failure.user_failure_data.metadata["taken up again"].value)


def test_a_published_alias_is_mended_by_the_next_tick(installed: Installed) -> None:
    installed.workshop.request()
    installed.launch(installed.tick())
    pointer = installed.workshop.folder / "lake" / "programs" / "InboundAgent" / "production.json"
    pointer.unlink()
    installed.tick()
    assert pointer.exists()


def test_a_run_that_is_terminated_in_the_ui_is_cancelled_and_one_that_is_moved_goes_on(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    for request_id, is_cancelled, outcome in (("r1", True, RunOutcome.CANCELLED), ("r2", False, None)):
        installed.workshop.request(request_id)
        with monkeypatch.context() as stopping:
            stopping.setattr("perf_pipeline.runs.run.search", interrupted)
            stopping.setattr(
                "perf_pipeline.assets.optimization_runs._is_being_cancelled", lambda _, known=is_cancelled: known
            )
            (result,) = installed.launch(installed.tick())
        assert not result.success
        run = installed.workshop.book.optimization_run(request_id)
        assert run
        assert run.outcome is outcome
    assert installed.workshop.run("r2").run.outcome is RunOutcome.PROMOTED
