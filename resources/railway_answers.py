"""Railway's answers as types. An answer of any other shape is a RailwayError that says which part is different."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError

from resources.reading import RailwayError
from resources.whole_text import whole_text

RAN = frozenset({"SUCCESS", "CRASHED", "SLEEPING", "REMOVING", "REMOVED"})
"""Deployments that went live, even if only to crash."""

NEVER_RAN = frozenset(
    {"BUILDING", "DEPLOYING", "FAILED", "INITIALIZING", "NEEDS_APPROVAL", "QUEUED", "SKIPPED", "WAITING"}
)
"""Deployments that changed nothing yet, or never will."""

Answer = TypeVar("Answer", bound=BaseModel)

Text = Annotated[str, AfterValidator(whole_text)]
"""A text of someone else's, which a JavaScript server may have cut in the middle of a character."""


def _nanoseconds(timestamp: object) -> int:
    found = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", timestamp) if isinstance(timestamp, str) else None
    if found is None:
        raise ValueError(f"{timestamp!r} is not a time as RFC 3339 writes it")
    seconds = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
    return seconds * 10**9 + int((found[2] or "0")[:9].ljust(9, "0"))


def _known_status(status: str) -> str:
    # An unknown one is refused, because it decides whether the deployment changed what runs.
    if status not in RAN | NEVER_RAN:
        raise ValueError(f"{status!r} is not a status that a deployment had so far")
    return status


class LogTags(BaseModel):
    service_id: Text | None = Field(alias="serviceId")
    deployment_id: Text | None = Field(alias="deploymentId")


class LogAttribute(BaseModel):
    key: Text
    value: Text


class LogLine(BaseModel):
    ns: Annotated[int, BeforeValidator(_nanoseconds)] = Field(alias="timestamp")
    """When it was written, in nanoseconds since 1970 (UTC)."""
    message: Text
    severity: Text | None
    tags: LogTags | None
    attributes: list[LogAttribute]


class LogsAnswer(BaseModel):
    lines: list[LogLine] = Field(alias="environmentLogs")


class DeploymentMeta(BaseModel):
    """What Railway noted of a deployment's origin. It declares no fields of this, so that all may be absent."""

    commit_hash: Text | None = Field(default=None, alias="commitHash")
    commit_message: Text | None = Field(default=None, alias="commitMessage")
    branch: Text | None = None
    image: Text | None = None


class Deployment(BaseModel):
    id: str
    status: Annotated[str, AfterValidator(_known_status)]
    created_at: AwareDatetime = Field(alias="createdAt")
    service_id: str | None = Field(alias="serviceId")
    meta: DeploymentMeta | None

    @property
    def ran(self) -> bool:
        return self.status in RAN


class DeploymentEdge(BaseModel):
    cursor: str
    node: Deployment


class PageInfo(BaseModel):
    has_next_page: bool = Field(alias="hasNextPage")
    end_cursor: str | None = Field(alias="endCursor")


class DeploymentPage(BaseModel):
    edges: list[DeploymentEdge]
    page_info: PageInfo = Field(alias="pageInfo")


class DeploymentsAnswer(BaseModel):
    deployments: DeploymentPage


def parse_answer(kind: type[Answer], data: dict[str, Any]) -> Answer:
    """`data` of a GraphQL answer as `kind`. Raises RailwayError where a field is missing or holds something else."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        # The input stays out of the sentence: a log line may hold anything.
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise RailwayError(
            f"Railway's API has changed, so that its answer cannot be read ({place}: {problem}). Update perf-pipeline, "
            "or report this sentence where there is no newer version.",
            retryable=False,
        ) from error
