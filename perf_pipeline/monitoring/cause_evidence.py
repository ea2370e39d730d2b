"""What is known about the cause of a finding, in figures: what explains it, where it fails first, what changed then.

The tables keep it as JSON beside the sentence that is made of it, so that whoever explains the finding in other words
can be held to these figures.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Evidence(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Explanation(_Evidence):
    """Tasks that have these attribute values in common, and how much of the trouble is theirs.

    `affected` of `tasks` tasks with the values have been affected since the onset, `usual_rate` (0 to 1) of those
    before it, of which there were `usual_tasks`; where these are 0 the rate is what their other values, or all tasks,
    let expect. `share` (0 to 1) is the part of the excess of affected tasks that they explain. `p_value` is the chance
    of so large an excess while nothing has changed, corrected for the number of combinations that were looked at.

    Explanations that are no `alternative` explain the trouble together; an alternative explains, less well, what they
    explain too. Of values that were only observed of how a task went, such as its error, `tasks` are all tasks.
    """

    values: dict[str, str]
    affected: int
    tasks: int
    usual_rate: float
    usual_tasks: int
    share: float
    p_value: float
    alternative: bool = False


class ErrorShare(_Evidence):
    """An error that `tasks` of `of` affected tasks ended with, or had, and `usual_tasks` of `usual_of` before."""

    error_type: str
    tasks: int
    of: int
    usual_tasks: int
    usual_of: int


class FailingStep(_Evidence):
    """The span at which tasks failed first, below all the spans that failed with it: `tasks` of `of` affected ones."""

    name: str
    kind: str
    error_type: str | None
    tasks: int
    of: int


class SlowStep(_Evidence):
    """The step that took `tasks` of `of` affected tasks longest: its own time (median, in milliseconds) in these, and
    in the tasks before the onset that it took longest, if there were any."""

    name: str
    tasks: int
    of: int
    median_ms: float
    usual_median_ms: float | None


class NearbyChange(_Evidence):
    """A change near the onset, of the agent or (without one) of the whole fleet. Before the onset the minutes are
    positive. `time` is UTC.

    `kind` is that of the table `change_events`, or "first use" where the tasks themselves show a new model or version.
    """

    time: datetime
    kind: str
    agent: str | None
    description: str
    from_version: str | None
    to_version: str | None
    minutes_before_onset: float


class CauseEvidence(_Evidence):
    """All of it, the likeliest first. `affected_means` says which tasks count as affected: 'failed', 'slower than
    4.2 s'. `tasks` have begun since the onset, `usual_tasks` in the day before it."""

    affected_means: str
    affected: int
    tasks: int
    usual_affected: int = 0
    usual_tasks: int = 0
    explanations: tuple[Explanation, ...] = ()
    error_types: tuple[ErrorShare, ...] = ()
    first_failing_steps: tuple[FailingStep, ...] = ()
    slowest_steps: tuple[SlowStep, ...] = ()
    changes: tuple[NearbyChange, ...] = ()


def evidence_in(text: str) -> CauseEvidence | None:
    """The evidence that the tables keep as JSON; None where there is none, as of sources and of older incidents."""
    return CauseEvidence.model_validate_json(text) if text else None
