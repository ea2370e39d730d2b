"""Railway as a source: the log lines and the deployments of a window."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from resources.railway_answers import Deployment, DeploymentsAnswer, LogLine, LogsAnswer, parse_answer
from resources.railway_api import MAX_WAIT_SECONDS, RailwayApi
from resources.railway_frames import change_frame, log_frame
from resources.reading import RailwayError, Reading

MAX_LINES_PER_REQUEST = 64_000
DEPLOYMENTS_PER_REQUEST = 50
MAX_REQUESTS_FOR_PREVIOUS = 4
MILLISECOND_NS = 1_000_000

_LOGS = """
query logs($environmentId: String!, $filter: String, $beforeLimit: Int, $beforeDate: String, $anchorDate: String,
           $afterDate: String, $afterLimit: Int) {
  environmentLogs(environmentId: $environmentId, filter: $filter, beforeLimit: $beforeLimit, beforeDate: $beforeDate,
                  anchorDate: $anchorDate, afterDate: $afterDate, afterLimit: $afterLimit) {
    timestamp message severity tags { serviceId deploymentId } attributes { key value }
  }
}
"""

_DEPLOYMENTS = """
query deployments($input: DeploymentListInput!, $first: Int, $after: String) {
  deployments(input: $input, first: $first, after: $after) {
    edges { cursor node { id status createdAt serviceId meta } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class RailwayResource(dg.ConfigurableResource):
    """Reads one Railway environment with an account, workspace or project token."""

    endpoint: str = Field(description="Address of the GraphQL API.")
    token: str = Field(repr=False, description="RAILWAY_API_TOKEN, or RAILWAY_TOKEN for a project token.")
    uses_project_token: bool = Field(description="Whether the token is a project token.")
    environment_id: str = Field(description="RAILWAY_ENVIRONMENT_ID.")
    project_id: str = Field(description="RAILWAY_PROJECT_ID.")
    service_id: str | None = Field(default=None, description="RAILWAY_SERVICE_ID; none reads all services.")
    lines_per_request: int = Field(default=1000, ge=1, le=MAX_LINES_PER_REQUEST, description="Log lines per page.")
    log_retention_days: int = Field(default=30, ge=1, description="Days that Railway keeps logs on your plan.")
    request_timeout_seconds: float = Field(default=30, gt=0)
    max_wait_seconds: float = Field(
        default=MAX_WAIT_SECONDS, ge=0, description="The most that one reading waits for rate limits, in seconds."
    )

    def describe(self) -> str:
        service = f", service {self.service_id}" if self.service_id else ""
        return f"Railway at {self.endpoint}, environment {self.environment_id}{service}"

    def read_logs(self, start: datetime, end: datetime) -> Reading:
        """The lines written at start <= time < end (aware), oldest first, as RAW_LOGS.

        Railway gives nanoseconds and the table holds microseconds. The bounds are compared in nanoseconds and then
        cut, never rounded, to microseconds; start and end are whole microseconds, so that a line stays on its side.

        Lines that Railway dropped, and a window from which it may have deleted lines by now, are named in the gaps.
        Raises RailwayError where the lines are not complete.
        """
        gone = _gone(start, datetime.now(UTC), self.log_retention_days)
        with self._connect() as api:
            lines, gaps = self._page_logs(api, _to_ns(start), _to_ns(end))
        lines.sort(key=lambda line: line.ns)
        return Reading(log_frame(lines), (*gone, *gaps, *_dropped(lines)))

    def read_deployments(self, start: datetime, end: datetime) -> Reading:
        """The deployments created at start <= time < end (aware) that went live, oldest first, as CHANGE_EVENTS.

        `time` is when Railway created the deployment; it went live after its build. A deployment still building is
        not a change yet: a later reading of the same window has it. Versions are short commit hashes, and missing for
        a deployment without a commit. Raises RailwayError where the deployments are not complete.
        """
        deployments: list[Deployment] = []
        requests_before_start = 0
        with self._connect() as api:
            for page in self._deployment_pages(api):
                deployments += page
                ran = [deployment for deployment in deployments if deployment.ran]
                if not page or page[-1].created_at >= start:
                    continue
                requests_before_start += 1
                in_window = {deployment.service_id for deployment in ran if start <= deployment.created_at < end}
                before_window = {deployment.service_id for deployment in ran if deployment.created_at < start}
                if in_window <= before_window or requests_before_start > MAX_REQUESTS_FOR_PREVIOUS:
                    break
        return Reading(change_frame(deployments, start, end))

    def _connect(self) -> RailwayApi:
        return RailwayApi(
            self.endpoint, self.token, self.uses_project_token, self.request_timeout_seconds, self.max_wait_seconds
        )

    def _page_logs(self, api: RailwayApi, start: int, end: int) -> tuple[list[LogLine], list[str]]:
        """All lines with start <= ns < end, once each, and what is doubtful about them.

        A page holds the newest lines before its anchor. Lines carry no identity and may repeat word for word, so that
        pages must not overlap in what is kept: the oldest nanosecond of a page may go on in the next one, therefore
        its lines are left to that page, which is asked for everything up to and including it.

        A page that is short and brings nothing new is either the last, or cut by a limit of Railway's own that is
        below the lines of this millisecond. Which of them shows below the millisecond: lines there are a gap in it,
        and are read. Where nothing is below, the two cannot be told apart, and the page counts as the last.
        """
        kept: list[LogLine] = []
        gaps: list[str] = []
        longest, doubt = 0, None
        upper, anchor, size, seen_before_widening = end, end, self.lines_per_request, None
        while anchor > start:
            page = self._request_logs(api, start, anchor, size)
            if not page:
                return kept, gaps
            longest = max(longest, len(page))
            older = [line for line in page if line.ns < upper]
            if older and doubt:
                # They would have been on the doubted page, had Railway not cut it.
                gaps, doubt = [*gaps, doubt], None
            oldest = min((line.ns for line in older), default=upper)
            if oldest < start:
                return kept + [line for line in older if line.ns >= start], gaps
            if older and oldest + 1 < upper:
                kept += [line for line in older if line.ns > oldest]
                upper = anchor = oldest + 1
                size, seen_before_widening = self.lines_per_request, None
            elif len(page) < size:
                kept += older
                gap = _doubtful(oldest, len(page))
                if seen_before_widening is not None and len(page) <= seen_before_widening:
                    gaps += [gap] if gap not in gaps else []
                elif len(page) == 1 < longest:
                    # Railway gives more than one line at a time, so that this is the last one; most readings end here.
                    return kept, gaps
                else:
                    doubt = doubt or gap
                # A bound that belongs to its range shows lines of its own millisecond again: then one further below.
                anchor = (anchor - 1) // MILLISECOND_NS * MILLISECOND_NS
                upper = anchor if older else upper
                size, seen_before_widening = self.lines_per_request, None
            else:
                seen_before_widening, size = len(page), size * 2
                if size > MAX_LINES_PER_REQUEST:
                    raise RailwayError(
                        f"Railway holds more than {len(page)} log lines in the millisecond of {_to_text(oldest)}, more "
                        "than one request can carry. Set RAILWAY_SERVICE_ID to read one service only.",
                        retryable=False,
                    )
        return kept, gaps

    def _request_logs(self, api: RailwayApi, start: int, upper: int, size: int) -> list[LogLine]:
        # Railway says neither whether a bound belongs to its range nor how finely it is read: whole milliseconds that
        # contain the range are right in every case, and what lies outside of it is left out here.
        anchor = _to_text(-(-upper // MILLISECOND_NS) * MILLISECOND_NS)
        variables = {
            "environmentId": self.environment_id,
            "filter": f"@service:{self.service_id}" if self.service_id else None,
            "beforeDate": _to_text((start - 1) // MILLISECOND_NS * MILLISECOND_NS),
            "anchorDate": anchor,
            "afterDate": anchor,
            "beforeLimit": size,
            "afterLimit": 0,
        }
        return parse_answer(LogsAnswer, api.query(_LOGS, variables)).lines

    def _deployment_pages(self, api: RailwayApi) -> Iterator[list[Deployment]]:
        scope = {"projectId": self.project_id, "environmentId": self.environment_id, "serviceId": self.service_id}
        after: str | None = None
        while True:
            variables = {
                "input": {name: value for name, value in scope.items() if value is not None},
                "first": DEPLOYMENTS_PER_REQUEST,
                "after": after,
            }
            page = parse_answer(DeploymentsAnswer, api.query(_DEPLOYMENTS, variables)).deployments
            yield [edge.node for edge in page.edges]
            # The page goes on behind its last edge, also where something on the way took edges off its end.
            last = page.edges[-1].cursor if page.edges else after
            if not page.page_info.has_next_page and page.page_info.end_cursor in (None, last):
                return
            if last == after:
                raise RailwayError(
                    "Railway says that there are more deployments, but gives none of them. Try again later, and report "
                    "this sentence if it lasts.",
                    retryable=True,
                )
            after = last


def _gone(start: datetime, now: datetime, retention_days: int) -> Iterator[str]:
    kept_since = now - timedelta(days=retention_days)
    if start < kept_since:
        yield (
            f"Railway keeps logs for {retention_days} days, so that lines before {kept_since:%Y-%m-%d %H:%M} UTC may "
            "be gone: if your plan keeps them longer, set fleet.yaml's sources.railway_log_retention_days; otherwise "
            "read such windows in time."
        )


def _dropped(lines: list[LogLine]) -> Iterator[str]:
    for line in lines:
        if found := re.search(r"Messages dropped: (\d+)", line.message):
            service = (line.tags and line.tags.service_id) or "unknown"
            yield (
                f"Railway dropped {found[1]} log lines of service {service} before {_to_text(line.ns)}, because it "
                "wrote more than 500 lines a second."
            )


def _doubtful(ns: int, lines: int) -> str:
    return (
        f"Railway gave {lines} log lines for the millisecond of {_to_text(ns)} however many were asked for, so it may "
        "hold more."
    )


def _to_ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _to_text(ns: int) -> str:
    """RFC 3339 in UTC, cut to milliseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ns // MILLISECOND_NS)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
