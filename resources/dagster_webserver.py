"""Dagster as its webserver shows it: runs and what they are launched by, through its GraphQL interface.

Runs launched here go through the run queue, and show in Dagster's UI like every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from resources.reading import DagsterError

UNFINISHED = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")

DONE = ("SUCCESS", "SKIPPED")
"""How a tick ends that did what it should."""

REPOSITORIES = """
query Repositories {
  repositoriesOrError {
    __typename
    ... on PythonError { message }
    ... on RepositoryConnection {
      nodes {
        name
        location { name }
        jobs { name }
        sensors { name sensorState { status } }
        schedules { name scheduleState { status } }
      }
    }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
}
"""

RUN_FIELDS = "runId status creationTime startTime endTime tags { key value } stepStats { stepKey status }"

RUNS = f"""
query Runs($filter: RunsFilter!, $limit: Int) {{
  runsOrError(filter: $filter, limit: $limit) {{
    __typename
    ... on PythonError {{ message }}
    ... on InvalidPipelineRunsFilterError {{ message }}
    ... on Runs {{ results {{ {RUN_FIELDS} }} }}
  }}
}}
"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""

TICKS = """
query Ticks($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    __typename
    ... on PythonError { message }
    ... on SensorNotFoundError { message }
    ... on Sensor { sensorState { status ticks(limit: 5) { timestamp endTimestamp status } } }
  }
}
"""


@dataclass(frozen=True)
class DagsterRun:
    """A run of a job. Times are UTC; `failed_steps` names what failed in it."""

    id: str
    status: str
    tags: Mapping[str, str]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    failed_steps: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCESS"


@dataclass(frozen=True)
class Automation:
    """Whether daemons run, and which schedules and sensors are switched on, by name."""

    daemons: Mapping[str, bool]
    schedules: Mapping[str, bool] = field(default_factory=dict)
    sensors: Mapping[str, bool] = field(default_factory=dict)

    @property
    def ailing_daemons(self) -> tuple[str, ...]:
        return tuple(name for name, healthy in self.daemons.items() if not healthy)


@dataclass(frozen=True)
class Tick:
    """One evaluation of a sensor; `ended_at` is None while it goes on."""

    started_at: datetime
    ended_at: datetime | None
    succeeded: bool


@dataclass(frozen=True)
class _Repository:
    name: str
    location: str
    jobs: tuple[str, ...]
    sensors: Mapping[str, bool]
    schedules: Mapping[str, bool]


class DagsterWebserver:
    """The webserver at `url`. Every method raises DagsterError where it does not answer."""

    def __init__(self, url: str, timeout_seconds: float = 15) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=timeout_seconds)

    @property
    def url(self) -> str:
        """For people: without what stands before an @, which may be a password."""
        address = httpx.URL(self._url)
        return str(address.copy_with(userinfo=b""))

    def close(self) -> None:
        self._client.close()

    def run_url(self, run_id: str) -> str:
        return f"{self.url}/runs/{run_id}"

    def automation(self) -> Automation:
        repositories, daemons = self._repositories()
        return Automation(
            daemons,
            {name: on for one in repositories for name, on in one.schedules.items()},
            {name: on for one in repositories for name, on in one.sensors.items()},
        )

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Put a run of the job into the queue; its ID."""
        repository = self._repository_of_job(job)
        params = {
            "selector": {
                "repositoryName": repository.name,
                "repositoryLocationName": repository.location,
                "jobName": job,
            },
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self._ask(LAUNCH, {"params": params})["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise DagsterError(f"Dagster did not launch the job {job}: {_said(launched)}", retryable=False)
        return launched["run"]["runId"]

    def run(self, run_id: str) -> DagsterRun | None:
        """None where Dagster knows no such run."""
        return next(iter(self._runs({"runIds": [run_id]}, 1)), None)

    def runs(
        self, job: str, tags: Mapping[str, str] | None = None, *, unfinished: bool = False, limit: int = 25
    ) -> list[DagsterRun]:
        """The job's newest runs with all of the tags, newest first."""
        wanted: dict[str, Any] = {"pipelineName": job}
        if tags:
            wanted["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        if unfinished:
            wanted["statuses"] = list(UNFINISHED)
        return self._runs(wanted, limit)

    def ticks(self, sensor: str, job: str) -> list[Tick]:
        """The sensor's newest ticks, newest first; `job` is one of the same code location."""
        repository = self._repository_of_job(job)
        selector = {
            "repositoryName": repository.name,
            "repositoryLocationName": repository.location,
            "sensorName": sensor,
        }
        found = self._ask(TICKS, {"sensor": selector})["sensorOrError"]
        if found["__typename"] != "Sensor":
            raise DagsterError(f"Dagster does not show the sensor {sensor}: {_said(found)}", retryable=True)
        return [
            Tick(
                _time(tick["timestamp"]), _optional_time(tick["endTimestamp"]), tick["status"] in ("SUCCESS", "SKIPPED")
            )
            for tick in found["sensorState"]["ticks"]
        ]

    def _runs(self, wanted: Mapping[str, Any], limit: int) -> list[DagsterRun]:
        found = self._ask(RUNS, {"filter": wanted, "limit": limit})["runsOrError"]
        if found["__typename"] != "Runs":
            raise DagsterError(f"Dagster does not show its runs: {_said(found)}", retryable=True)
        return [_run(row) for row in found["results"]]

    def _repository_of_job(self, job: str) -> _Repository:
        repositories, _ = self._repositories()
        for repository in repositories:
            if job in repository.jobs:
                return repository
        raise DagsterError(
            f"Dagster at {self.url} has no job {job}: its code location did not load, see the UI under Deployment; or "
            "DAGSTER_WEBSERVER_URL names another project's Dagster.",
            retryable=True,
        )

    def _repositories(self) -> tuple[list[_Repository], dict[str, bool]]:
        data = self._ask(REPOSITORIES, {})
        found = data["repositoriesOrError"]
        if found["__typename"] != "RepositoryConnection":
            raise DagsterError(f"Dagster cannot load the project: {_said(found)}", retryable=True)
        repositories = [
            _Repository(
                node["name"],
                node["location"]["name"],
                tuple(job["name"] for job in node["jobs"]),
                {one["name"]: one["sensorState"]["status"] == "RUNNING" for one in node["sensors"]},
                {one["name"]: one["scheduleState"]["status"] == "RUNNING" for one in node["schedules"]},
            )
            for node in found["nodes"]
        ]
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        return repositories, {one["daemonType"]: bool(one["healthy"]) for one in statuses if one["required"]}

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.post(f"{self._url}/graphql", json={"query": query, "variables": dict(variables)})
            answer.raise_for_status()
            content = answer.json()
        except httpx.HTTPStatusError as error:
            raise DagsterError(
                f"{self.url} answered HTTP {error.response.status_code}: check that DAGSTER_WEBSERVER_URL names "
                "Dagster's webserver.",
                retryable=error.response.status_code >= 500,
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DagsterError(
                f"Dagster's webserver does not answer at {self.url} ({type(error).__name__}): start it with "
                "'perf-pipeline dev', or set DAGSTER_WEBSERVER_URL to where it is.",
                retryable=True,
            ) from None
        except ValueError:
            raise DagsterError(
                f"{self.url} is not Dagster's webserver: set DAGSTER_WEBSERVER_URL to where it is.", retryable=False
            ) from None
        if not isinstance(content, dict) or not content.get("data"):
            said = _errors(content)
            raise DagsterError(f"Dagster at {self.url} refused a question: {said}", retryable=False)
        return content["data"]


def _run(row: Mapping[str, Any]) -> DagsterRun:
    return DagsterRun(
        row["runId"],
        row["status"],
        {tag["key"]: tag["value"] for tag in row["tags"]},
        _time(row["creationTime"]),
        _optional_time(row["startTime"]),
        _optional_time(row["endTime"]),
        tuple(step["stepKey"] for step in row["stepStats"] if step["status"] == "FAILURE"),
    )


def _said(answer: Mapping[str, Any]) -> str:
    """In one line, what Dagster says of a refusal. Its stack traces stay in its UI."""
    messages: Sequence[Any] = [answer.get("message"), *(one.get("message") for one in answer.get("errors", ()))]
    text = " ".join(" ".join(str(message) for message in messages if message).split())
    return (text or answer.get("__typename", "it does not say why"))[:300]


def _errors(content: Any) -> str:
    errors = content.get("errors") if isinstance(content, dict) else None
    first = errors[0].get("message", "") if errors and isinstance(errors[0], dict) else ""
    return " ".join(str(first).split())[:300] or "it does not say why."


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional_time(seconds: float | None) -> datetime | None:
    return _time(seconds) if seconds else None
