"""Why an optimization stops before it is done.

These derive from BaseException on purpose: DSPy's evaluation and GEPA's take every Exception of a program for a wrong
answer and score it 0, so that an outage or an empty budget would look like a bad candidate.
"""

from __future__ import annotations


class RunStopped(BaseException):
    """The run cannot go on. The message is a sentence for people."""


class BudgetExhausted(RunStopped):
    """The next call might cost more than what is left. What was found so far is kept."""


class RunCancelled(RunStopped):
    """Somebody wants the run to end."""


class PhaseOver(RunStopped):
    """A call that was still under way, or queued, when the part of the run that it belongs to had ended."""


class InfrastructureFailure(RunStopped):
    """Something that the run needs is out of order. It says nothing about the program.

    `is_lasting` says that trying again is of no use before somebody has changed something.
    """

    def __init__(self, message: str, *, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class ModelUnavailable(InfrastructureFailure):
    """The model cannot be used: an outage, a refused key, an unknown name."""
